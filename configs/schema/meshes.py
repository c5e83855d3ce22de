"""Whether a config fits the devices that are there."""

import math

from configs.schema import grid
from configs.schema.check import ConfigError


def check(config, devices: int, processes: int, platform: str):
  """Raises ConfigError unless the mesh takes every device and
  the batch divides over all that share it.

  Args:
    devices: of all processes together.
    platform: cpu, gpu or tpu.
  """
  if config.model.remat != 'none' and not recomputes(config, platform):
    raise ConfigError(
      f'config.model.remat={config.model.remat} saves no memory on the CPU when layers are '
      'unrolled: set config.model.scan=True.'
    )
  home = dict(cudnn='gpu', splash='tpu').get(config.model.attention, platform)
  # splash can be interpreted, for tests
  if home != platform and (platform, home) != ('cpu', 'tpu'):
    raise ConfigError(
      f'config.model.attention={config.model.attention} runs on a {home} and not on a {platform}: '
      'auto takes what fits.'
    )
  try:
    mesh = sizes(config.mesh, devices)
  except ValueError as error:
    raise ConfigError(f'config.mesh: {error}') from error
  rows, micro = mesh['data'] * mesh['fsdp'], max(1, config.accumulate)
  period = grid.period(config)
  unit = period * math.lcm(rows * micro, processes)
  if config.batch_size % unit:
    below = config.batch_size // unit * unit
    fitting = ' or '.join(str(size) for size in (below, below + unit) if size)
    raise ConfigError(
      f'config.batch_size={config.batch_size} does not divide over {rows} parts of the mesh (data '
      f'x fsdp), {processes} processes and {micro} micro-batches'
      + (f', by {period} for the schedule' if period > 1 else '')
      + ': use '
      f'{fitting}.'
    )


def recomputes(config, platform: str) -> bool:
  """Whether computing activations again saves memory there.

  XLA's CPU compiler drops the barriers that tie recomputing to the backward pass, and schedules all
  of it early, unless layers are scanned.
  """
  return platform != 'cpu' or config.model.scan


def sizes(mesh, devices: int) -> dict[str, int]:
  """Devices along each axis of a `config.mesh`; the one of -1 takes those that remain.

  Raises:
    ValueError: they do not make up all devices.
  """
  asked = dict(mesh.items())
  fixed = math.prod(size for size in asked.values() if size != -1)
  found = {name: devices // fixed if size == -1 else size for name, size in asked.items()}
  if math.prod(found.values()) != devices:
    raise ValueError(
      f'{" x ".join(f"{name}={size}" for name, size in asked.items())} does not make {devices} '
      'devices. An axis of -1 takes all that the others leave; with data=-1, fsdp=1 and tensor=1 '
      'that is each.'
    )
  return found
