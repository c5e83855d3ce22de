"""What the chips of a program say to each other, by kind and size, from the text of its HLO."""

from collections import Counter
import dataclasses
import math
import re

from tools.plan.hlo import KINDS, Instruction, Program, size


@dataclasses.dataclass(frozen=True)
class Collective:
  """Collectives of one kind, size and group.

  Attributes:
    kind: one of KINDS.
    bytes: of the whole array: what is reduced, or what is there once it is gathered.
    group: positions, in the mesh's order, of the devices that share it with the first one.
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
    share = {'all-reduce': 2 * (n - 1) / n, 'collective-permute': 1.0}.get(self.kind, (n - 1) / n)
    return self.bytes * share * self.times


def collectives(program: Program, devices: int) -> list[Collective]:
  """The collectives of a program over so many devices, equal ones as one, the most bytes first."""
  found: dict[str, Collective] = {}
  for name, times, fused in program.visits():
    for each in program.computations[name]:
      kind = each.opcode.removesuffix('-start')
      if kind == 'send' and (sent := _between_slices(each, times, devices)):
        found[f'{name}/{each.name}'] = sent
      elif kind in KINDS and len(group := _group(kind, each.rest, devices)) > 1:
        channel = re.search(r'channel_id=(\d+)', each.rest)
        key = channel[1] if channel else f'{name}/{each.name}'
        # One that overlaps is a piece of each of the fusions beside which it runs, in loops or not.
        times = min(times, found[key].times) if key in found else times
        found[key] = Collective(
          *_kind_and_bytes(kind, each, name, len(group)),
          group,
          fused or each.opcode != kind,
          _source(each.rest),
          times,
        )
  equal: Counter[Collective] = Counter()
  for each in found.values():
    equal[dataclasses.replace(each, times=0)] += each.times
  return sorted(
    (dataclasses.replace(each, times=times) for each, times in equal.items()), key=lambda x: -x.sent
  )


def _between_slices(send: Instruction, times: int, devices: int) -> Collective | None:
  """What a chip exchanges with its twins in other slices, through its host and beside other work.

  None: a message to the host for anything else.
  """
  kind = re.search(r'_xla_megascale_transfer_type="(\w+)"', send.rest)
  slices = re.search(r'_xla_megascale_target="\{([\d,]+)\}', send.rest)
  if not kind or not slices:
    return None
  count = len(slices[1].split(','))
  whole = max(size(each[0]) for each in re.finditer(r'\w+\[[\d,]*\]', send.shape))
  kind = kind[1].lower().replace('_', '-')
  return Collective(
    kind if kind in KINDS else 'collective-permute',
    whole * (count if kind == 'all-gather' else 1),
    tuple(range(0, devices, devices // count)),
    True,
    'between slices',
    times,
  )


def _kind_and_bytes(
  kind: str, instruction: Instruction, computation: str, count: int
) -> tuple[str, int]:
  whole = size(instruction.shape)
  # the TPU compiler's fusion of the two
  if kind == 'all-reduce' and 'all-reduce-scatter' in computation:
    return 'reduce-scatter', whole
  if kind == 'reduce-scatter':
    return kind, whole * count
  # its result lists what goes in as well
  if instruction.opcode in ('all-gather-start', 'collective-permute-start'):
    return kind, max(size(each[0]) for each in re.finditer(r'\w+\[[\d,]*\]', instruction.shape))
  return kind, whole


def _source(rest: str) -> str:
  """The operation of the source, without what is the same everywhere."""
  named = re.search(r'op_name="([^"]*)"', rest)
  everywhere = r'jit\([^)]*\)/|while/|body/|closed_call/|checkpoint/|rematted_computation/'
  return re.sub(everywhere, '', named[1]) if named else ''


def _group(kind: str, rest: str, devices: int) -> tuple[int, ...]:
  """Positions that take part with the first device, from each
  of the ways in which HLO writes groups.
  """
  if kind == 'collective-permute':
    pair = re.search(r'source_target_pairs=\{\{(\d+),(\d+)\}', rest)
    return int(pair[1]), int(pair[2])
  if listed := re.search(r'replica_groups=\{\{([\d,]+)\}', rest):
    return tuple(map(int, listed[1].split(',')))
  if iota := re.search(r'replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?', rest):
    dims = [int(x) for x in iota[3].split(',')]
    return _first(
      dims, [int(x) for x in iota[4].split(',')] if iota[4] else [*range(len(dims))], int(iota[2])
    )
  if named := re.search(r'replica_groups=mesh\[([^\]]*)\].*?\{([^}]*)\}', rest):
    sizes = {name: int(length) for name, length in re.findall(r"'(\w+)'=(\d+)", named[1])}
    names, used = [*sizes], re.findall(r"'(\w+)'", named[2])
    order = [name for name in names if name not in used] + used
    places = _first(
      [*sizes.values()],
      [names.index(name) for name in order],
      math.prod(sizes[name] for name in used),
    )
    # which device is at each place
    if turned := re.search(r'device_ids=\(\[([\d,]+)\]T\(([\d,]+)\)\)', rest):
      dims = [int(x) for x in turned[1].split(',')]
      ids = _first(dims, [int(x) for x in turned[2].split(',')], math.prod(dims))
      return tuple(ids[place] for place in places)
    return places
  return tuple(range(devices))


def _first(dims: list[int], order: list[int], count: int) -> tuple[int, ...]:
  """The first `count` of the numbers 0, 1, ... of an array of
  these dimensions, its axes in another order.
  """
  strides = [math.prod(dims[axis + 1 :]) for axis in range(len(dims))]
  group = []
  for flat in range(count):
    position = 0
    for axis in reversed(order):
      flat, index = divmod(flat, dims[axis])
      position += index * strides[axis]
    group.append(position)
  return tuple(group)
