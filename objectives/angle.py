"""As cosent, on an angle in complex space that does not saturate (Li and Li 2023, AnglE).

The first half of a vector is its real part and the second its imaginary part.
"""

import jax
import jax.numpy as jnp

from objectives import cosent
from objectives.term import Setup, Term
from objectives.vectors import unit

HEADS = ('vector',)
ROWS = 'text_groups'
LABELS = 'score'
PREDICTS = 'rows'
WHOLE_BATCH = True
UNITS = cosent.UNITS

weight = cosent.weight


def similarity(one_BxD, other_BxD) -> jax.Array:
  """|cosine + sine| of each pair, B; an odd width is filled up with a zero."""
  if one_BxD.shape[1] % 2:
    one_BxD, other_BxD = (jnp.pad(x, ((0, 0), (0, 1))) for x in (one_BxD, other_BxD))
  one_BxD, other_BxD = unit(one_BxD), unit(other_BxD)
  one_real_BxH, one_imaginary_BxH = jnp.split(one_BxD, 2, axis=1)
  real_BxH, imaginary_BxH = jnp.split(other_BxD, 2, axis=1)
  cosine_B = (one_BxD * other_BxD).sum(axis=1)
  sine_B = (one_imaginary_BxH * real_BxH - one_real_BxH * imaginary_BxH).sum(axis=1)
  return jnp.abs(cosine_B + sine_B)


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """The loss of the batch."""
  return cosent.terms(outputs, batch, setup, similarity)
