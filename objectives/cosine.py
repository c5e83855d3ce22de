"""The cosine of two sentences is their score: squared error (Reimers and Gurevych 2019, 3)."""

import jax
import jax.numpy as jnp

from objectives.term import Setup, Term
from objectives.vectors import cosine, matryoshka, whole_rows

HEADS = ('vector',)
ROWS = 'text_groups'
LABELS = 'score'
PREDICTS = 'rows'
UNITS = dict(loss='squared error of the cosine')


def squared_error(vector_BxKxD, score_B, weight_B) -> dict[str, Term]:
  """Squared error of the cosine of the first two texts."""
  error_B = cosine(vector_BxKxD[:, 0], vector_BxKxD[:, 1]) - score_B
  return dict(loss=Term((jnp.square(error_B) * weight_B).sum(), weight_B.sum()))


def weight(batch) -> jax.Array:
  """How many rows hold a pair."""
  return whole_rows(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Squared error over the pairs."""
  return matryoshka(
    outputs['vector'],
    setup.vectors,
    lambda vector_BxKxD: squared_error(vector_BxKxD, batch['score'], whole_rows(batch)),
  )
