"""A bound on the time of a step, from what it must do and what a chip can do at best.

  compute   FLOPs (recomputation included) / peak of bfloat16 products
  memory    bytes read and written / bandwidth of the main memory
  links     bytes sent in collectives that wait for them / bandwidth of the links that their groups
            have
  hidden    the same of the collectives that the compiler lets run beside other work

The step takes max(compute, memory, hidden) + links. A real step has products that are too small for
the peak, and does not overlap all that could be: only a run measures that.
"""

from collections import Counter
import dataclasses

from tools.plan.chips import Topology
from tools.plan.collectives import Collective


@dataclasses.dataclass(frozen=True)
class Bound:
  """Seconds of a step."""

  compute: float
  memory: float
  links: float
  hidden: float

  @property
  def step(self) -> float:
    return max(self.compute, self.memory, self.hidden) + self.links

  @property
  def why(self) -> str:
    """What takes the most of it."""
    return max(dataclasses.asdict(self), key=lambda name: getattr(self, name))


def bound(
  topology: Topology, devices, *, flops: float, bytes: float, exchanged: list[Collective]
) -> Bound:
  """The bound for one chip's FLOPs, bytes and collectives; `devices` in the order of the mesh."""
  chip = topology.chip
  seconds = {True: Counter(), False: Counter()}
  for each in exchanged:
    # a link goes both ways, each as fast as one alone
    way = each.group if each.kind == 'collective-permute' else ()
    seconds[each.overlaps][way] += each.sent / bandwidth(
      topology, [devices[place] for place in each.group]
    )
  links, hidden = (
    ways.pop((), 0.0) + max(ways.values(), default=0.0) for ways in (seconds[False], seconds[True])
  )
  return Bound(flops / chip.flops, bytes / chip.hbm_bandwidth, links, hidden)


def bandwidth(topology: Topology, group) -> float:
  """Bytes a second that each chip of a group can send to the others.

  Along each axis of the torus on which the group is more than one chip wide: two links where it is
  a ring, otherwise one, as the ends of a line have one. The network between slices is the
  bottleneck of a group that has several.
  """
  chip = topology.chip
  if len({getattr(device, 'slice_index', 0) for device in group}) > 1:
    return chip.network
  widths = [len({device.coords[axis] for device in group}) for axis in range(len(topology.shape))]
  rings = [
    2 if width == length and length % chip.wraps == 0 else 1
    for width, length in zip(widths, topology.shape)
    if width > 1
  ]
  return chip.link * max(1, sum(rings))
