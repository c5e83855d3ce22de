"""Dropout as a pure function of a key."""

import jax
import jax.numpy as jnp


def dropout(key: jax.Array, x: jax.Array, rate: float) -> jax.Array:
  """`x` with each element zeroed with probability `rate` (exact
  to 1e-5) and the others divided by 1 - rate.

  Args:
    x: of two axes or more. The second half of its last but one draws on the same numbers as the
      first, sixteen other bits of them: drawing is most of what dropout costs.
  """
  *outer, rows, columns = x.shape
  bits = jax.random.bits(key, (*outer, -(-rows // 2), columns), 'uint32')
  sixteen = jnp.concatenate([bits & 0xFFFF, bits >> 16], axis=-2)[..., :rows, :]
  return jnp.where(sixteen >= round(rate * 2**16), x / (1 - rate), 0)
