"""Masked language modelling (Devlin et al. 2019, 3.1): predict masked tokens from both sides."""

import jax

from objectives.corrupt import Masking, corrupt
from objectives.projection import projected_cross_entropy
from objectives.term import Setup, Term, cross_entropy

HEADS = ('mlm',)
ROWS = 'packed'
PREDICTS = 'tokens'
DRAWS = ('mlm_position', 'mlm_weight')
NEEDS = ('mask_token',)
UNITS = dict(
  loss='nats a masked token',
  accuracy='of masked tokens',
  perplexity='a masked token, both sides seen',
)


def mlm(logits_BxPxV, target_BxP, weight_BxP) -> Term:
  """Cross-entropy (nats) at the predicted positions."""
  return cross_entropy(logits_BxPxV, target_BxP, weight_BxP)['loss']


def predictions(T: int, masking: Masking, progress: float, *, prefix: bool) -> float:
  """Of a full row of T tokens, when `progress` of the steps are done."""
  return round(masking.rate_at(progress) * T)


def prepare(key_B, batch, setup: Setup):
  """The batch with tokens masked: each row draws from its own key."""
  vocabulary, masking = setup.vocabulary, setup.masking
  return batch | corrupt(key_B, batch['token'], batch['segment'], vocabulary, masking, setup.rate)


def weight(batch) -> jax.Array:
  """How many tokens are predicted."""
  return batch['mlm_weight'].sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss (nats) and accuracy over the predicted tokens."""
  return projected_cross_entropy(
    outputs['mlm'], batch['mlm_target'], batch['mlm_weight'], chunk=setup.chunk
  )


def targets(batch):
  """(position_BxP, token_BxP, weight_BxP): what is to be predicted, for people."""
  return batch['mlm_position'], batch['mlm_target'], batch['mlm_weight']
