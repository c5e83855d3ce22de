"""Masked next-token prediction (GPT-BERT, Charpentier and
Samuel 2024; LLM2Vec, BehnamGhader et al. 2024).

Hidden tokens as in MLM, each predicted from the position
before it, where a causal model predicts it too.
"""

import jax.numpy as jnp

from objectives import mlm
from objectives.projection import Setup, Term

HEADS = ('mlm',)


def prepare(key, batch, index_B, setup: Setup):
  """MLM's batch, read one position earlier; a document's first
  token has none before it and does not count.
  """
  segment_BxT = batch['segment']
  follows_BxT = (jnp.roll(segment_BxT, 1, axis=1) == segment_BxT).at[:, 0].set(False)
  batch = mlm.prepare(key, batch, index_B, setup)
  counts_BxP = jnp.take_along_axis(follows_BxT, batch['mlm_position'], axis=1)
  return batch | dict(
    mlm_position=jnp.maximum(batch['mlm_position'] - 1, 0),
    mlm_weight=batch['mlm_weight'] * counts_BxP,
  )


weight = mlm.weight


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  return mlm.terms(outputs, batch, setup)
