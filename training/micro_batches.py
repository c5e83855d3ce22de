"""The parts of a batch that are read one after the other, to save memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def sum_over(gradient_of: Callable, batch, accumulate: int, tick: Callable | None):
  """The sum of what `gradient_of` returns over the micro-batches of a batch."""
  if accumulate == 1:
    return gradient_of(batch)
  micros = jax.tree.map(lambda x: _micro_batches(x, accumulate), batch)

  def add(sums, numbered):
    index, micro = numbered
    sums = jax.tree.map(jnp.add, sums, gradient_of(micro))
    if tick is not None:
      jax.debug.callback(tick, index)
    return sums, None

  first = jax.tree.map(lambda x: x[0], micros)
  shapes = jax.eval_shape(gradient_of, first)
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  return jax.lax.scan(add, zeros, (jnp.arange(accumulate), micros))[0]


def each(read: Callable, batch, accumulate: int) -> jax.Array:
  """What `read` gives for the rows of each micro-batch, in the order of the batch's rows."""
  micros = jax.tree.map(lambda x: _micro_batches(x, accumulate), batch)
  found_AxMx = jax.lax.map(read, micros)
  A, M, *rest = found_AxMx.shape
  return jnp.moveaxis(found_AxMx, 0, 1).reshape(A * M, *rest)


def _micro_batches(x_Bx, accumulate: int):
  """B... as AxB/A..., taking every A-th row, so that rows stay on the devices that hold them."""
  B = x_Bx.shape[0]
  return jnp.moveaxis(x_Bx.reshape(B // accumulate, accumulate, *x_Bx.shape[1:]), 1, 0)
