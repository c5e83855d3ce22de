"""Keys and values of what was read already: an argument and a result, never hidden state."""

import dataclasses

import jax
import jax.numpy as jnp

from models.config import ModelConfig


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
  """What every layer has read so far; slot s holds the token at position s.

  The slots of one head lie side by side, which is the order in which attention reads them.

  Attributes:
    key, value: LxBxGxSxK; or a tuple of BxGxSxK, one a layer,
      where the parameters are not stacked either.
  """

  key: jax.Array | tuple[jax.Array, ...]
  value: jax.Array | tuple[jax.Array, ...]

  @property
  def S(self) -> int:
    return self.key[0].shape[2]


def empty(config: ModelConfig, B: int, S: int, *, stacked: bool = True) -> Cache:
  """A cache with room for S tokens in each of B rows. Nothing in it is visible until written."""
  shape = (B, config.G, S, config.K)
  if stacked:
    zeros = jnp.zeros((config.layers, *shape), config.dtype)
  else:
    zeros = tuple(jnp.zeros(shape, config.dtype) for _ in range(config.layers))
  return Cache(zeros, zeros)


def write(cached_BxGxSxK: jax.Array, new_BxTxGxK: jax.Array, position_BxT: jax.Array) -> jax.Array:
  """One layer's keys or values with T new tokens put at
  their positions, which may differ by row.
  """
  row_Bx1 = jnp.arange(position_BxT.shape[0])[:, None]
  return cached_BxGxSxK.at[row_Bx1, :, position_BxT].set(new_BxTxGxK.astype(cached_BxGxSxK.dtype))


def read(cached_BxGxSxK: jax.Array) -> jax.Array:
  """One layer's keys or values as attention takes them: BxSxGxK."""
  return jnp.swapaxes(cached_BxGxSxK, 1, 2)
