"""Attention within a window, for implementations that store scores: a row as many short rows.

A block of queries reads its own block of keys and those beside it, so that of T x T scores only
T x 2 or T x 3 blocks are ever computed.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from models.masks import Mask

# Tokens of a block, at least: of smaller products most of the time is overhead. A choice.
_LEAST = 32


def fits(mask: Mask, T: int, S: int) -> bool:
  """Whether a row of T queries can be cut into blocks that compute fewer scores than T x S."""
  by_index = mask.q_position_BxT is None and mask.kv_position_BxS is None
  if mask.window is None or not by_index or T != S:
    return False
  size, before, after = _sizes(mask)
  return size * (before + 1 + after) < T


def attend(
  plain: Callable, q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, mask: Mask, *, dropout=None, **options
) -> jax.Array:
  """out_BxTxHxK of `plain`, an implementation of `models.attention`, called on short rows.

  Args:
    mask: one that `fits`; what is drawn of it is not read.
    dropout: (key_B, rate); each short row draws from a key of its own.
  """
  B, T = q_BxTxHxK.shape[:2]
  size, before, after = _sizes(mask)
  N = -(-T // size)
  if dropout is not None:
    key_B, rate = dropout
    key_BxN = jax.vmap(lambda key: jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(N)))
    dropout = key_BxN(key_B).reshape(B * N, *key_B.shape[1:]), rate

  def near(x_BxTx, outside=0):
    return _near(x_BxTx, size, before, after, outside)

  short = _short_rows(mask, B, T, near, _own(size))
  own = _own(size)
  out_RxQxHxK = plain(
    own(q_BxTxHxK), near(k_BxTxGxK), near(v_BxTxGxK), short, dropout=dropout, **options
  )
  return out_RxQxHxK.reshape(B, N * size, *out_RxQxHxK.shape[2:])[:, :T]


def _sizes(mask: Mask) -> tuple[int, int, int]:
  """(tokens of a block, blocks that are read before one's own, and after it)."""
  left, right = mask.window
  if mask.causal and mask.prefix_BxS is None:
    right = 0
  return max(left, right, _LEAST), int(left > 0), int(right > 0)


def _short_rows(mask: Mask, B: int, T: int, near: Callable, own: Callable) -> Mask:
  """The mask of the short rows."""
  segment_BxT = jnp.ones((B, T), jnp.int32)
  if mask.q_segment_BxT is not None:
    segment_BxT = jnp.broadcast_to(mask.q_segment_BxT, (B, T)).astype(jnp.int32)
    segment_BxT = segment_BxT if mask.packed else (segment_BxT > 0).astype(jnp.int32)
  index_BxT = jnp.broadcast_to(jnp.arange(T)[None], (B, T))
  prefix_BxT = mask.prefix_BxS
  if prefix_BxT is not None:
    prefix_BxT = jnp.broadcast_to(prefix_BxT, (B, T)).astype(jnp.int32)
  return Mask(
    causal=mask.causal,
    window=mask.window,
    packed=True,
    q_segment_BxT=own(segment_BxT),
    kv_segment_BxS=near(segment_BxT, outside=-1),  # of no query
    q_position_BxT=own(index_BxT),
    kv_position_BxS=near(index_BxT),
    prefix_BxS=None if prefix_BxT is None else near(prefix_BxT),
  )


def _blocks(x_BxTx, size: int, outside=0):
  """BxNxQ... with Q tokens a block, the last one filled up."""
  B, T = x_BxTx.shape[:2]
  fill = [(0, 0), (0, -T % size)] + [(0, 0)] * (x_BxTx.ndim - 2)
  x_BxTx = jnp.pad(x_BxTx, fill, constant_values=outside)
  return x_BxTx.reshape(B, -1, size, *x_BxTx.shape[2:])


def _own(size: int) -> Callable:
  """x_BxTx -> RxQ..., one short row R a block."""

  def own(x_BxTx):
    x_BxNxQx = _blocks(x_BxTx, size)
    return x_BxNxQx.reshape(-1, *x_BxNxQx.shape[2:])

  return own


def _near(x_BxTx, size: int, before: int, after: int, outside):
  """RxW...: of each block, itself with those beside it; `outside` beyond the ends of the row."""
  x_BxNxQx = _blocks(x_BxTx, size, outside)
  N = x_BxNxQx.shape[1]
  beyond = [(0, 0), (before, after)] + [(0, 0)] * (x_BxNxQx.ndim - 2)
  x_BxNxQx = jnp.pad(x_BxNxQx, beyond, constant_values=outside)
  beside = [x_BxNxQx[:, first : first + N] for first in range(before + 1 + after)]
  x_BxNxWx = jnp.concatenate(beside, axis=2)
  return x_BxNxWx.reshape(-1, *x_BxNxWx.shape[2:])
