"""Sentence-order prediction (Lan et al. 2020, 3.1): are A
and B in order? 1 = swapped (as published).

What the data draws as a wrong pair is all that tells it from
next-sentence prediction; head and loss are the same.
"""

from objectives import nsp

HEADS = nsp.HEADS
prepare, weight, terms = nsp.prepare, nsp.weight, nsp.terms
