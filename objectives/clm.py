"""Causal language modelling (Radford et al. 2018, 3.1): predict each token from those before it."""

import jax.numpy as jnp

from objectives.projection import (
  Setup,
  Term,
  cross_entropy,
  projected_cross_entropy,
  projected_nats,
)

HEADS = ('clm',)


def clm(logits_BxTxV, token_BxT, segment_BxT) -> Term:
  """Cross-entropy of each token given those before it; shifts inside, never across documents."""
  return cross_entropy(logits_BxTxV, *shifted(token_BxT, segment_BxT))['loss']


def shifted(token_BxT, segment_BxT, prefix_BxT=None):
  """(target_BxT, weight_BxT): the next token, where it belongs
  to the same document and not to its prefix.
  """
  target_BxT = jnp.roll(token_BxT, -1, axis=1)
  counts_BxT = (jnp.roll(segment_BxT, -1, axis=1) == segment_BxT) & (segment_BxT > 0)
  if prefix_BxT is not None:
    counts_BxT &= ~jnp.roll(prefix_BxT, -1, axis=1)
  return target_BxT, counts_BxT.at[:, -1].set(False).astype(jnp.float32)


def targets(batch):
  """(target_BxT, weight_BxT) of a prepared batch."""
  return shifted(batch['token'], batch['segment'], batch['prefix'] if 'prefix' in batch else None)


def prepare(key, batch, index_B, setup: Setup):
  return batch


def weight(batch):
  return targets(batch)[1].sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  return projected_cross_entropy(outputs['clm'], *targets(batch), chunk=setup.chunk)


def scores(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Terms, and `text`: the nats of ordinary tokens alone,
  for units that no tokenizer can flatter.
  """
  target_BxT, weight_BxT = targets(batch)
  nats_BxT, hit_BxT = projected_nats(outputs['clm'], target_BxT, chunk=setup.chunk)
  text_BxT = weight_BxT * ~setup.special_V[target_BxT]
  kinds = [('loss', nats_BxT, weight_BxT), ('accuracy', hit_BxT, weight_BxT)]
  if not setup.prefix:  # which would be scored in part only
    kinds.append(('text', nats_BxT, text_BxT))
  return {kind: Term((x_BxT * w_BxT).sum(), w_BxT.sum()) for kind, x_BxT, w_BxT in kinds}
