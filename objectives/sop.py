"""Sentence-order prediction (Lan et al. 2020, 3.1): are A and B in order? 1 = swapped.

The data's wrong pairs are all that tells it from next-sentence prediction; head and loss are the
same.
"""

from objectives import nsp

HEADS = ('nsp',)
ROWS = 'sentence_pairs'
PREDICTS = 'rows'
WRONG_PAIRS = 'swapped'
UNITS = nsp.UNITS
BLIND = ('causal', 'prefix')
CHANCE = nsp.CHANCE

weight, terms = nsp.weight, nsp.terms
