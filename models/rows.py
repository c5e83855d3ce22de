"""Rows stay on the devices that hold them: activations are split over the mesh as the batch is."""

import math

import jax
from jax.sharding import PartitionSpec


def keep_rows(x_BxTxD: jax.Array) -> jax.Array:
  """The same array, its rows split over the mesh axes data and fsdp, nothing else of it split.

  Where parameters are split over fsdp too, the compiler may otherwise split activations as their parameters are, let
  every device work on all rows, and sum whole activations over the devices for each product.
  """
  mesh = jax.sharding.get_abstract_mesh()
  axes = tuple(name for name in ('data', 'fsdp') if name in mesh.axis_names and mesh.shape[name] > 1)
  if not axes or x_BxTxD.shape[0] % math.prod(mesh.shape[name] for name in axes):
    return x_BxTxD
  return jax.lax.with_sharding_constraint(x_BxTxD, PartitionSpec(axes))
