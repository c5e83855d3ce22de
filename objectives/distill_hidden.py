"""The direction of a teacher's last hidden states: 1 - cosine (Sanh et al. 2019, 2)."""

import jax
import jax.numpy as jnp

from objectives.term import Setup, Term

HEADS = ('hidden',)
ROWS = 'packed'
PREDICTS = 'teacher'
TEACHER = True
BESIDE = ('clm', 'mlm', 'mntp')
UNITS = dict(loss='1 - cosine of a hidden state')

_SMALL = 1e-12  # added to squared lengths, as in torch's CosineEmbeddingLoss


def distance(hidden_BxTxD, teacher_BxTxD) -> jax.Array:
  """float32 BxT: 1 - cosine of each state with the teacher's."""
  hidden_BxTxD, teacher_BxTxD = (x.astype(jnp.float32) for x in (hidden_BxTxD, teacher_BxTxD))
  product_BxT = (hidden_BxTxD * teacher_BxTxD).sum(axis=-1)
  square_BxT = jnp.square(hidden_BxTxD).sum(axis=-1) + _SMALL
  teacher_square_BxT = jnp.square(teacher_BxTxD).sum(axis=-1) + _SMALL
  return 1 - product_BxT * jax.lax.rsqrt(square_BxT * teacher_square_BxT)


def weight(batch) -> jax.Array:
  """How many tokens the rows hold, special ones counted."""
  return (batch['segment'] > 0).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """The distance over all tokens."""
  counts_BxT = (batch['segment'] > 0).astype(jnp.float32)
  distance_BxT = distance(outputs['hidden'], batch['teacher']['hidden'])
  return dict(loss=Term((distance_BxT * counts_BxT).sum(), counts_BxT.sum()))
