"""A teacher's vector of each text: mean squared error (Reimers and Gurevych 2020)."""

import jax
import jax.numpy as jnp

from objectives.term import Setup, Term
from objectives.vectors import present

HEADS = ('vector',)
ROWS = 'text_groups'
LABELS = 'vectors'
PREDICTS = 'rows'
UNITS = dict(loss='squared error a dimension')


def vector_error(vector_BxKxD, target_BxKxD, weight_BxK) -> dict[str, Term]:
  """Squared error, mean over dimensions, summed over texts."""
  error_BxK = jnp.square(vector_BxKxD - target_BxKxD).mean(axis=-1)
  return dict(loss=Term((error_BxK * weight_BxK).sum(), weight_BxK.sum()))


def weight(batch) -> jax.Array:
  """How many texts the rows hold."""
  return present(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Squared error over the texts; `target` holds the teacher's vectors."""
  return vector_error(outputs['vector'], batch['target'], present(batch))
