"""Ranking texts for a query, read together with it: listwise (ListNet; Cao et al. 2007).

The scores of a query's texts are a distribution, their softmax, and so are the outputs. All texts
of a query are segments of one row.
"""

import jax
import jax.numpy as jnp

from objectives import classify
from objectives.term import Setup, Term

HEADS = ('sequence',)
ROWS = 'labelled'
TASKS = ('ranked',)
PREDICTS = 'rows'
UNITS = dict(
  loss='nats a query', accuracy='of queries, whose first text is one of the highest score'
)

weight = classify.weight


def list_net(logit_BxS, score_BxS, query_BxS, weight_BxS) -> dict[str, Term]:
  """Cross-entropy (nats) of the two distributions of each query, and how often the best is first.

  Args:
    query_BxS: which query a slot belongs to; -1 = none.
    weight_BxS: 1 in the first slot of each query that counts.
  """
  same_BxSxS = query_BxS[:, :, None] == query_BxS[:, None, :]
  log_BxSxS = _log_softmax(logit_BxS, same_BxSxS)
  asked_BxSxS = jnp.exp(_log_softmax(score_BxS, same_BxSxS))
  nats_BxS = -(asked_BxSxS * jnp.where(same_BxSxS, log_BxSxS, 0.0)).sum(axis=2)
  first_BxSxS = same_BxSxS & (log_BxSxS >= log_BxSxS.max(axis=2, keepdims=True))
  best_BxSxS = asked_BxSxS >= asked_BxSxS.max(axis=2, keepdims=True)
  hit_BxS = (first_BxSxS & best_BxSxS).any(axis=2).astype(jnp.float32)
  total = weight_BxS.sum()
  return dict(
    loss=Term((nats_BxS * weight_BxS).sum(), total),
    accuracy=Term((hit_BxS * weight_BxS).sum(), total),
  )


def _log_softmax(x_BxS, same_BxSxS) -> jax.Array:
  """For each slot the log-softmax over the slots of its query; -inf at others."""
  return jax.nn.log_softmax(jnp.where(same_BxSxS, x_BxS[:, None, :], -jnp.inf), axis=2)


def prepare(key_B, batch, setup: Setup):
  """Adds which states the head reads, and the first slot of each query with scores."""
  query_BxS = batch['example']
  pooled = classify.pool(batch['segment'], query_BxS.shape[1], setup.labels.pooling)
  known_BxS = ~jnp.isnan(batch['label'])
  before_BxS = jnp.pad(query_BxS, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
  first_BxS = (known_BxS & (query_BxS != before_BxS)).astype(jnp.float32)
  return (
    batch | pooled | dict(label=jnp.where(known_BxS, batch['label'], 0), label_weight=first_BxS)
  )


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss and accuracy over the queries."""
  logit_BxS = outputs['sequence'][:, :, 0]
  return list_net(logit_BxS, batch['label'], batch['example'], batch['label_weight'])


def answers(outputs, batch, setup: Setup) -> dict[str, jax.Array]:
  """The output for each text: {'value': BxS}."""
  return dict(value=outputs['sequence'][:, :, 0])
