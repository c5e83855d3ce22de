"""Next-sentence prediction (Devlin et al. 2019, 3.1): does B follow A? 1 = no, B is random."""

import math

import jax
import jax.numpy as jnp

from objectives.term import Setup, Term, cross_entropy

HEADS = ('nsp',)
ROWS = 'sentence_pairs'
PREDICTS = 'rows'
WRONG_PAIRS = 'random'
UNITS = dict(loss='nats a pair', accuracy='of pairs; half are wrong')
BLIND = ('causal', 'prefix')  # it reads the first token, which sees only itself or a prefix
CHANCE = math.log(2)  # nats of a guess


def nsp(logits_Bx2, label_B, weight_B) -> Term:
  """Cross-entropy (nats) over {0: next, 1: random}."""
  return _terms(logits_Bx2, label_B, weight_B)['loss']


def weight(batch) -> jax.Array:
  """How many rows hold a pair."""
  return _is_pair(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss (nats) and accuracy over the pairs."""
  return _terms(outputs['nsp'], batch['label'], _is_pair(batch))


def _is_pair(batch):
  return (batch['segment'][:, 0] > 0).astype(jnp.float32)  # rows of padding fill up a last batch


def _terms(logits_Bx2, label_B, weight_B):
  return cross_entropy(logits_Bx2[:, None, :], label_B[:, None], weight_B[:, None])
