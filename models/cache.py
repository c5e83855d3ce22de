"""Keys and values of what was read already: an argument and a result, never hidden state."""

import dataclasses

import jax
import jax.numpy as jnp

from models.config import ModelConfig


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
  """What every layer has read so far; slot s holds the token at position s."""

  key_LxBxSxGxK: jax.Array
  value_LxBxSxGxK: jax.Array


def empty(config: ModelConfig, B: int, S: int) -> Cache:
  """A cache with room for S tokens in each of B rows. Nothing in it is visible until written."""
  zeros_LxBxSxGxK = jnp.zeros((config.layers, B, S, config.G, config.K), config.dtype)
  return Cache(zeros_LxBxSxGxK, zeros_LxBxSxGxK)


def write(cached_BxSxGxK: jax.Array, new_BxTxGxK: jax.Array, position_BxT: jax.Array) -> jax.Array:
  """One layer's keys or values with T new tokens put at their positions, which may differ by row."""
  row_Bx1 = jnp.arange(position_BxT.shape[0])[:, None]
  return cached_BxSxGxK.at[row_Bx1, position_BxT].set(new_BxTxGxK.astype(cached_BxSxGxK.dtype))
