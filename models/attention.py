"""The one attention function, and the weights it uses."""

import jax
import jax.numpy as jnp

from models.masks import Mask

# Finite, so that a row which sees nothing is uniform instead of NaN (as in jax.nn).
_INVISIBLE = -0.7 * float(jnp.finfo(jnp.float32).max)


def attend(q_BxTxHxK: jax.Array, k_BxSxGxK: jax.Array, v_BxSxGxK: jax.Array, mask: Mask, *,
           bias_1xHxTxS: jax.Array | None = None, scale: float | None = None,
           soft_cap: float | None = None, dropout: tuple[jax.Array, float] | None = None,
           implementation: str | None = None) -> jax.Array:
  """Attention of queries over keys and values, under a mask.

  Args:
    mask: which keys each query sees.
    bias_1xHxTxS: added to the scaled scores.
    scale: of the scores; 1 / sqrt(K) unless given.
    soft_cap: squashes scores into (-soft_cap, soft_cap) with a tanh.
    dropout: (key, rate) of dropout on the attention probabilities.
    implementation: a name of `IMPLEMENTATIONS`, which never falls back; None tries those of `preference` in
      order, and each raises NotImplementedError for what it cannot do.

  Returns:
    out_BxTxHxK, in the type of the values.
  """
  names = preference(jax.default_backend()) if implementation is None else (implementation,)
  if names[0] not in IMPLEMENTATIONS:
    raise ValueError(f'attention={implementation!r}: choose one of {sorted(IMPLEMENTATIONS)}.')
  reasons = []
  for name in names:
    try:
      return IMPLEMENTATIONS[name](q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, bias_1xHxTxS=bias_1xHxTxS,
                                   scale=scale, soft_cap=soft_cap, dropout=dropout)
    except NotImplementedError as error:
      reasons.append(f'{name}: {error}')
  raise NotImplementedError('No attention implementation fits. ' + '; '.join(reasons))


def attention_weights(q_BxTxHxK: jax.Array, k_BxSxGxK: jax.Array, mask: Mask, *,
                      bias_1xHxTxS: jax.Array | None = None, scale: float | None = None,
                      soft_cap: float | None = None) -> jax.Array:
  """How much each query takes from each key: float32 BxHxTxS, each row summing to 1."""
  B, T, H, K = q_BxTxHxK.shape
  S, G = k_BxSxGxK.shape[1:3]
  scale = K**-0.5 if scale is None else scale
  # Query head h = g * R + r reads key/value head g: grouped heads share without being copied.
  q_BxTxGxRxK = (q_BxTxHxK * scale).reshape(B, T, G, H // G, K)
  score_BxGxRxTxS = jnp.einsum('BTGRK,BSGK->BGRTS', q_BxTxGxRxK, k_BxSxGxK,
                               preferred_element_type=jnp.float32)
  score_BxHxTxS = score_BxGxRxTxS.reshape(B, H, T, S)
  if soft_cap is not None:
    score_BxHxTxS = soft_cap * jnp.tanh(score_BxHxTxS / soft_cap)
  if bias_1xHxTxS is not None:
    score_BxHxTxS += bias_1xHxTxS
  visible_BxTxS = mask.dense(T, S)
  if visible_BxTxS is not None:
    score_BxHxTxS = jnp.where(visible_BxTxS[:, None, :, :], score_BxHxTxS, _INVISIBLE)
  return jax.nn.softmax(score_BxHxTxS, axis=-1)


def _reference(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, *, bias_1xHxTxS, scale, soft_cap, dropout):
  weight_BxHxTxS = attention_weights(q_BxTxHxK, k_BxSxGxK, mask, bias_1xHxTxS=bias_1xHxTxS, scale=scale,
                                     soft_cap=soft_cap)
  if dropout is not None:
    key, rate = dropout
    # Sixteen bits, as in models.layers.dropout.
    keep_BxHxTxS = jax.random.bits(key, weight_BxHxTxS.shape, 'uint16') >= round(rate * 2**16)
    weight_BxHxTxS = jnp.where(keep_BxHxTxS, weight_BxHxTxS / (1 - rate), 0)
  B, H, T, S = weight_BxHxTxS.shape
  G = v_BxSxGxK.shape[2]
  weight_BxGxRxTxS = weight_BxHxTxS.astype(v_BxSxGxK.dtype).reshape(B, G, H // G, T, S)
  out_BxTxGxRxK = jnp.einsum('BGRTS,BSGK->BTGRK', weight_BxGxRxTxS, v_BxSxGxK)
  return out_BxTxGxRxK.reshape(B, T, H, v_BxSxGxK.shape[3])


def _xla(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, *, bias_1xHxTxS, scale, soft_cap, dropout):
  if dropout is not None:
    raise NotImplementedError('no dropout on attention probabilities')
  if soft_cap is not None:
    raise NotImplementedError('no soft cap on scores')
  T, S = q_BxTxHxK.shape[1], k_BxSxGxK.shape[1]
  # is_causal is aligned to the top left, so it is right only when positions are row indices.
  native = mask.rowwise and mask.window is None and T == S
  visible_BxTxS = None if native else mask.dense(T, S)
  return jax.nn.dot_product_attention(
      q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, bias=bias_1xHxTxS, scale=scale,
      mask=None if visible_BxTxS is None else visible_BxTxS[:, None, :, :],
      is_causal=native and mask.causal, implementation='xla')


IMPLEMENTATIONS = dict(reference=_reference, xla=_xla)


def preference(platform: str) -> tuple[str, ...]:
  """Names of `IMPLEMENTATIONS` in the order in which they are tried; on a CPU jax.nn's is the slower one."""
  return ('reference', 'xla') if platform == 'cpu' else ('xla', 'reference')
