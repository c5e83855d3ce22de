"""Choosing one of several answers: a score for each, with its question (Devlin et al. 2019, 4.4).

All answers to a question are segments of one row.
"""

import jax
import jax.numpy as jnp

from objectives import classify
from objectives.term import Setup, Term

HEADS = ('sequence',)
ROWS = 'labelled'
TASKS = ('choices',)
PREDICTS = 'rows'
UNITS = dict(loss='nats a question', accuracy='of questions')

weight = classify.weight


def choose(logit_BxS, label_BxS, example_BxS) -> dict[str, Term]:
  """Cross-entropy (nats) over the answers to a question, and accuracy.

  Args:
    label_BxS: 1 of the right answer, 0 of the others, below 0 where it is not known.
    example_BxS: which question a slot belongs to; -1 = none.
  """
  normaliser_BxS, top_BxS = _of_question(logit_BxS, example_BxS)
  right_BxS = (label_BxS == 1).astype(jnp.float32)
  nats_BxS = jnp.where(right_BxS > 0, normaliser_BxS - logit_BxS, 0.0)
  hit_BxS = (logit_BxS >= top_BxS).astype(jnp.float32)
  weight = right_BxS.sum()
  return dict(loss=Term(nats_BxS.sum(), weight), accuracy=Term((hit_BxS * right_BxS).sum(), weight))


def prepare(key_B, batch, setup: Setup):
  """Adds which states the head reads, and that the right answers count."""
  pooled = classify.pool(batch['segment'], batch['example'].shape[1], setup.labels.pooling)
  return batch | pooled | dict(label_weight=(batch['label'] == 1).astype(jnp.float32))


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss and accuracy over the questions."""
  return choose(outputs['sequence'][:, :, 0], batch['label'], batch['example'])


def answers(outputs, batch, setup: Setup) -> dict[str, jax.Array]:
  """The probability of each answer among those to its question: {'probability': BxS}."""
  logit_BxS = outputs['sequence'][:, :, 0]
  normaliser_BxS, _ = _of_question(logit_BxS, batch['example'])
  return dict(probability=jnp.exp(logit_BxS - normaliser_BxS))


def _of_question(logit_BxS, example_BxS) -> tuple[jax.Array, jax.Array]:
  """(log of the sum of exponentials, maximum) of the answers to each slot's question."""
  same_BxSxS = example_BxS[:, :, None] == example_BxS[:, None, :]
  logit_BxSxS = jnp.where(same_BxSxS, logit_BxS[:, None, :], -jnp.inf)
  return jax.nn.logsumexp(logit_BxSxS, axis=2), logit_BxSxS.max(axis=2)
