"""Splash attention (jax's Pallas kernel for TPUs), an implementation of `models.attention.attend`.

The kernel keeps one block of scores in fast memory and skips blocks that the mask rules out, so the
scores of a whole row never exist.
"""

import jax
import jax.numpy as jnp

from models.masks import Mask

# Tile size of jax's kernel: the length of a row must be a multiple.
LANES = 128
# Block sizes, as in MaxText. 512 x 512 float32 scores are 1 MiB of the 16 MiB that a kernel may use
# and keep the matrix unit busy. At 128, jax's default, reading blocks takes longer than multiplying
# them.
_BLOCKS = (512, 256, 128)


def attend(
  q_BxTxHxK: jax.Array,
  k_BxSxGxK: jax.Array,
  v_BxSxGxK: jax.Array,
  mask: Mask,
  *,
  scale: float | None,
  soft_cap: float | None,
  interpret: bool,
) -> jax.Array:
  """Returns out_BxTxHxK for the rows and heads of one device; G key/value heads are not copied.

  Args:
    mask: over positions in the row; the only arrays it may hold are segments.
    scale: of the scores; None: K ** -0.5.
    soft_cap: limit of the scores by tanh; None: none.
    interpret: run the kernel as plain jax, for machines without a TPU.
  """
  # Imported here: it takes longer than importing all of models, and only TPUs use it.
  from jax.experimental.pallas.ops.tpu import splash_attention as splash

  T, H, K = q_BxTxHxK.shape[1:]
  S = k_BxSxGxK.shape[1]
  q_BxTxHxK = q_BxTxHxK * (K**-0.5 if scale is None else scale)
  block_T, block_S = (next(size for size in _BLOCKS if length % size == 0) for length in (T, S))
  kernel = splash.make_splash_mha(
    splash.MultiHeadMask([_static_rules(splash, mask, T, S)] * H),
    head_shards=1,
    q_seq_shards=1,
    attn_logits_soft_cap=soft_cap,
    residual_checkpoint_name='attention',
    interpret=interpret,
    block_sizes=splash.BlockSizes(
      block_q=block_T,
      block_kv=block_S,
      block_q_dkv=block_T,
      block_kv_dkv=block_S,
      block_q_dq=block_T,
      block_kv_dq=block_S,
    ),
  )
  segments = None
  if mask.q_segment_BxT is not None:
    q_BxT, kv_BxS = mask.q_segment_BxT, mask.kv_segment_BxS
    if not mask.packed:
      q_BxT, kv_BxS = q_BxT > 0, kv_BxS > 0
    segments = splash.SegmentIds(q_BxT.astype(jnp.int32), kv_BxS.astype(jnp.int32))
  heads_first = (jnp.swapaxes(x, 1, 2) for x in (q_BxTxHxK, k_BxSxGxK, v_BxSxGxK))
  return jnp.swapaxes(jax.vmap(kernel)(*heads_first, segments), 1, 2)


def _static_rules(splash, mask: Mask, T: int, S: int):
  """Returns the part of the mask that is the same for every row, as the kernel's own mask."""
  if mask.window is not None:
    left, right = mask.window
    return splash.LocalMask((T, S), (left, min(right, 0) if mask.causal else right), offset=0)
  return splash.CausalMask((T, S)) if mask.causal else splash.FullMask((T, S))
