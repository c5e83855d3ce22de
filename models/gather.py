"""Rows of a batch: kept on the devices that hold them, as the batch is
split over the mesh, and read at some places.
"""

import math

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec


def keep_rows(x_BxTxD: jax.Array) -> jax.Array:
  """The same array, its rows split over the mesh axes data and fsdp, nothing else of it split.

  Where parameters are split over fsdp too, the compiler may otherwise split activations as their
  parameters are, let every device work on all rows, and sum whole
  activations over the devices for each product.
  """
  mesh = jax.sharding.get_abstract_mesh()
  axes = tuple(
    name for name in ('data', 'fsdp') if name in mesh.axis_names and mesh.shape[name] > 1
  )
  if not axes or x_BxTxD.shape[0] % math.prod(mesh.shape[name] for name in axes):
    return x_BxTxD
  return jax.lax.with_sharding_constraint(x_BxTxD, PartitionSpec(axes))


def gather_positions(x_BxSx: jax.Array, place_BxT: jax.Array | None) -> jax.Array:
  """The elements of each row that stand at its T places, BxTx...; None: all of them."""
  if place_BxT is None:
    return x_BxSx
  return jnp.take_along_axis(
    x_BxSx, place_BxT.reshape(*place_BxT.shape, *(1,) * (x_BxSx.ndim - 2)), axis=1
  )
