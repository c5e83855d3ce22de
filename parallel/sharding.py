"""Where arrays live: rules from the letters of an array's axes to the axes of the device mesh."""

import math

import flax.linen as nn
import jax
from jax.experimental import mesh_utils, multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from configs.schema import meshes
from parallel.axes import ROWS, RULES
from runtime.errors import DeviceError


def find_devices(platform: str = 'auto') -> list[jax.Device]:
  """All devices of all processes; the first call starts jax's backend.

  Args:
    platform: that they must be of: cpu, gpu or tpu.

  Raises:
    DeviceError: none is there that was asked for.
  """
  try:
    found = jax.devices()
  except (
    RuntimeError,
    AssertionError,
  ) as error:  # jax asserts where a platform that was named has no device
    asked = jax.config.jax_platforms or 'any'
    said = f' ({str(error).splitlines()[0]})' if str(error) else ''
    raise DeviceError(
      f'no device of platform {asked} can be used here{said}. Install the extra cuda or tpu, or '
      'run on the CPU: --config.platform=cpu, without JAX_PLATFORMS in the environment.'
    ) from error
  if platform not in ('auto', found[0].platform):
    raise DeviceError(
      f'config.platform={platform} was asked for, and jax found {found[0].platform}: install the '
      'extra cuda or tpu, look at JAX_PLATFORMS in the environment, or pass --config.platform=auto.'
    )
  return found


def make_mesh(config, devices=None) -> Mesh:
  """The device mesh of a `config.mesh`; the axis of -1 takes the devices that remain."""
  devices = jax.devices() if devices is None else devices
  sizes = meshes.sizes(config, len(devices))
  # Auto: linen's modules say nothing of meshes, the compiler propagates from parameters and batch.
  return Mesh(
    arrange(sizes, devices), tuple(sizes), axis_types=(jax.sharding.AxisType.Auto,) * len(sizes)
  )


def arrange(sizes: dict[str, int], devices) -> np.ndarray:
  """Devices as a mesh of these sizes, neighbours in it near each other.

  jax.make_mesh knows one slice of TPUs, and on all but v5e no axis that is only a part of one of
  the torus. Between slices the network is slow, so the first axes are those that go over it: data,
  whose gradients are summed once a step, before fsdp, which gathers parameters in every layer,
  before tensor, which exchanges activations.
  """
  slices = left = len({getattr(device, 'slice_index', 0) for device in devices})
  outer = []
  for size in sizes.values():
    outer.append(math.gcd(size, left))
    left //= outer[-1]
  inner = [size // part for size, part in zip(sizes.values(), outer)]
  if slices == 1:
    return mesh_utils.create_device_mesh(inner, devices, allow_split_physical_axes=True)
  return mesh_utils.create_hybrid_device_mesh(inner, outer, devices, allow_split_physical_axes=True)


def spec(mesh: Mesh, letters: tuple[str | None, ...], shape: tuple[int, ...]) -> PartitionSpec:
  """How an array whose axes have these letters is split; an
  axis that does not divide stays whole.
  """
  taken: set[str] = set()
  parts = []
  for letter, size in zip(letters, shape, strict=True):
    axes = tuple(axis for axis in RULES.get(letter or '', ()) if axis not in taken)
    count = math.prod(mesh.shape[axis] for axis in axes)
    if not axes or count == 1 or size % count:
      parts.append(None)
      continue
    taken.update(axes)
    parts.append(axes if len(axes) > 1 else axes[0])
  return PartitionSpec(*parts)


def shardings(mesh: Mesh, boxed):
  """A sharding for each leaf of a tree whose arrays are
  boxed with their letters (or are scalars).
  """

  def leaf(x):
    if isinstance(x, nn.Partitioned):
      # A box may be empty: the optimiser of other parameters keeps nothing for this one.
      return jax.tree.map(
        lambda array: NamedSharding(mesh, spec(mesh, x.names, array.shape)), x.value
      )
    return NamedSharding(mesh, PartitionSpec())

  return jax.tree.map(leaf, boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned))


def bytes_a_device(tree) -> int:
  """Of one device's part of a tree of arrays, or of their shapes with shardings."""
  return sum(
    math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree)
  )


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows are split over data and fsdp, whatever else a batch's arrays hold."""
  return NamedSharding(mesh, PartitionSpec(ROWS))


def row_parts(mesh: Mesh) -> int:
  """Into how many parts the rows of a batch are split."""
  return mesh.shape['data'] * mesh.shape['fsdp']


def rows_here(mesh: Mesh, B: int) -> np.ndarray:
  """Which rows of a batch of B the devices of this process hold, in order."""
  parts = batch_sharding(mesh).addressable_devices_indices_map((B,)).values()
  return np.unique(np.concatenate([np.arange(B)[part] for part in parts]))


def rows_counted(mesh: Mesh, B: int) -> np.ndarray:
  """Those of them that this process answers for: of devices
  that hold the same rows, the first one does.
  """
  first_R = mesh.devices.reshape(-1, mesh.shape['tensor'])[:, 0]
  here_R = np.array([device.process_index == jax.process_index() for device in first_R])
  return np.arange(B).reshape(len(first_R), -1)[here_R].ravel()


def shard_batch(batch, mesh: Mesh):
  """A batch as global arrays on the mesh, from the rows of this process.

  Not jax.make_array_from_process_local_data: where several processes hold the same rows, as under
  tensor, it would have to be told which rows these are.
  """
  sharding = batch_sharding(mesh)
  parts = row_parts(mesh)
  parts_here_R = rows_here(mesh, parts)

  def put(x_Bx):
    rows = len(x_Bx) // len(parts_here_R)  # of a part

    def rows_of(where):
      part = (where[0].start or 0) // rows
      first = np.searchsorted(parts_here_R, part) * rows
      return x_Bx[first : first + rows]

    return jax.make_array_from_callback((parts * rows, *x_Bx.shape[1:]), sharding, rows_of)

  return {name: put(x_Bx) for name, x_Bx in batch.items()}


def to_host(tree):
  """Arrays of a tree on this host, whole; where other processes
  hold parts of them, all must ask together.
  """
  here = lambda x: not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated
  return jax.tree.map(
    lambda x: np.asarray(x) if here(x) else multihost_utils.process_allgather(x, tiled=True), tree
  )


def round_up(rows: int, mesh: Mesh) -> int:
  """The next batch size that every device gets an equal part of."""
  return -(-rows // mesh.devices.size) * mesh.devices.size
