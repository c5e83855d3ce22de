"""Masked language modelling (Devlin et al. 2019, 3.1): predict hidden tokens from both sides."""

import jax

from objectives.corrupt import corrupt
from objectives.projection import Setup, Term, cross_entropy, projected_cross_entropy

HEADS = ('mlm',)


def mlm(logits_BxPxV, target_BxP, weight_BxP) -> Term:
  """Cross-entropy at the predicted positions."""
  return cross_entropy(logits_BxPxV, target_BxP, weight_BxP)['loss']


def prepare(key, batch, index_B, setup: Setup):
  """The batch with tokens hidden; row i draws from (key, index_B[i])."""
  key_B = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index_B)
  return batch | corrupt(key_B, batch['token'], batch['segment'], setup)


def weight(batch):
  return batch['mlm_weight'].sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  return projected_cross_entropy(
    outputs['mlm'], batch['mlm_target'], batch['mlm_weight'], chunk=setup.chunk
  )
