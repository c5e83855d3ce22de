"""Where a token stands in its document: pure functions, one for each scheme."""

import jax
import jax.numpy as jnp
import numpy as np


def in_document(segment_BxT: jax.Array) -> jax.Array:
  """Positions that start again at 0 in each document of a packed row: int32 BxT."""
  index_1xT = jnp.arange(segment_BxT.shape[1])[None, :]
  starts_BxT = jnp.diff(segment_BxT, axis=1, prepend=-1) != 0
  return index_1xT - jax.lax.cummax(jnp.where(starts_BxT, index_1xT, 0), axis=1)


def sinusoidal_table(length: int, width: int) -> np.ndarray:
  """The fixed table of "Attention is all you need" 3.5:
  sines in even columns, cosines in odd ones.
  """
  rate_D = 10_000.0 ** (-2 * (np.arange(width) // 2) / width)
  angle_TxD = np.arange(length)[:, None] * rate_D[None, :]
  return np.where(np.arange(width) % 2 == 0, np.sin(angle_TxD), np.cos(angle_TxD)).astype(
    np.float32
  )


def rotate(x_BxTxHxK: jax.Array, position_BxT: jax.Array, *, base: float) -> jax.Array:
  """Rotary positions (Su et al. 2021), halves rotated
  against each other as in GPT-NeoX and Llama.
  """
  half = x_BxTxHxK.shape[-1] // 2
  frequency_W = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
  angle_BxTx1xW = (
    position_BxT[:, :, None, None].astype(jnp.float32) * frequency_W[None, None, None, :]
  )
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
