"""A loss before averaging, and the cross-entropy that every token objective shares."""

from functools import partial
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from objectives.corrupt import Masking


class Term(NamedTuple):
  """A loss before averaging: nothing is divided until the whole batch has been summed.

  Attributes:
    total: summed over what counts; nats for losses, a count for accuracies.
    weight: how much counted.
  """

  total: jax.Array
  weight: jax.Array


class Setup(NamedTuple):
  """What objectives know besides the batch.

  Attributes:
    special_V: token ids that are never masked, for the V of the tokenizer.
    word_start_V: token ids that begin a word.
    mask_id: the [MASK] token; -1 where the tokenizer has none.
    masking: how MLM hides tokens.
    chunk: predictions whose V-wide logits exist at once, on a device.
    rate: share of a row that MLM hides now; `Objective.prepare` sets it.
    prefix: rows have a prefix that is read from both sides.
  """

  special_V: jax.Array
  word_start_V: jax.Array
  mask_id: int
  masking: Masking
  chunk: int
  rate: float | jax.Array = 0.0
  prefix: bool = False


def cross_entropy(logits_BxPxV, target_BxP, weight_BxP) -> dict[str, Term]:
  """Loss and accuracy of whole logits.
  `projected_cross_entropy` gives the same without having them.
  """
  nats_BxP, hit_BxP, _ = _score(logits_BxPxV, target_BxP)
  return _terms((nats_BxP * weight_BxP).sum(), (hit_BxP * weight_BxP).sum(), weight_BxP)


