"""TPU chips as published, and slices of them by name:
v5e:16x16, v5e-256, v5e:16x16*2 (two slices), cpu:8.

Peaks, memory and its bandwidth: cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e (November 2026).
Links and the share of the data-centre network a chip: "How to Scale Your Model" (Austin et al.
2025, jax-ml.github.io/scaling-book/tpus), which is what collectives
reach, a tenth below the nominal 50 and 100 GB/s.
"""

import dataclasses
import importlib.util
import math
import os
import re

from configs.schema.check import ConfigError
from runtime.errors import DeviceError


@dataclasses.dataclass(frozen=True)
class Chip:
  """What one chip can do at best.

  Attributes:
    flops: a second, bfloat16 products.
    hbm_bytes: memory.
    hbm_bandwidth: bytes a second.
    link: bytes a second in one direction, of each of the two links of each axis of the torus.
    network: bytes a second out of the slice.
    wraps: an axis is a ring where its length divides by this; otherwise it is a line.
    shapes: slices that are offered, smallest first.
  """

  flops: float
  hbm_bytes: int
  hbm_bandwidth: float
  link: float
  network: float
  wraps: int
  shapes: tuple[str, ...]


_FLAT = ('1x1', '2x2', '2x4', '4x4', '4x8', '8x8', '8x16', '16x16')
_CUBIC = ('1x1x1', '2x2x1', '2x2x2', '2x2x4', '2x4x4', '4x4x4', '4x4x8', '4x8x8')
CHIPS = dict(
  v4=Chip(275e12, 32 * 2**30, 1200e9, 45e9, 6.25e9, 4, _CUBIC),
  v5e=Chip(197e12, 16 * 2**30, 819e9, 45e9, 3.125e9, 16, _FLAT),
  v5p=Chip(459e12, 95 * 2**30, 2765e9, 90e9, 6.25e9, 4, _CUBIC),
  v6e=Chip(918e12, 32 * 2**30, 1638e9, 90e9, 12.5e9, 16, _FLAT),
)
# libtpu reads these as it is loaded; it would ask the cloud's
# metadata server, and let one process at a time load it.
_ENVIRONMENT = dict(
  JAX_PLATFORMS='cpu',
  TPU_SKIP_MDS_QUERY='1',
  TPU_WORKER_HOSTNAMES='localhost',
  TPU_ACCELERATOR_TYPE='v5litepod-4',
  ALLOW_MULTIPLE_LIBTPU_LOAD='1',
  TPU_STDERR_LOG_LEVEL='3',
  TPU_MIN_LOG_LEVEL='3',
)


@dataclasses.dataclass(frozen=True)
class Topology:
  """Chips of one kind, as a torus.

  Attributes:
    name: as in 'v5e:16x16'.
    kind: of CHIPS, or cpu.
    shape: of one slice.
    slices: how many of them.
  """

  name: str
  kind: str
  shape: tuple[int, ...]
  slices: int = 1

  @property
  def size(self) -> int:
    return math.prod(self.shape) * self.slices

  @property
  def platform(self) -> str:
    return 'cpu' if self.kind == 'cpu' else 'tpu'

  @property
  def chip(self) -> Chip | None:
    """What is published of the chip; nothing of a CPU."""
    return CHIPS.get(self.kind)

  def devices(self):
    """Devices to compile for. Nothing can run on those of a TPU.

    Raises:
      DeviceError: libtpu is not installed.
    """
    import jax

    if self.platform == 'cpu':
      jax.config.update('jax_num_cpu_devices', self.size)
      return jax.devices('cpu')
    if importlib.util.find_spec('libtpu') is None:
      raise DeviceError(
        f"planning for {self.name} needs the TPU compiler, not a TPU: pip install -e '.[tpu]' "
        '(Linux on x86). Without it: --topology=cpu:8.'
      )
    os.environ.update(_ENVIRONMENT)
    jax.config.update('jax_platforms', 'cpu')
    from jax.experimental import topologies

    bounds = tuple(min(side, 2) for side in self.shape) + (1,) * (3 - len(self.shape))
    # otherwise a device is half a chip
    options = dict(chip_config_name='megacore') if self.kind == 'v4' else {}
    if self.slices > 1:
      options['num_slices'] = self.slices
    return topologies.get_topology_desc(
      platform='tpu',
      topology_name=f'{self.kind}:{"x".join(map(str, self.shape))}',
      chips_per_host_bounds=(bounds[0], bounds[1], 1),
      **options,
    ).devices


def parse(name: str) -> Topology:
  """A topology from its name.

  Raises:
    ConfigError: there is none of that name; the message lists those of the chip.
  """
  read = re.fullmatch(r'(\w+)[:-]([\dx]+)(?:\*(\d+))?', name.strip().lower())
  kind, shape, slices = read.groups() if read else (re.match(r'\w*', name)[0], '', '')
  count = int(slices or 1)
  if kind == 'cpu' and shape.isdigit() and int(shape) > 0:
    return Topology(name, kind, (int(shape),), count)
  if kind not in CHIPS:
    raise ConfigError(
      f'--topology={name}: the chip is one of {", ".join(CHIPS)}, or cpu for simulated devices, as '
      'in v5e:16x16, v5p-64 or cpu:8.'
    )
  sizes = {math.prod(map(int, each.split('x'))): each for each in CHIPS[kind].shapes}
  if shape.isdigit():
    shape = sizes.get(int(shape), shape)
  if shape not in sizes.values() or count < 1:
    raise ConfigError(
      f'--topology={name}: slices of {kind} are {", ".join(sizes.values())} (or {kind}-N chips, N '
      f'of {", ".join(map(str, sizes))}); *2 behind one means two slices.'
    )
  return Topology(name, kind, tuple(map(int, shape.split('x'))), count)
