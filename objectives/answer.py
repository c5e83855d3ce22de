"""Answering questions: the first and the last token of the answer (Devlin et al. 2019, 4.2).

A row may hold several questions with a part of their context, each its own segment. Where the part
has no answer, the segment's first token is asked for.
"""

import jax
import jax.numpy as jnp

from objectives import classify
from objectives.term import Setup, Term

HEADS = ('span',)
ROWS = 'labelled'
TASKS = ('question',)
PREDICTS = 'rows'
UNITS = dict(loss='nats an end of an answer', accuracy='of windows, both ends')

weight = classify.weight


def span(logits_BxTx2, segment_BxT, label_BxSx2, weight_BxS) -> dict[str, Term]:
  """Cross-entropy (nats) of the two ends, their mean, each over the tokens of its own segment.

  Args:
    label_BxSx2: positions in the row.
  """
  S = label_BxSx2.shape[1]
  own_BxSxTx1 = segment_BxT[:, None, :, None] == jnp.arange(1, S + 1)[None, :, None, None]
  logits_BxSxTx2 = jnp.where(own_BxSxTx1, logits_BxTx2[:, None], -jnp.inf)
  # an empty slot has no token to be over: any finite number will do, it has no weight
  logits_BxSxTx2 = jnp.where(own_BxSxTx1.any(axis=2, keepdims=True), logits_BxSxTx2, 0.0)
  normaliser_BxSx2 = jax.nn.logsumexp(logits_BxSxTx2, axis=2)
  chosen_BxSx2 = jnp.take_along_axis(logits_BxTx2, label_BxSx2, axis=1)
  nats_BxS = (normaliser_BxSx2 - chosen_BxSx2).mean(axis=-1)
  hit_BxS = (chosen_BxSx2 >= logits_BxSxTx2.max(axis=2)).all(axis=-1)
  weight = weight_BxS.sum()
  nats_BxS = jnp.where(weight_BxS > 0, nats_BxS, 0.0)
  return dict(
    loss=Term((nats_BxS * weight_BxS).sum(), weight),
    accuracy=Term((hit_BxS * weight_BxS).sum(), weight),
  )


def prepare(key_B, batch, setup: Setup):
  """Adds how much each window counts."""
  weight_BxS = (batch['label'][:, :, 0] >= 0).astype(jnp.float32)
  return batch | dict(label=jnp.maximum(batch['label'], 0), label_weight=weight_BxS)


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss and accuracy over the windows."""
  return span(outputs['span'], batch['segment'], batch['label'], batch['label_weight'])


def answers(outputs, batch, setup: Setup) -> dict[str, jax.Array]:
  """How each token scores as the first and as the last of an answer, BxT both."""
  return dict(start=outputs['span'][:, :, 0], end=outputs['span'][:, :, 1])
