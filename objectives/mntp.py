"""Masked next-token prediction (GPT-BERT, Charpentier and Samuel 2024; LLM2Vec, BehnamGhader et al.
2024).

Masked tokens as in MLM, each predicted from the position before it, where a causal model predicts
it too.
"""

import jax.numpy as jnp

from objectives import mlm
from objectives.term import Setup

HEADS = ('mlm',)
ROWS = 'packed'
PREDICTS = 'tokens'
DRAWS = ('mlm_position', 'mlm_weight')
NEEDS = ('mask_token',)
UNITS = mlm.UNITS

predictions, weight, terms = mlm.predictions, mlm.weight, mlm.terms


def prepare(key_B, batch, setup: Setup):
  """MLM's batch, read one position earlier.

  A document's first token has no position before it and does not count.
  """
  segment_BxT = batch['segment']
  follows_BxT = (jnp.roll(segment_BxT, 1, axis=1) == segment_BxT).at[:, 0].set(False)
  batch = mlm.prepare(key_B, batch, setup)
  counts_BxP = jnp.take_along_axis(follows_BxT, batch['mlm_position'], axis=1)
  return batch | dict(
    mlm_position=jnp.maximum(batch['mlm_position'] - 1, 0),
    mlm_weight=batch['mlm_weight'] * counts_BxP,
  )


def targets(batch):
  """(position_BxP, token_BxP, weight_BxP): what is to be predicted, for people."""
  position_BxP, token_BxP, weight_BxP = mlm.targets(batch)
  return position_BxP + 1, token_BxP, weight_BxP
