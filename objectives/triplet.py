"""The anchor is nearer to the positive than to the negative, by a margin (Schroff et al. 2015)."""

import jax

from objectives.term import Setup, Term
from objectives.vectors import DISTANCES, matryoshka, negatives

HEADS = ('vector',)
ROWS = 'text_groups'
LABELS = ''
PREDICTS = 'rows'
UNITS = dict(loss='distance beyond the margin', accuracy='of triplets in the right order')


def hinge(vector_BxKxD, weight_BxN, distance: str, margin: float) -> dict[str, Term]:
  """max(0, d(anchor, positive) - d(anchor, negative) + margin) over the N negatives of each row."""
  between = DISTANCES[distance]
  anchor_Bx1xD, positive_Bx1xD = vector_BxKxD[:, :1], vector_BxKxD[:, 1:2]
  near_Bx1 = between(anchor_Bx1xD, positive_Bx1xD)
  far_BxN = between(anchor_Bx1xD, vector_BxKxD[:, 2:])
  loss_BxN = jax.nn.relu(near_Bx1 - far_BxN + margin)
  weight = weight_BxN.sum()
  return dict(
    loss=Term((loss_BxN * weight_BxN).sum(), weight),
    accuracy=Term(((near_Bx1 < far_BxN) * weight_BxN).sum(), weight),
  )


def weight(batch) -> jax.Array:
  """How many triplets the rows hold: one for each negative."""
  return negatives(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Hinge loss and order over the triplets."""
  loss = setup.vectors
  return matryoshka(
    outputs['vector'],
    loss,
    lambda vector_BxKxD: hinge(vector_BxKxD, negatives(batch), loss.distance, loss.margin),
  )
