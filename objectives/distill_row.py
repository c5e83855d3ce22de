"""A teacher's token probabilities as targets at every position of a masked row.

The default of the published code (huggingface/transformers-research-projects,
distillation/distiller.py); with its `--restrict_ce_to_mask` it is `distill`.
"""

import jax
import jax.numpy as jnp

from objectives.soft_targets import soft_target_terms
from objectives.term import Setup, Term

HEADS = ('mlm_row',)
ROWS = 'packed'
PREDICTS = 'teacher'
TEACHER = True
BESIDE = ('mlm', 'mntp')
UNITS = dict(loss="nats times the temperature's square", agreement='with the token of the teacher')


def weight(batch) -> jax.Array:
  """How many tokens the rows hold, special ones counted."""
  return (batch['segment'] > 0).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Divergence from the teacher, and agreement, over all tokens."""
  return soft_target_terms(
    outputs['mlm_row'],
    batch['teacher']['mlm_row'],
    (batch['segment'] > 0).astype(jnp.float32),
    temperature=setup.temperature,
    chunk=setup.chunk,
  )