def projected_cross_entropy(projection, target_BxP, weight_BxP, *, chunk: int) -> dict[str, Term]:
  """Loss and accuracy of hidden @ table.T + bias, a chunk of positions at a time.

  The gradient is taken while a chunk's logits exist, so nothing V-wide is kept for the backward
  pass or computed twice (as in "Liger Kernel", Hsu et al. 2024).

  Args:
    projection: (hidden_BxPxE, table_VxE, bias_V or None).
    chunk: predictions whose logits exist at once, on a device.
  """
  hidden_BxPxE, table_VxE, bias_V = projection
  if bias_V is None:
    bias_V = jnp.zeros(table_VxE.shape[0])
  B = hidden_BxPxE.shape[0]
  R, pinned = _parts(B)
  if R == 1:
    total, hits = _projected(hidden_BxPxE, table_VxE, bias_V, target_BxP, weight_BxP, chunk)
    return _terms(total, hits, weight_BxP)
  # Each part has the table and sums by itself: else every chunk would
  # gather the table and sum gradients over devices.
  rows = lambda x_Bx: pinned(x_Bx.reshape(R, B // R, *x_Bx.shape[1:]))
  own = lambda x: pinned(jnp.broadcast_to(x[None], (R, *x.shape)))
  total_R, hits_R = jax.vmap(lambda *args: _projected(*args, chunk))(
    rows(hidden_BxPxE), own(table_VxE), own(bias_V), rows(target_BxP), rows(weight_BxP)
  )
  return _terms(total_R.sum(), hits_R.sum(), weight_BxP)


def projected_nats(projection, target_BxP, *, chunk: int) -> tuple[jax.Array, jax.Array]:
  """(nats_BxP, hit_BxP) of each target by itself; for scoring, not for training."""
  hidden_BxPxE, table_VxE, bias_V = projection
  if bias_V is None:
    bias_V = jnp.zeros(table_VxE.shape[0])
  chunks = _split(chunk, hidden_BxPxE, target_BxP)
  nats_NxBxC, hit_NxBxC = jax.lax.map(
    lambda args: _score(_project(args[0], table_VxE, bias_V), args[1])[:2], chunks
  )
  P = target_BxP.shape[1]
  return _join(nats_NxBxC)[:, :P], _join(hit_NxBxC)[:, :P]


def _parts(B: int):
  """(R, pin): into how many parts (R) devices split B rows, and what
  keeps an array with such a first axis split so.
  """
  mesh = jax.sharding.get_abstract_mesh()
  axes = tuple(
    name for name in ('data', 'fsdp') if name in mesh.axis_names and mesh.shape[name] > 1
  )
  R = math.prod(mesh.shape[name] for name in axes)
  free = jax.sharding.PartitionSpec.UNCONSTRAINED
  pin = lambda x_Rx: jax.lax.with_sharding_constraint(
    x_Rx, jax.sharding.PartitionSpec(axes, *(free,) * (x_Rx.ndim - 1))
  )
  return (1, None) if B % R else (R, pin)


def _terms(total, hits, weight_BxP) -> dict[str, Term]:
  weight = weight_BxP.sum()
  return dict(loss=Term(total, weight), accuracy=Term(hits, weight))


def _score(logits_BxCxV, target_BxC):
  """Nats and hit of each target, and the log-normaliser. A tie for the first place is a hit."""
  logits_BxCxV = logits_BxCxV.astype(jnp.float32)
  normaliser_BxCx1 = jax.nn.logsumexp(logits_BxCxV, axis=-1, keepdims=True)
  chosen_BxC = jnp.take_along_axis(logits_BxCxV, target_BxC[:, :, None], axis=-1)[:, :, 0]
  hit_BxC = chosen_BxC >= logits_BxCxV.max(axis=-1)
  return normaliser_BxCx1[:, :, 0] - chosen_BxC, hit_BxC, normaliser_BxCx1


def _project(hidden_BxCxE, table_VxE, bias_V):
  logits_BxCxV = jnp.einsum(
    'BCE,VE->BCV',
    hidden_BxCxE,
    table_VxE.astype(hidden_BxCxE.dtype),
    preferred_element_type=jnp.float32,
  )
  return logits_BxCxV + bias_V[None, None, :]


def _split(chunk: int, *arrays_BxPx: jax.Array) -> tuple[jax.Array, ...]:
  """Each BxP... array as NxBxC...; rows stay whole, so that the batch axis can stay sharded."""
  B, P = arrays_BxPx[0].shape[:2]
  N = -(-P // max(1, chunk // B))
  C = -(-P // N)  # chunks of one size, with as little padding as that takes

  def split(x):
    x = jnp.pad(x, [(0, 0), (0, N * C - P)] + [(0, 0)] * (x.ndim - 2))
    return jnp.moveaxis(x.reshape(B, N, C, *x.shape[2:]), 1, 0)

  return tuple(split(x) for x in arrays_BxPx)


def _join(x_NxBxCx: jax.Array) -> jax.Array:
  x_BxNxCx = jnp.moveaxis(x_NxBxCx, 0, 1)
  return x_BxNxCx.reshape(x_BxNxCx.shape[0], -1, *x_BxNxCx.shape[3:])


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def _projected(hidden_BxPxE, table_VxE, bias_V, target_BxP, weight_BxP, chunk):
  def add(carry, args):
    hidden_BxCxE, target_BxC, weight_BxC = args
    nats_BxC, hit_BxC, _ = _score(_project(hidden_BxCxE, table_VxE, bias_V), target_BxC)
    return (carry[0] + (nats_BxC * weight_BxC).sum(), carry[1] + (hit_BxC * weight_BxC).sum()), None

  chunks = _split(chunk, hidden_BxPxE, target_BxP, weight_BxP)
  return jax.lax.scan(add, (jnp.zeros(()), jnp.zeros(())), chunks)[0]


def _projected_forward(hidden_BxPxE, table_VxE, bias_V, target_BxP, weight_BxP, chunk):
  def add(carry, args):
    hidden_BxCxE, target_BxC, weight_BxC = args
    total, hits, table_gradient_VxE, bias_gradient_V = carry
    logits_BxCxV = _project(hidden_BxCxE, table_VxE, bias_V)
    nats_BxC, hit_BxC, normaliser_BxCx1 = _score(logits_BxCxV, target_BxC)
    is_target_BxCxV = target_BxC[:, :, None] == jnp.arange(table_VxE.shape[0])[None, None, :]
    probability_BxCxV = jnp.exp(logits_BxCxV - normaliser_BxCx1)
    gradient_BxCxV = (probability_BxCxV - is_target_BxCxV) * weight_BxC[:, :, None]
    bias_gradient_V += gradient_BxCxV.sum(axis=(0, 1))
    gradient_BxCxV = gradient_BxCxV.astype(hidden_BxCxE.dtype)
    # ExV and then turned around: the other way a CPU would first transpose the V-wide operand.
    table_gradient_VxE += jnp.einsum(
      'BCE,BCV->EV', hidden_BxCxE, gradient_BxCxV, preferred_element_type=jnp.float32
    ).T
    hidden_gradient_BxCxE = jnp.einsum(
      'BCV,VE->BCE', gradient_BxCxV, table_VxE.astype(hidden_BxCxE.dtype)
    )
    carry = (
      total + (nats_BxC * weight_BxC).sum(),
      hits + (hit_BxC * weight_BxC).sum(),
      table_gradient_VxE,
      bias_gradient_V,
    )
    return carry, hidden_gradient_BxCxE

  start = (jnp.zeros(()), jnp.zeros(()), jnp.zeros_like(table_VxE), jnp.zeros_like(bias_V))
  (total, hits, table_gradient_VxE, bias_gradient_V), hidden_gradient_NxBxCxE = jax.lax.scan(
    add, start, _split(chunk, hidden_BxPxE, target_BxP, weight_BxP)
  )
  hidden_gradient_BxPxE = _join(hidden_gradient_NxBxCxE)[:, : target_BxP.shape[1]]
  return (total, hits), (hidden_gradient_BxPxE, table_gradient_VxE, bias_gradient_V)


def _projected_backward(chunk, gradients, cotangents):
  scale, _ = cotangents  # the number of hits is piecewise constant
  return *(g * scale.astype(g.dtype) for g in gradients), None, None


_projected.defvjp(_projected_forward, _projected_backward)
