"""A teacher's margin between positive and negative, as dot products (Hofstaetter et al. 2020)."""

import jax
import jax.numpy as jnp

from objectives.term import Setup, Term
from objectives.vectors import matryoshka, negatives

HEADS = ('vector',)
ROWS = 'text_groups'
LABELS = 'scores'
PREDICTS = 'rows'
UNITS = dict(loss='squared error of the margin')


def margin_error(vector_BxKxD, margin_BxN, weight_BxN) -> dict[str, Term]:
  """Squared error of anchor . positive - anchor . negative, for each of N negatives."""
  score_BxM = jnp.einsum('BD,BMD->BM', vector_BxKxD[:, 0], vector_BxKxD[:, 1:])
  error_BxN = score_BxM[:, :1] - score_BxM[:, 1:] - margin_BxN
  return dict(loss=Term((jnp.square(error_BxN) * weight_BxN).sum(), weight_BxN.sum()))


def weight(batch) -> jax.Array:
  """How many negatives the rows hold."""
  return negatives(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Squared error over the negatives; `scores` are a teacher's, of each text but the anchor."""
  score_BxM = batch['scores']
  margin_BxN = score_BxM[:, :1] - score_BxM[:, 1:]
  return matryoshka(
    outputs['vector'],
    setup.vectors,
    lambda vector_BxKxD: margin_error(vector_BxKxD, margin_BxN, negatives(batch)),
  )
