"""A lower bound on the time of a step, from what it must do and what a chip can do at best.

  compute   FLOPs (recomputation included) / peak of bfloat16 products
  memory    bytes read and written / bandwidth of the main memory
  links     bytes sent in collectives that other work waits for / bandwidth of their links
  hidden    the same of the collectives that the compiler overlaps with other work

A step takes at least max(compute, memory, hidden) + links. A real step has products that are too
small for the peak, and overlaps less than it could: only a run measures that.
"""

from collections import Counter
import dataclasses

from tools.plan.chips import Topology
from tools.plan.collectives import Collective


@dataclasses.dataclass(frozen=True)
class Bound:
  """Seconds of a step, by what takes them; see the head of this file."""

  compute: float
  memory: float
  links: float
  hidden: float

  @property
  def step(self) -> float:
    """The least seconds of a whole step."""
    return max(self.compute, self.memory, self.hidden) + self.links

  @property
  def why(self) -> str:
    """The name of what takes most."""
    return max(dataclasses.asdict(self), key=lambda name: getattr(self, name))


def bound(
  topology: Topology, devices, *, flops: float, bytes: float, exchanged: list[Collective]
) -> Bound:
  """The bound for what one chip does in a step.

  Args:
    devices: in the order of the mesh.
    flops: of the chip, recomputation included.
    bytes: that it reads from and writes to its main memory.
    exchanged: its collectives.
  """
  chip = topology.chip
  links = _collective_seconds(topology, devices, [each for each in exchanged if not each.overlaps])
  hidden = _collective_seconds(topology, devices, [each for each in exchanged if each.overlaps])
  return Bound(flops / chip.flops, bytes / chip.hbm_bandwidth, links, hidden)


def _collective_seconds(topology: Topology, devices, exchanged: list[Collective]) -> float:
  """Seconds that a chip sends. Permutes in different directions overlap, all else is in turn."""
  in_turn = 0.0
  # A link carries both directions at once, each at its full bandwidth.
  by_direction: Counter[tuple[int, ...]] = Counter()
  for each in exchanged:
    seconds = each.sent / bandwidth(topology, [devices[position] for position in each.group])
    if each.kind == 'collective-permute':
      by_direction[each.group] += seconds
    else:
      in_turn += seconds
  return in_turn + max(by_direction.values(), default=0.0)


def bandwidth(topology: Topology, group) -> float:
  """Bytes a second that each chip of a group can send to the others.

  Along each axis of the torus on which the group is more than one chip wide it has two links if the
  group is a ring there, otherwise one, as the ends of a line have one. For a group in several
  slices the network between them is the bottleneck.

  Args:
    group: devices with their `coords`, and a `slice_index` if there are several slices.
  """
  chip = topology.chip
  if len({getattr(device, 'slice_index', 0) for device in group}) > 1:
    return chip.network
  links = 0
  for axis, length in enumerate(topology.shape):
    width = len({device.coords[axis] for device in group})
    if width > 1:
      is_ring = width == length and length % chip.wraps == 0
      links += 2 if is_ring else 1
  return chip.link * max(1, links)
