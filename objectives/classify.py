"""Classifying rows: one of C classes each (Devlin et al. 2019, 4.1)."""

import jax
import jax.numpy as jnp

from objectives.corrupt import Masking
from objectives.term import Setup, Term, cross_entropy

HEADS = ('sequence',)
ROWS = 'labelled'
PREDICTS = 'rows'
UNITS = dict(loss='nats a row', accuracy='of rows')


def classify(logits_BxC, label_B, weight_B) -> dict[str, Term]:
  """Cross-entropy (nats) over the classes, and accuracy."""
  return cross_entropy(logits_BxC[:, None, :], label_B[:, None], weight_B[:, None])


def predictions(T: int, masking: Masking, progress: float, *, prefix: bool) -> float:
  """None: no tokens are predicted."""
  return 0


def prepare(key_B, batch, setup: Setup):
  """The batch as it is."""
  return batch


def weight(batch) -> jax.Array:
  """How many rows hold a text."""
  return _is_text(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss (nats) and accuracy over the rows."""
  return classify(outputs['sequence'], batch['label'], _is_text(batch))


def _is_text(batch):
  return (batch['segment'][:, 0] > 0).astype(jnp.float32)
