"""Where a token stands in its document: pure functions, and a table of the schemes."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


def in_document(segment_BxT: jax.Array) -> jax.Array:
  """Positions that start again at 0 in each document of a packed row: int32 BxT."""
  index_1xT = jnp.arange(segment_BxT.shape[1])[None, :]
  starts_BxT = jnp.diff(segment_BxT, axis=1, prepend=-1) != 0
  return index_1xT - jax.lax.cummax(jnp.where(starts_BxT, index_1xT, 0), axis=1)


def sinusoidal_table(length: int, width: int) -> np.ndarray:
  """The fixed table of "Attention is all you need" 3.5, SxE: sines in even columns."""
  rate_E = 10_000.0 ** (-2 * (np.arange(width) // 2) / width)
  angle_SxE = np.arange(length)[:, None] * rate_E[None, :]
  even_E = np.arange(width) % 2 == 0
  return np.where(even_E, np.sin(angle_SxE), np.cos(angle_SxE)).astype(np.float32)


def rotate(x_BxTxHxK: jax.Array, position_BxT: jax.Array, *, base: float) -> jax.Array:
  """Rotary positions (Su et al. 2021), halves rotated against each other as in GPT-NeoX, Llama."""
  half = x_BxTxHxK.shape[-1] // 2
  frequency_W = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
  position_BxTx1x1 = position_BxT[:, :, None, None].astype(jnp.float32)
  angle_BxTx1xW = position_BxTx1x1 * frequency_W[None, None, None, :]
  cos_BxTx1xW, sin_BxTx1xW = jnp.cos(angle_BxTx1xW), jnp.sin(angle_BxTx1xW)
  first_BxTxHxW, second_BxTxHxW = jnp.split(x_BxTxHxK.astype(jnp.float32), 2, axis=-1)
  rotated_BxTxHxK = jnp.concatenate(
    [
      first_BxTxHxW * cos_BxTx1xW - second_BxTxHxW * sin_BxTx1xW,
      second_BxTxHxW * cos_BxTx1xW + first_BxTxHxW * sin_BxTx1xW,
    ],
    axis=-1,
  )
  return rotated_BxTxHxK.astype(x_BxTxHxK.dtype)


class Positions(NamedTuple):
  """How a network knows positions; a scheme without any of these knows none.

  Attributes:
    trained: a table of parameters is added to the embeddings.
    table: (length, width) -> SxE, a fixed table that is added to the embeddings.
    rotate: (x_BxTxHxK, position_BxT, base=) -> BxTxHxK, of queries and of keys.
  """

  trained: bool = False
  table: Callable[[int, int], np.ndarray] | None = None
  rotate: Callable[..., jax.Array] | None = None


# The keywords of an entry are read by configs.schema.names: write them out.
POSITIONS = dict(
  learned=Positions(trained=True),
  sinusoidal=Positions(table=sinusoidal_table),
  rotary=Positions(rotate=rotate),
  none=Positions(),
)
