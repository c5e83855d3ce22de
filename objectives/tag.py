"""Tagging words: one of C classes for each (Devlin et al. 2019, 5.3).

A word's class is predicted at its first token; other tokens have a label below 0 and do not count.
"""

import jax
import jax.numpy as jnp

from objectives import classify
from objectives.term import Setup, Term, cross_entropy

HEADS = ('tokens',)
ROWS = 'labelled'
PREDICTS = 'rows'
UNITS = dict(loss='nats a word', accuracy='of words')

predictions, prepare = classify.predictions, classify.prepare


def tag(logits_BxTxC, label_BxT) -> dict[str, Term]:
  """Cross-entropy (nats) over the classes, and accuracy, of the tokens that have a label."""
  weight_BxT = (label_BxT >= 0).astype(jnp.float32)
  return cross_entropy(logits_BxTxC, jnp.maximum(label_BxT, 0), weight_BxT)


def weight(batch) -> jax.Array:
  """How many words are tagged."""
  return (batch['label'] >= 0).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss (nats) and accuracy over the words."""
  return tag(outputs['tokens'], batch['label'])
