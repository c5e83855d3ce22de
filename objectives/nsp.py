"""Next-sentence prediction (Devlin et al. 2019, 3.1): does B
follow A? 1 = no, B is random (as published).
"""

import jax.numpy as jnp

from objectives.projection import Setup, Term, cross_entropy

HEADS = ('nsp',)


def nsp(logits_Bx2, label_B, weight_B) -> Term:
  """Cross-entropy over {0: next, 1: random}."""
  return _scores(logits_Bx2, label_B, weight_B)['loss']


def prepare(key, batch, index_B, setup: Setup):
  return batch


def weight(batch):
  return _weight(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  return _scores(outputs['nsp'], batch['label'], _weight(batch))


def _weight(batch):
  return (batch['segment'][:, 0] > 0).astype(jnp.float32)  # rows of padding fill up a last batch


def _scores(logits_Bx2, label_B, weight_B):
  return cross_entropy(logits_Bx2[:, None, :], label_B[:, None], weight_B[:, None])
