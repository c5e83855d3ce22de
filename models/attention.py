"""The one attention function, its implementations, and the weights it uses."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from models import banded, cudnn, splash
from models.dropout import dropout as dropped
from models.masks import Mask
from parallel import axes

# Finite, so that a row which sees nothing is uniform instead of NaN (as in jax.nn).
_INVISIBLE = -0.7 * float(jnp.finfo(jnp.float32).max)


class AttentionError(NotImplementedError):
  """No implementation that may be taken can do what is asked for."""

  exit_code = 2


def attend(
  q_BxTxHxK: jax.Array,
  k_BxSxGxK: jax.Array,
  v_BxSxGxK: jax.Array,
  mask: Mask,
  *,
  bias_1xHxTxS: jax.Array | None = None,
  scale: float | None = None,
  soft_cap: float | None = None,
  dropout: tuple[jax.Array, float] | None = None,
  implementation: str | None = None,
) -> jax.Array:
  """Attention of queries over keys and values, under a mask.

  Args:
    mask: which keys each query sees.
    bias_1xHxTxS: added to the scaled scores.
    scale: of the scores; 1 / sqrt(K) unless given.
    soft_cap: squashes scores into (-soft_cap, soft_cap) with a tanh.
    dropout: (key_B, rate) of dropout on the attention probabilities; a key a row.
    implementation: a name of `IMPLEMENTATIONS`, which never falls back; None tries those of
      `preference` in order, and each raises NotImplementedError for what it cannot do.

  Returns:
    out_BxTxHxK, in the type of the values.
  """
  return _first_that_can(
    q_BxTxHxK,
    k_BxSxGxK,
    v_BxSxGxK,
    mask,
    implementation,
    bias_1xHxTxS=bias_1xHxTxS,
    scale=scale,
    soft_cap=soft_cap,
    dropout=dropout,
  )[1]


def chosen(
  q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask: Mask, *, dropout=None, implementation: str | None = None
) -> str:
  """The name of the implementation that `attend` takes for
  arrays of these shapes; nothing is computed.
  """
  names = []

  def note(*arrays):
    name, out_BxTxHxK = _first_that_can(
      *arrays, implementation, bias_1xHxTxS=None, scale=None, soft_cap=None, dropout=dropout
    )
    names.append(name)
    return out_BxTxHxK

  jax.eval_shape(note, q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask)
  return names[0]


def _first_that_can(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, implementation, **options):
  """(name, out_BxTxHxK) of the first in order that does not refuse."""
  names = (
    preference(platform(), k_BxSxGxK.shape[1]) if implementation is None else (implementation,)
  )
  if names[0] not in IMPLEMENTATIONS:
    raise ValueError(f'attention={implementation!r}: choose one of {sorted(IMPLEMENTATIONS)}.')
  reasons = []
  for name in names:
    try:
      return name, IMPLEMENTATIONS[name](q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, **options)
    except NotImplementedError as error:
      reasons.append(f'{name}: {error}')
  raise AttentionError('No attention implementation fits. ' + '; '.join(reasons) + '.')


def attention_weights(
  q_BxTxHxK: jax.Array,
  k_BxSxGxK: jax.Array,
  mask: Mask,
  *,
  bias_1xHxTxS: jax.Array | None = None,
  scale: float | None = None,
  soft_cap: float | None = None,
) -> jax.Array:
  """How much each query takes from each key: float32 BxHxTxS, each row summing to 1."""
  B, T, H, K = q_BxTxHxK.shape
  S, G = k_BxSxGxK.shape[1:3]
  scale = K**-0.5 if scale is None else scale
  # Query head h = g * R + r reads key/value head g: the R heads of a group are as one with R * T
  # queries. Heads are moved to the front here: left to the product, a CPU would turn scores and
  # weights around too, which are larger.
  q_BxGxRTxK = (q_BxTxHxK * scale).swapaxes(1, 2).reshape(B, G, -1, K)
  score_BxGxRTxS = jnp.einsum(
    'BGTK,BGSK->BGTS', q_BxGxRTxK, k_BxSxGxK.swapaxes(1, 2), preferred_element_type=jnp.float32
  )
  score_BxHxTxS = score_BxGxRTxS.reshape(B, H, T, S)
  if soft_cap is not None:
    score_BxHxTxS = soft_cap * jnp.tanh(score_BxHxTxS / soft_cap)
  if bias_1xHxTxS is not None:
    score_BxHxTxS += bias_1xHxTxS
  visible_BxTxS = mask.dense(T, S)
  if visible_BxTxS is not None:
    score_BxHxTxS = jnp.where(visible_BxTxS[:, None, :, :], score_BxHxTxS, _INVISIBLE)
  return jax.nn.softmax(score_BxHxTxS, axis=-1)


def _reference(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, *, bias_1xHxTxS, scale, soft_cap, dropout):
  if bias_1xHxTxS is None and banded.fits(mask, q_BxTxHxK.shape[1], k_BxSxGxK.shape[1]):
    options = dict(bias_1xHxTxS=None, scale=scale, soft_cap=soft_cap, dropout=dropout)
    return banded.attend(_reference, q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, **options)
  weight_BxHxTxS = attention_weights(
    q_BxTxHxK, k_BxSxGxK, mask, bias_1xHxTxS=bias_1xHxTxS, scale=scale, soft_cap=soft_cap
  )
  if dropout is not None:
    key_B, rate = dropout
    weight_BxHxTxS = dropped(key_B, weight_BxHxTxS, rate)
  B, H, T, S = weight_BxHxTxS.shape
  G = v_BxSxGxK.shape[2]
  weight_BxGxRTxS = weight_BxHxTxS.astype(v_BxSxGxK.dtype).reshape(B, G, -1, S)
  out_BxGxRTxK = jnp.einsum('BGTS,BGSK->BGTK', weight_BxGxRTxS, v_BxSxGxK.swapaxes(1, 2))
  return out_BxGxRTxK.reshape(B, H, T, -1).swapaxes(1, 2)


def _xla(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, *, bias_1xHxTxS, scale, soft_cap, dropout):
  if dropout is not None:
    raise NotImplementedError('no dropout on attention probabilities')
  if soft_cap is not None:
    raise NotImplementedError('no soft cap on scores')
  T, S = q_BxTxHxK.shape[1], k_BxSxGxK.shape[1]
  if bias_1xHxTxS is None and banded.fits(mask, T, S):
    options = dict(bias_1xHxTxS=None, scale=scale, soft_cap=None)
    return banded.attend(_xla, q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, **options)
  # is_causal is aligned to the top left, so it is right only when positions are row indices.
  native = mask.rowwise and mask.window is None and T == S
  visible_BxTxS = None if native else mask.dense(T, S)
  return jax.nn.dot_product_attention(
    q_BxTxHxK,
    k_BxSxGxK,
    v_BxSxGxK,
    bias=bias_1xHxTxS,
    scale=scale,
    mask=None if visible_BxTxS is None else visible_BxTxS[:, None, :, :],
    is_causal=native and mask.causal,
    implementation='xla',
  )


def _cudnn(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, *, bias_1xHxTxS, scale, soft_cap, dropout):
  T, _, K = q_BxTxHxK.shape[1:]
  S = k_BxSxGxK.shape[1]
  half = q_BxTxHxK.dtype in (jnp.bfloat16, jnp.float16)
  _refuse(
    {
      f'needs an NVIDIA GPU, and this is for {platform()}': platform() != 'gpu',
      'no dropout on attention probabilities': dropout is not None,
      'no soft cap on scores': soft_cap is not None,
      f'bfloat16 or float16 only, not {q_BxTxHxK.dtype}': not half,
      f'heads of a multiple of 8 up to 128, not {K}': K % 8 or K > 128,
      # cuDNN means dense masks in training, jax means all of training, and whether it is training
      # nobody knows here.
      f'even lengths only, not {T} x {S}': T % 2 or S % 2,
    }
  )
  rules = cudnn.rules_of(mask, T, S)

  def local(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, bias_1xHxTxS):
    told = {}
    if rules.dense:
      # cuDNN does not broadcast a mask over queries (jax issue 28974); one that was drawn already
      # is only read here.
      visible_BxTxS = jnp.broadcast_to(mask.dense(T, S), (q_BxTxHxK.shape[0], T, S))
      told['mask'] = visible_BxTxS[:, None, :, :]
    if rules.lengths:
      told['query_seq_lengths'] = cudnn.lengths(mask.q_segment_BxT)
      told['key_value_seq_lengths'] = cudnn.lengths(mask.kv_segment_BxS)
    if rules.left_window is not None:
      told['local_window_size'] = (rules.left_window, 0)
    if bias_1xHxTxS is not None:
      told['bias'] = bias_1xHxTxS.astype(q_BxTxHxK.dtype)
    return jax.nn.dot_product_attention(
      q_BxTxHxK,
      k_BxSxGxK,
      v_BxSxGxK,
      scale=scale,
      is_causal=rules.is_causal,
      implementation='cudnn',
      **told,
    )

  if not rules.dense:
    mask = dataclasses.replace(mask, drawn_BxTxS=None)
  try:
    return _on_mesh(local, q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, bias_1xHxTxS)
  except RuntimeError as error:  # no cuDNN, as with AMD's GPUs
    raise NotImplementedError(str(error)) from error


def _splash(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, *, bias_1xHxTxS, scale, soft_cap, dropout):
  T, S = q_BxTxHxK.shape[1], k_BxSxGxK.shape[1]
  _refuse(
    {
      f'needs a TPU, and this is for {platform()}': platform() not in ('tpu', 'cpu'),
      'no dropout on attention probabilities': dropout is not None,
      'no bias on scores': bias_1xHxTxS is not None,
      'no explicit positions and no prefix': not mask.by_index,
      f'lengths must be multiples of {splash.LANES}, not {T} x {S}': T % splash.LANES
      or S % splash.LANES,
      f'causality and windows need as many queries as keys, not {T} x {S}': T != S
      and (mask.causal or mask.window is not None),
    }
  )

  def local(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, _):
    return splash.attend(
      q_BxTxHxK,
      k_BxSxGxK,
      v_BxSxGxK,
      mask,
      scale=scale,
      soft_cap=soft_cap,
      interpret=platform() == 'cpu',
    )

  return _on_mesh(
    local, q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, dataclasses.replace(mask, drawn_BxTxS=None), None
  )


def _refuse(reasons: dict[str, bool]):
  for reason, holds in reasons.items():
    if holds:
      raise NotImplementedError(reason)


def _on_mesh(local, q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, bias_1xHxTxS):
  """`local` on each device's own rows and heads; where these do not divide, every device has all.

  The compiler cannot split a kernel: it would gather all rows and heads for it.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.size <= 1:
    return local(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, bias_1xHxTxS)
  B, _, H, _ = q_BxTxHxK.shape
  rows = axes.dividing(mesh, axes.ROWS, B)
  heads = axes.dividing(mesh, axes.HEAD_AXES, H, k_BxSxGxK.shape[2])
  by_head = PartitionSpec(rows, None, heads)
  by_row = jax.tree.map(lambda x_Bx: PartitionSpec(rows if x_Bx.shape[0] == B else ()), mask)
  return jax.shard_map(
    local,
    in_specs=(by_head, by_head, by_head, by_row, PartitionSpec(None, heads)),
    out_specs=by_head,
    check_vma=False,
  )(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, bias_1xHxTxS)


def platform() -> str:
  """cpu, gpu or tpu: of the mesh in context, whose devices need not
  be there; else what jax runs on by default.
  """
  device = jax.sharding.get_abstract_mesh().abstract_device
  return jax.default_backend() if device is None else device.platform


def preference(platform: str, S: int) -> tuple[str, ...]:
  """Names of `IMPLEMENTATIONS` in the order in which they are tried for rows of S keys."""
  if platform == 'gpu':
    return 'cudnn', 'xla', 'reference'
  if platform == 'tpu' and S >= _SHORT:
    return 'splash', 'xla', 'reference'
  # On a CPU jax.nn's is the slower one.
  return ('reference', 'xla') if platform == 'cpu' else ('xla', 'reference')


IMPLEMENTATIONS = dict(reference=_reference, xla=_xla, cudnn=_cudnn, splash=_splash)
KERNELS = ('cudnn', 'splash')  # in which the scores of a whole row never exist
# Below this a row is less than one block of splash, and
# scores are small beside the rest of a layer.
_SHORT = 512
