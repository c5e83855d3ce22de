"""The axes of the device mesh, and which letters of an array they split: said once, here.

data    rows; every device of it holds all parameters.
fsdp    rows, and parameters too, which are gathered where they are used.
tensor  heads, feed-forward width and vocabulary.
"""

from collections.abc import Callable
import math

import jax
from jax.sharding import PartitionSpec

ROWS = ('data', 'fsdp')
HEAD_AXES = ('tensor',)

# A letter that is not here is not split. An array uses each mesh axis once: the first letter wins.
RULES: dict[str, tuple[str, ...]] = dict(
  B=ROWS, V=('tensor',), H=HEAD_AXES, G=HEAD_AXES, F=('tensor',), D=('fsdp',), E=('fsdp',)
)


def dividing(mesh, axes: tuple[str, ...], *sizes: int) -> tuple[str, ...]:
  """Those of `axes` that the mesh has, if all sizes divide over them together; else none."""
  names = tuple(name for name in axes if name in mesh.axis_names)
  parts = math.prod(mesh.shape[name] for name in names)
  return names if all(size % parts == 0 for size in sizes) else ()


def row_parts(B: int) -> tuple[int, tuple[str, ...]]:
  """(R, axes): over how many parts the mesh in context splits B rows, and by which of its axes.

  (1, ()) where there is one part, or where B does not divide.
  """
  mesh = jax.sharding.get_abstract_mesh()
  axes = tuple(name for name in ROWS if name in mesh.axis_names and mesh.shape[name] > 1)
  R = math.prod(mesh.shape[name] for name in axes)
  return (R, axes) if axes and B % R == 0 else (1, ())


def keep_rows(x_BxTxD: jax.Array) -> jax.Array:
  """The same array, its rows split over the mesh as the batch's are, nothing else of it split.

  Where parameters are split over fsdp too, the compiler may otherwise split activations as their
  parameters are, let every device work on all rows, and sum whole activations over the devices for
  each product.
  """
  parts, axes = row_parts(x_BxTxD.shape[0])
  if parts == 1:
    return x_BxTxD
  return jax.lax.with_sharding_constraint(x_BxTxD, PartitionSpec(axes))


def pin_first_axis(axes: tuple[str, ...]) -> Callable[[jax.Array], jax.Array]:
  """A function that keeps the first axis of an array split over `axes`, the others as they come."""
  free = PartitionSpec.UNCONSTRAINED

  def pin(x_Rx: jax.Array) -> jax.Array:
    spec = PartitionSpec(axes, *(free,) * (x_Rx.ndim - 1))
    return jax.lax.with_sharding_constraint(x_Rx, spec)

  return pin
