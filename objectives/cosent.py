"""Of two pairs of sentences, the one with the higher score has the higher cosine (Su 2022, CoSENT).

log(1 + sum of exp(scale (s_i - s_j))) over all pairs of pairs in which j is scored higher than i.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from objectives.term import Setup, Term
from objectives.vectors import cosine, matryoshka, whole_rows

HEADS = ('vector',)
ROWS = 'text_groups'
LABELS = 'score'
PREDICTS = 'rows'
WHOLE_BATCH = True
UNITS = dict(loss='nats a batch')


def ranking(similarity_B, score_B, weight_B, scale: float) -> dict[str, Term]:
  """The loss of a batch, in nats; rows of weight 0 take no part."""
  gap_BxB = scale * (similarity_B[:, None] - similarity_B[None, :])
  lower_BxB = score_B[:, None] < score_B[None, :]
  counted_BxB = lower_BxB & (weight_B[:, None] * weight_B[None, :] > 0)
  gap_N = jnp.where(counted_BxB, gap_BxB, -jnp.inf).reshape(-1)
  nats = jax.nn.logsumexp(jnp.concatenate([jnp.zeros(1), gap_N]))
  return dict(loss=Term(nats, jnp.float32(1)))


def weight(batch) -> jax.Array:
  """One: the loss is of the batch, not a mean over its rows."""
  return jnp.float32(1)


def terms(outputs, batch, setup: Setup, similarity: Callable = cosine) -> dict[str, Term]:
  """The loss of the batch; `similarity` is of each vector with its partner."""

  def of(vector_BxKxD):
    similarity_B = similarity(vector_BxKxD[:, 0], vector_BxKxD[:, 1])
    return ranking(similarity_B, batch['score'], whole_rows(batch), setup.vectors.scale)

  return matryoshka(outputs['vector'], setup.vectors, of)
