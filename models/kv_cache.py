"""The KV cache: keys and values of earlier tokens, as an argument and a result of `apply`."""

import dataclasses

import jax
import jax.numpy as jnp

from models.config import ModelConfig


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
  """Keys and values of every layer; slot s holds the token at position s.

  The slots of one head are contiguous in memory, the order in which attention reads them.

  Attributes:
    key, value: LxBxGxSxK; or, if the parameters are not stacked either, a tuple of one BxGxSxK per
      layer.
  """

  key: jax.Array | tuple[jax.Array, ...]
  value: jax.Array | tuple[jax.Array, ...]

  @property
  def S(self) -> int:
    """Number of slots per row."""
    return self.key[0].shape[2]


def empty(config: ModelConfig, B: int, S: int, *, stacked: bool = True) -> Cache:
  """Returns a cache for S tokens in each of B rows. A slot is visible only after it is written.

  Args:
    stacked: one array of all layers; else a tuple of one per layer.
  """
  shape = (B, config.G, S, config.K)
  if stacked:
    zeros = jnp.zeros((config.layers, *shape), config.dtype)
  else:
    zeros = tuple(jnp.zeros(shape, config.dtype) for _ in range(config.layers))
  return Cache(zeros, zeros)


def write(cached_BxGxSxK: jax.Array, new_BxTxGxK: jax.Array, position_BxT: jax.Array) -> jax.Array:
  """Returns one layer's keys or values with T new tokens written at their positions.

  Positions may differ by row. New values are cast to the dtype of the cache.
  """
  row_Bx1 = jnp.arange(position_BxT.shape[0])[:, None]
  return cached_BxGxSxK.at[row_Bx1, :, position_BxT].set(new_BxTxGxK.astype(cached_BxGxSxK.dtype))


def read(cached_BxGxSxK: jax.Array) -> jax.Array:
  """Returns one layer's keys or values in the layout of attention, BxSxGxK."""
  return jnp.swapaxes(cached_BxGxSxK, 1, 2)
