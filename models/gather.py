"""Some positions of each row."""

import jax
import jax.numpy as jnp


def gather_positions(x_BxSx: jax.Array, index_BxT: jax.Array | None) -> jax.Array:
  """The elements of each row at its T positions, BxT...; None: all of them."""
  if index_BxT is None:
    return x_BxSx
  index_BxTx = index_BxT.reshape(*index_BxT.shape, *(1,) * (x_BxSx.ndim - 2))
  return jnp.take_along_axis(x_BxSx, index_BxTx, axis=1)
