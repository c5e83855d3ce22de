"""What the chips of a compiled program send each other, by kind and size, from the text of its HLO.

Read in programs of libtpu 0.0.42.1 and of jax 0.10.2's CPU compiler, like tools/plan/hlo.py.
"""

from collections import Counter
from collections.abc import Sequence
import dataclasses
import math
import re

from tools.plan.hlo import COLLECTIVES, Instruction, Program, array_bytes, arrays

# The instructions of one collective have one channel.
#   all-reduce(%x), channel_id=12, replica_groups=...
_CHANNEL = re.compile(r'channel_id=(\d+)')

# A transfer between slices, which goes through the hosts: its kind, and the slices that take part.
#   send(%x, %token), frontend_attributes={_xla_megascale_target="{1,2}x{0:7}",
#     _xla_megascale_transfer_type="ALL_REDUCE"}
_SLICE_TRANSFER = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_SLICE_TARGET = re.compile(r'_xla_megascale_target="\{([\d,]+)\}')

# The operation of the source that an instruction serves.
#   metadata={op_name="jit(train_step)/jvp(Network)/trunk/while/body/attention/dot_general"}
_OP_NAME = re.compile(r'op_name="([^"]*)"')
# The parts of such a name that say nothing about the source.
_TRANSFORMATIONS = re.compile(
  r'jit\([^)]*\)/|while/|body/|closed_call/|checkpoint/|rematted_computation/'
)

# The devices of a collective, in each way in which HLO writes them: pairs,
#   source_target_pairs={{0,1},{1,2},{2,3}}
_PAIR = re.compile(r'source_target_pairs=\{\{(\d+),(\d+)\}')
# groups of devices,
#   replica_groups={{0,2},{1,3}}
_LISTED_GROUPS = re.compile(r'replica_groups=\{\{([\d,]+)\}')
# (groups, devices in a group), which cut into groups the devices 0, 1, ... as an array of these
# dimensions, its axes in this order,
#   replica_groups=[4,2]<=[2,4]T(1,0)
_IOTA_GROUPS = re.compile(r'replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?')
# or a mesh, and the axes along which a group extends.
#   replica_groups=mesh['data'=2,'fsdp'=1,'tensor'=4] {'data','tensor'}
_MESH_GROUPS = re.compile(r'replica_groups=mesh\[([^\]]*)\].*?\{([^}]*)\}')
_MESH_AXIS = re.compile(r"'(\w+)'=(\d+)")
_AXIS_NAME = re.compile(r"'(\w+)'")
# A mesh may hold its devices in another order.
#   mesh['data'=2,'fsdp'=4], device_ids=([4,2]T(1,0)) {'fsdp'}
_DEVICE_ORDER = re.compile(r'device_ids=\(\[([\d,]+)\]T\(([\d,]+)\)\)')


@dataclasses.dataclass(frozen=True)
class Collective:
  """Collectives of one kind, size and group.

  Attributes:
    kind: one of `hlo.COLLECTIVES`.
    bytes: of the whole array: what is reduced, or the result of a gather.
    group: the devices that share it with the first one, as positions in the mesh's order.
    overlaps: the compiler lets it run beside other work.
    what: the operation of the source that it serves.
    times: how often it runs in a step.
  """

  kind: str
  bytes: int
  group: tuple[int, ...]
  overlaps: bool
  what: str
  times: int = 0

  @property
  def sent(self) -> float:
    """Bytes that a chip must send in a step, on a ring or on anything as good."""
    n = len(self.group)
    if self.kind == 'all-reduce':  # a reduce-scatter and an all-gather
      share = 2 * (n - 1) / n
    elif self.kind == 'collective-permute':
      share = 1.0
    else:
      share = (n - 1) / n
    return self.bytes * share * self.times


def collectives(program: Program, devices: int) -> list[Collective]:
  """The collectives of a program over so many devices; equal ones are one, the most bytes first."""
  found: dict[str, Collective] = {}
  for visit in program.visits():
    for each in program.computations[visit.computation]:
      collective = _collective(each, visit.computation, visit.fused, devices)
      if collective is None:
        continue
      key = f'{visit.computation}/{each.name}'
      channel = _CHANNEL.search(each.rest)
      if channel and each.opcode != 'send':
        key = channel[1]
      # A collective that runs beside other work is a part of each fusion of that work, inside
      # loops or not. It runs as often as the part that runs least.
      times = min(visit.times, found[key].times) if key in found else visit.times
      found[key] = dataclasses.replace(collective, times=times)
  equal: Counter[Collective] = Counter()
  for each in found.values():
    equal[dataclasses.replace(each, times=0)] += each.times
  merged = [dataclasses.replace(each, times=times) for each, times in equal.items()]
  return sorted(merged, key=lambda each: -each.sent)


