"""Losses over the vocabulary without V-wide logits of a whole batch: a chunk at a time."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from models.projection import Projection, project, with_bias
from objectives.term import Term, loss_and_accuracy, score_logits
from parallel import axes


class Scored(NamedTuple):
  """What a loss says of a chunk of predictions, each by itself.

  Attributes:
    hit_BxC: whether the token that the logits choose is the right one.
    gradient_BxCxV: of the nats by the logits.
  """

  nats_BxC: jax.Array
  hit_BxC: jax.Array
  gradient_BxCxV: jax.Array


def projected_cross_entropy(
  projection: Projection, target_BxP, weight_BxP, *, chunk: int
) -> dict[str, Term]:
  """Loss (nats) and accuracy of the logits that a projection stands for.

  Args:
    chunk: predictions whose logits exist at once, on a device.
  """
  total, hits = projected_sums(
    projection, target_BxP, weight_BxP, score=_cross_entropy, chunk=chunk
  )
  return loss_and_accuracy(total, hits, weight_BxP)


def projected_sums(
  projection: Projection, given_BxPx, weight_BxP, fixed=(), *, score: Callable, chunk: int
) -> tuple[jax.Array, jax.Array]:
  """Weighted sums of the nats and of the hits that `score` gives the logits of a projection.

  The gradient is taken while a chunk's logits exist, so nothing V-wide is kept for the backward
  pass or computed twice (as in "Liger Kernel", Hsu et al. 2024).

  Args:
    given_BxPx: what each prediction is scored against, an array or a tree of arrays BxP...; it has
      no gradient.
    fixed: a tree of arrays that `score` needs whole; they have no gradient.
    score: (logits_BxCxV, given_BxCx, fixed) -> Scored.
    chunk: predictions whose logits exist at once, on a device.
  """
  hidden_BxPxE, table_VxE, bias_V = with_bias(projection)
  B = hidden_BxPxE.shape[0]
  R, row_axes = axes.row_parts(B)
  if R == 1:
    return _projected(hidden_BxPxE, table_VxE, bias_V, given_BxPx, weight_BxP, fixed, score, chunk)

  # Each part has the table and sums by itself: else every chunk would gather the table and sum
  # gradients over devices.
  pin = axes.pin_first_axis(row_axes)

  def rows_of_each(x_Bx):
    return pin(x_Bx.reshape(R, B // R, *x_Bx.shape[1:]))

  def copy_for_each(x):
    return pin(jnp.broadcast_to(x[None], (R, *x.shape)))

  total_R, hits_R = jax.vmap(lambda *arrays: _projected(*arrays, score, chunk))(
    rows_of_each(hidden_BxPxE),
    copy_for_each(table_VxE),
    copy_for_each(bias_V),
    jax.tree.map(rows_of_each, given_BxPx),
    rows_of_each(weight_BxP),
    jax.tree.map(copy_for_each, fixed),
  )
  return total_R.sum(), hits_R.sum()


def projected_nats(
  projection: Projection, target_BxP, *, chunk: int
) -> tuple[jax.Array, jax.Array]:
  """(nats_BxP, hit_BxP) of each target by itself; for scoring, not for training."""
  hidden_BxPxE, table_VxE, bias_V = with_bias(projection)

  def score(part):
    part_BxCxE, target_BxC = part
    nats_BxC, hit_BxC, _ = score_logits(project(part_BxCxE, table_VxE, bias_V), target_BxC)
    return nats_BxC, hit_BxC

  chunks = _split(chunk, hidden_BxPxE, target_BxP)
  nats_NxBxC, hit_NxBxC = jax.lax.map(score, chunks)
  P = target_BxP.shape[1]
  return _join(nats_NxBxC)[:, :P], _join(hit_NxBxC)[:, :P]


def _split(chunk: int, *arrays_BxPx) -> tuple:
  """Each BxP... array as NxBxC...; rows stay whole, so that the batch axis can stay sharded."""
  B, P = jax.tree.leaves(arrays_BxPx)[0].shape[:2]
  N = -(-P // max(1, chunk // B))
  C = -(-P // N)  # chunks of one size, with as little padding as that takes

  def split(x):
    x = jnp.pad(x, [(0, 0), (0, N * C - P)] + [(0, 0)] * (x.ndim - 2))
    return jnp.moveaxis(x.reshape(B, N, C, *x.shape[2:]), 1, 0)

  return jax.tree.map(split, arrays_BxPx)


def _join(x_NxBxCx: jax.Array) -> jax.Array:
  x_BxNxCx = jnp.moveaxis(x_NxBxCx, 0, 1)
  return x_BxNxCx.reshape(x_BxNxCx.shape[0], -1, *x_BxNxCx.shape[3:])


def _cross_entropy(logits_BxCxV, target_BxC, fixed) -> Scored:
  nats_BxC, hit_BxC, normaliser_BxCx1 = score_logits(logits_BxCxV, target_BxC)
  is_target_BxCxV = target_BxC[:, :, None] == jnp.arange(logits_BxCxV.shape[-1])[None, None, :]
  probability_BxCxV = jnp.exp(logits_BxCxV - normaliser_BxCx1)
  return Scored(nats_BxC, hit_BxC, probability_BxCxV - is_target_BxCxV)


@partial(jax.custom_vjp, nondiff_argnums=(6, 7))
def _projected(hidden_BxPxE, table_VxE, bias_V, given_BxPx, weight_BxP, fixed, score, chunk):
  def add(carry, args):
    hidden_BxCxE, given_BxCx, weight_BxC = args
    nats_BxC, hit_BxC, _ = score(project(hidden_BxCxE, table_VxE, bias_V), given_BxCx, fixed)
    return (carry[0] + (nats_BxC * weight_BxC).sum(), carry[1] + (hit_BxC * weight_BxC).sum()), None

  chunks = _split(chunk, hidden_BxPxE, given_BxPx, weight_BxP)
  return jax.lax.scan(add, (jnp.zeros(()), jnp.zeros(())), chunks)[0]


def _projected_forward(
  hidden_BxPxE, table_VxE, bias_V, given_BxPx, weight_BxP, fixed, score, chunk
):
  def add(carry, args):
    hidden_BxCxE, given_BxCx, weight_BxC = args
    total, hits, table_gradient_VxE, bias_gradient_V = carry
    scored = score(project(hidden_BxCxE, table_VxE, bias_V), given_BxCx, fixed)
    gradient_BxCxV = scored.gradient_BxCxV * weight_BxC[:, :, None]
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
      total + (scored.nats_BxC * weight_BxC).sum(),
      hits + (scored.hit_BxC * weight_BxC).sum(),
      table_gradient_VxE,
      bias_gradient_V,
    )
    return carry, hidden_gradient_BxCxE

  start = (jnp.zeros(()), jnp.zeros(()), jnp.zeros_like(table_VxE), jnp.zeros_like(bias_V))
  (total, hits, table_gradient_VxE, bias_gradient_V), hidden_gradient_NxBxCxE = jax.lax.scan(
    add, start, _split(chunk, hidden_BxPxE, given_BxPx, weight_BxP)
  )
  hidden_gradient_BxPxE = _join(hidden_gradient_NxBxCxE)[:, : hidden_BxPxE.shape[1]]
  return (total, hits), (hidden_gradient_BxPxE, table_gradient_VxE, bias_gradient_V)


def _projected_backward(score, chunk, gradients, cotangents):
  scale, _ = cotangents  # the number of hits is piecewise constant
  return *(g * scale.astype(g.dtype) for g in gradients), None, None, None


_projected.defvjp(_projected_forward, _projected_backward)
