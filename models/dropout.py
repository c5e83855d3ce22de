"""Dropout as a pure function of a key a row."""

import jax
import jax.numpy as jnp


def row_keys(key: jax.Array, row_B: jax.Array) -> jax.Array:
  """A key for each row, by its number in the global batch and nothing else."""
  return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, row_B)


def dropout(key_B: jax.Array, x_Bx: jax.Array, rate: float) -> jax.Array:
  """`x_Bx` with each element zeroed with probability `rate` and the others divided by 1 - rate.

  The rate is exact to 1e-5. A row draws from its own key, so what it drops does not depend on
  micro-batches or devices.

  Args:
    x_Bx: of three axes or more. The second half of its last but one draws on the same numbers as
      the first, sixteen other bits of them: drawing is most of what dropout costs.
  """
  *outer, rows, columns = x_Bx.shape[1:]
  shape = (*outer, -(-rows // 2), columns)
  bits_Bx = jax.vmap(lambda key: jax.random.bits(key, shape, 'uint32'))(key_B)
  sixteen_Bx = jnp.concatenate([bits_Bx & 0xFFFF, bits_Bx >> 16], axis=-2)[..., :rows, :]
  return jnp.where(sixteen_Bx >= round(rate * 2**16), x_Bx / (1 - rate), 0)