def _collective(
  instruction: Instruction, computation: str, fused: bool, devices: int
) -> Collective | None:
  """An instruction as a collective; None if it is none, or of a single device."""
  opcode = instruction.opcode
  if opcode == 'send':
    return _between_slices(instruction, devices)
  kind = opcode.removesuffix('-start')
  if kind not in COLLECTIVES:
    return None
  group = _group(kind, instruction.rest, devices)
  if len(group) < 2:
    return None
  if kind == 'all-reduce' and 'all-reduce-scatter' in computation:
    # The TPU compiler's fusion of an all-reduce with the slice that a chip keeps.
    kind = 'reduce-scatter'
    size = array_bytes(instruction.shape)
  else:
    size = _whole_bytes(kind, instruction, len(group))
  return Collective(
    kind=kind,
    bytes=size,
    group=group,
    overlaps=fused or opcode.endswith('-start'),
    what=_source(instruction.rest),
  )


def _whole_bytes(kind: str, instruction: Instruction, count: int) -> int:
  """Bytes of the whole array that a collective of `count` devices is about."""
  if kind == 'reduce-scatter':  # the result is a device's share
    return array_bytes(instruction.shape) * count
  if instruction.opcode in ('all-gather-start', 'collective-permute-start'):
    # The shape of the result includes what goes in.
    return max(map(array_bytes, arrays(instruction.shape)))
  return array_bytes(instruction.shape)


def _between_slices(send: Instruction, devices: int) -> Collective | None:
  """What a chip exchanges with its counterparts in other slices, through its host.

  None if the message to the host is about anything else.
  """
  transfer = _SLICE_TRANSFER.search(send.rest)
  slices = _SLICE_TARGET.search(send.rest)
  if not transfer or not slices:
    return None
  count = len(slices[1].split(','))
  kind = transfer[1].lower().replace('_', '-')
  size = max(map(array_bytes, arrays(send.shape)))
  return Collective(
    kind=kind if kind in COLLECTIVES else 'collective-permute',
    bytes=size * (count if kind == 'all-gather' else 1),
    group=tuple(range(0, devices, devices // count)),
    overlaps=True,
    what='between slices',
  )


def _source(rest: str) -> str:
  """The operation of the source, without the names of transformations."""
  named = _OP_NAME.search(rest)
  return _TRANSFORMATIONS.sub('', named[1]) if named else ''


def _group(kind: str, rest: str, devices: int) -> tuple[int, ...]:
  """The devices that take part with the first one; all, if the text says nothing of them."""
  if kind == 'collective-permute':
    pair = _PAIR.search(rest)
    return int(pair[1]), int(pair[2])
  if listed := _LISTED_GROUPS.search(rest):
    return tuple(_numbers(listed[1]))
  if iota := _IOTA_GROUPS.search(rest):
    _, size, dims, order = iota.groups()
    dims = _numbers(dims)
    return _first(dims, _numbers(order) if order else [*range(len(dims))], int(size))
  if mesh := _MESH_GROUPS.search(rest):
    return _mesh_group(mesh[1], mesh[2], rest)
  return tuple(range(devices))


def _numbers(text: str) -> list[int]:
  return [int(number) for number in text.split(',')]


def _mesh_group(mesh: str, axes: str, rest: str) -> tuple[int, ...]:
  """The first group along some axes of a mesh, both as HLO writes them."""
  sizes = {name: int(length) for name, length in _MESH_AXIS.findall(mesh)}
  names, used = [*sizes], _AXIS_NAME.findall(axes)
  order = [name for name in names if name not in used] + used
  positions = _first(
    [*sizes.values()],
    [names.index(name) for name in order],
    math.prod(sizes[name] for name in used),
  )
  reordered = _DEVICE_ORDER.search(rest)
  if not reordered:
    return positions
  dims = _numbers(reordered[1])
  device_at = _first(dims, _numbers(reordered[2]), math.prod(dims))
  return tuple(device_at[position] for position in positions)


def _first(dims: Sequence[int], order: Sequence[int], count: int) -> tuple[int, ...]:
  """The first `count` numbers of the array 0, 1, ... of these dimensions, axes in another order."""
  strides = [math.prod(dims[axis + 1 :]) for axis in range(len(dims))]
  group = []
  for flat in range(count):
    position = 0
    for axis in reversed(order):
      flat, index = divmod(flat, dims[axis])
      position += index * strides[axis]
    group.append(position)
  return tuple(group)
