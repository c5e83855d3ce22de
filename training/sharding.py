"""Where arrays live: rules from the letters of an array's axes to the axes of the device mesh."""

import math

import flax.linen as nn
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from training.errors import DeviceError

# A letter that is not here is not split. An array uses each mesh axis once: the first letter wins.
RULES: dict[str, tuple[str, ...]] = dict(
    B=('data', 'fsdp'),
    V=('tensor',),
    H=('tensor',),
    G=('tensor',),
    F=('tensor',),
    D=('fsdp',),
    E=('fsdp',),
)


def find_devices() -> list[jax.Device]:
  """All devices of all processes; the first call starts jax's backend.

  Raises:
    DeviceError: none is there that was asked for.
  """
  try:
    return jax.devices()
  except (RuntimeError, AssertionError) as error:  # jax asserts where a platform that was named has no device
    asked = jax.config.jax_platforms or 'any'
    said = f' ({str(error).splitlines()[0]})' if str(error) else ''
    raise DeviceError(
        f'no device of platform {asked} can be used here{said}. Install the extra cuda or tpu, or run on the CPU: '
        '--config.platform=cpu, without JAX_PLATFORMS in the environment.') from error


def make_mesh(config, devices=None) -> Mesh:
  """The device mesh of a `config.mesh`; -1 takes the devices that remain."""
  devices = jax.devices() if devices is None else devices
  sizes = dict(data=config.data, fsdp=config.fsdp, tensor=config.tensor)
  fixed = math.prod(size for size in sizes.values() if size != -1)
  sizes = {name: len(devices) // fixed if size == -1 else size for name, size in sizes.items()}
  if math.prod(sizes.values()) != len(devices):
    raise ValueError(f'mesh {sizes} wants {math.prod(sizes.values())} devices, and there are {len(devices)}.')
  # Auto: linen's modules say nothing of meshes, the compiler propagates from parameters and batch.
  return jax.make_mesh(tuple(sizes.values()), tuple(sizes), devices=devices,
                       axis_types=(jax.sharding.AxisType.Auto,) * len(sizes))


def spec(mesh: Mesh, letters: tuple[str | None, ...], shape: tuple[int, ...]) -> PartitionSpec:
  """How an array whose axes have these letters is split; an axis that does not divide stays whole."""
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
  """A sharding for each leaf of a tree whose arrays are boxed with their letters (or are scalars)."""

  def leaf(x):
    if isinstance(x, nn.Partitioned):
      # A box may be empty: the optimiser of other parameters keeps nothing for this one.
      return jax.tree.map(lambda array: NamedSharding(mesh, spec(mesh, x.names, array.shape)), x.value)
    return NamedSharding(mesh, PartitionSpec())

  return jax.tree.map(leaf, boxed, is_leaf=lambda x: isinstance(x, nn.Partitioned))


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows are split over data and fsdp, whatever else a batch's arrays hold."""
  return NamedSharding(mesh, PartitionSpec(RULES['B']))


def place(batch, mesh: Mesh):
  """This process's rows of a batch as global arrays on the mesh."""
  sharding = batch_sharding(mesh)
  return {name: jax.make_array_from_process_local_data(sharding, x) for name, x in batch.items()}


def round_up(rows: int, mesh: Mesh) -> int:
  """The next batch size that every device gets an equal part of."""
  return -(-rows // mesh.devices.size) * mesh.devices.size
