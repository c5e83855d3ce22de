"""TPU chips as published, and slices of them by name, as in v5e:16x16 or v5e-256.

Sources. Peak FLOP/s, memory and its bandwidth: cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e
(November 2026). Bandwidth of the links, and a chip's share of the data-centre network: "How to
Scale Your Model" (Austin et al. 2025, jax-ml.github.io/scaling-book/tpus). Its figures are what
collectives reach, a tenth below the nominal 50 and 100 GB/s.
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
    flops: FLOP/s of bfloat16 products.
    hbm_bytes: size of the main memory.
    hbm_bandwidth: bytes a second of the main memory.
    link: bytes a second in one direction, of each of the two links of each axis of the torus.
    network: bytes a second out of the slice.
    wraps: an axis is a ring if its length is a multiple of this; otherwise it is a line.
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
# libtpu reads these when it is loaded. Without them it asks the cloud's metadata server, and lets
# one process at a time load it.
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
    kind: a key of CHIPS, or 'cpu' for simulated devices.
    shape: of one slice.
    slices: how many there are.
  """

  name: str
  kind: str
  shape: tuple[int, ...]
  slices: int = 1

  @property
  def size(self) -> int:
    """Chips of all slices."""
    return math.prod(self.shape) * self.slices

  @property
  def platform(self) -> str:
    """cpu or tpu, as jax says it."""
    return 'cpu' if self.kind == 'cpu' else 'tpu'

  @property
  def chip(self) -> Chip | None:
    """What is published of the chip; None of a CPU."""
    return CHIPS.get(self.kind)

  def devices(self):
    """Devices to compile for. Nothing can run on those of a TPU that is not here.

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

    host = tuple(min(side, 2) for side in self.shape)  # a host has at most 2 x 2 chips
    # Without it a device of v4 is half a chip.
    options = dict(chip_config_name='megacore') if self.kind == 'v4' else {}
    if self.slices > 1:
      options['num_slices'] = self.slices
    return topologies.get_topology_desc(
      platform='tpu',
      topology_name=f'{self.kind}:{"x".join(map(str, self.shape))}',
      chips_per_host_bounds=(host[0], host[1], 1),
      **options,
    ).devices


# CHIP:SHAPE or CHIP-COUNT, and how many slices:
#   v5e:16x16*2
_NAME = re.compile(r'(\w+)[:-]([\dx]+)(?:\*(\d+))?')


def parse(name: str) -> Topology:
  """A topology from its name: v5e:16x16, v5e-256, v5e:16x16*2 (two slices), cpu:8 (simulated).

  Raises:
    ConfigError: there is none of that name; the message lists those of the chip.
  """
  match = _NAME.fullmatch(name.strip().lower())
  kind, shape, slices = match.groups() if match else (re.match(r'\w*', name)[0], '', '')
  count = int(slices or 1)
  if kind == 'cpu' and shape.isdigit() and int(shape) > 0:
    return Topology(name, kind, (int(shape),), count)
  if kind not in CHIPS:
    raise ConfigError(
      f'--topology={name}: the chip is one of {", ".join(CHIPS)}, or cpu for simulated devices, as '
      'in v5e:16x16, v5p-64 or cpu:8.'
    )
  shape_of = {math.prod(_sides(shape)): shape for shape in CHIPS[kind].shapes}
  if shape.isdigit():  # a number of chips
    shape = shape_of.get(int(shape), shape)
  if shape not in CHIPS[kind].shapes or count < 1:
    raise ConfigError(
      f'--topology={name}: slices of {kind} are {", ".join(CHIPS[kind].shapes)} (or {kind}-N '
      f'chips, N of {", ".join(map(str, shape_of))}); *2 behind one means two slices.'
    )
  return Topology(name, kind, _sides(shape), count)


def _sides(shape: str) -> tuple[int, ...]:
  return tuple(map(int, shape.split('x')))
