"""Tagging words: one of C classes for each (Devlin et al. 2019, 5.3).

A word's class is predicted at its first token; other tokens have a label below 0 and do not count.
"""

import jax
import jax.numpy as jnp

from objectives import classify
from objectives.term import Setup, Term

HEADS = ('tokens',)
ROWS = 'labelled'
TASKS = ('words',)
PREDICTS = 'rows'
UNITS = dict(loss='nats a word', accuracy='of words')

weight = classify.weight


def prepare(key_B, batch, setup: Setup):
  """Adds how much each token counts: as its class does, or not at all."""
  weight_BxT = (batch['label'] >= 0).astype(jnp.float32)
  if setup.labels.class_weight_C is not None:
    weight_BxT *= setup.labels.class_weight_C[jnp.maximum(batch['label'], 0)]
  return batch | dict(label=jnp.maximum(batch['label'], 0), label_weight=weight_BxT)


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss (nats) and accuracy over the words."""
  labels = setup.labels
  return classify.classify(
    outputs['tokens'],
    batch['label'],
    batch['label_weight'],
    labels.smoothing,
    labels.class_weight_C,
  )


def answers(outputs, batch, setup: Setup) -> dict[str, jax.Array]:
  """The most likely class of each token and its probability, BxT both."""
  probability_BxTxC = jax.nn.softmax(outputs['tokens'], axis=-1)
  best_BxT = probability_BxTxC.argmax(axis=-1).astype(jnp.int32)
  return dict(best=best_BxT, probability=probability_BxTxC.max(axis=-1))
