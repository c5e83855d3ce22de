"""How a second sentence stands to a first, from their vectors (Reimers and Gurevych 2019, 3).

The classifier reads u, v and |u - v|.
"""

import jax

from objectives.term import Setup, Term, cross_entropy
from objectives.vectors import whole_rows

HEADS = ('pair',)
ROWS = 'text_groups'
LABELS = 'class'
PREDICTS = 'rows'
ALONE = True  # its head holds the parameters that the vector head has
UNITS = dict(loss='nats a pair', accuracy='of pairs')


def weight(batch) -> jax.Array:
  """How many rows hold a pair."""
  return whole_rows(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Cross-entropy (nats) over the classes, and accuracy."""
  logits_BxC, weight_B = outputs['pair'], whole_rows(batch)
  return cross_entropy(logits_BxC[:, None, :], batch['label'][:, None], weight_B[:, None])
