"""A teacher's token probabilities as targets (Sanh et al. 2019, 2), where the student predicts.

These are the positions of the objective beside it: of masked tokens with mlm and mntp, and with clm
of all tokens that have a next one. `distill_row` asks at every position of a masked row.
"""

import jax

from objectives import clm
from objectives.soft_targets import soft_target_terms
from objectives.term import Setup, Term

HEADS = ()
ROWS = 'packed'
PREDICTS = 'teacher'
TEACHER = True
BESIDE = ('clm', 'mlm', 'mntp')
UNITS = dict(loss="nats times the temperature's square", agreement='with the token of the teacher')


def weight(batch) -> jax.Array:
  """How many tokens are predicted."""
  return _predicted(batch)[1].sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Divergence from the teacher, and agreement, over the predicted tokens."""
  head, weight_BxP = _predicted(batch)
  return soft_target_terms(
    outputs[head],
    batch['teacher'][head],
    weight_BxP,
    temperature=setup.temperature,
    chunk=setup.chunk,
  )


def _predicted(batch) -> tuple[str, jax.Array]:
  """(the head that predicts, weight_BxP)."""
  if 'mlm_weight' in batch:
    return 'mlm', batch['mlm_weight']
  return 'clm', clm.next_tokens(batch)[1]
