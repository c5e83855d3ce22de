"""The text of a compiled program, read: which operations
run how often, and what they read and write.

XLA's own analysis counts the body of a loop once. Here an
operation counts as often as the loops around it turn.
"""

from collections import Counter
from collections.abc import Iterator
import math
import re
from typing import NamedTuple

_SIZES = dict(
  pred=1, s8=1, u8=1, s16=2, u16=2, bf16=2, f16=2, s32=4, u32=4, f32=4, s64=8, u64=8, f64=8
)
_HEAD = re.compile(r'^(ENTRY )?%?([\w.\-]+) \(.*\{$')
_INSTRUCTION = re.compile(r'^\s+(?:ROOT )?%?([\w.\-]+) = (.+?) ([a-z][\w\-]*)\((.*)$')
_NAME = re.compile(r'%([\w.\-]+)')
_CALLED = re.compile(r'(?:calls|body|to_apply|true_computation|false_computation)=%?([\w.\-]+)')
_BRANCHES = re.compile(r'branch_computations=\{([^}]*)\}')
_ARRAY = re.compile(r'\b([a-z]+\d*)\w*\[([\d,]*)\](\{[^}]*\})?')
# in a layout: not in the chip's main memory, but beside its units
_NEAR = re.compile(r'S\([1-9]\d*\)')
# They move nothing by themselves.
_FREE = (
  'parameter',
  'constant',
  'tuple',
  'get-tuple-element',
  'bitcast',
  'while',
  'conditional',
  'call',
  'after-all',
  'partition-id',
)
# Nor do these custom calls, with which the TPU compiler joins
# pieces of an array that it copied beside the units.
_NO_WORK = re.compile(r'custom_call_target="(?:AllocateBuffer|ConcatBitcast|ZeroCrop)"')
# These carry a collective along while other work is done:
# nothing of theirs is moved by that work itself.
_CARRIES = re.compile(r'custom_call_target="AsyncCollective(?:Start|Done)"')
_CARRYING = 'async_collective_fusion'
KINDS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute')
_SLICES = ('slice', 'dynamic-slice')
# What these call works on single numbers.
_BY_ELEMENT = (
  'reduce',
  'scatter',
  'sort',
  'reduce-window',
  'select-and-scatter',
  'map',
  'all-reduce',
  'reduce-scatter',
  'all-reduce-start',
)


class Instruction(NamedTuple):
  name: str
  shape: str
  opcode: str
  operands: tuple[str, ...]
  rest: str  # of the line, from the operands on


class Program:
  """Instructions of each computation by its name."""

  def __init__(self, text: str):
    self.computations: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in text.splitlines():
      if head := _HEAD.match(line):
        current = self.computations[head[2]] = []
        self.entry = head[2] if head[1] else getattr(self, 'entry', '')
      elif match := _INSTRUCTION.match(line):
        name, shape, opcode, rest = match.groups()
        current.append(
          Instruction(name, shape, opcode, tuple(_NAME.findall(rest.partition(')')[0])), rest)
        )

  def visits(self) -> Iterator[tuple[str, int, bool]]:
    """(computation, how often it runs, whether it is part of a
    fusion), once for each place that calls it.
    """
    stack = [(self.entry, 1, False)]
    while stack:
      name, times, fused = stack.pop()
      yield name, times, fused
      for each in self.computations[name]:
        if each.opcode not in _BY_ELEMENT:
          often = times * (self.trips(name, each) if each.opcode == 'while' else 1)
          stack += [
            (called, often, fused or each.opcode == 'fusion') for called in self.called(each)
          ]

  def called(self, instruction: Instruction) -> list[str]:
    names = _CALLED.findall(instruction.rest)
    for branches in _BRANCHES.findall(instruction.rest):
      names += re.findall(r'[\w.\-]+', branches)
    return [name for name in names if name in self.computations]

  def trips(self, computation: str, loop: Instruction) -> int:
    """How often a loop turns: what the compiler noted, or the number
    that its condition compares with, less the first.

    That is 1 where the compiler put a first turn before the loop.
    """
    if known := re.search(r'known_trip_count\W+n\W+(\d+)', loop.rest):
      return int(known[1])
    condition = self.computations[re.search(r'condition=%?([\w.\-]+)', loop.rest)[1]]
    by_name = {each.name: each for each in self.computations[computation]}
    begin, first = by_name.get(loop.operands[0]), None
    for each in condition:
      if each.opcode == 'get-tuple-element' and begin and begin.opcode == 'tuple':
        first = by_name.get(begin.operands[int(re.search(r'index=(\d+)', each.rest)[1])])
    while first and first.opcode in ('copy', 'bitcast'):
      first = by_name.get(first.operands[0])
    return (max(map(_number, condition)) or 1) - (_number(first) if first else 0)

  def kernels(self) -> dict[str, int]:
    """How often each kernel runs that the compiler did not write itself."""
    found = Counter()
    for name, times, _ in self.visits():
      for each in self.computations[name]:
        if each.opcode == 'custom-call' and 'custom_call_target="tpu_custom_call"' in each.rest:
          found[each.name.partition('.')[0]] += times
    return dict(found)

  def bytes(self) -> int:
    """Read from and written to main memory; the start of a copy counts, its end does not again."""
    return sum(
      times * sum(self._moved(name, each) for each in self.computations[name])
      for name, times, fused in self.visits()
      if not fused
    )

  def _moved(self, computation: str, instruction: Instruction) -> int:
    opcode = instruction.opcode
    if (
      opcode in _FREE
      or opcode.endswith('-done')
      or opcode == 'custom-call'
      and _NO_WORK.search(instruction.rest)
    ):
      return 0
    shapes = {each.name: each.shape for each in self.computations[computation]}
    sizes = [size(shapes.get(operand, ''), near=False) for operand in instruction.operands]
    written = size(instruction.shape, near=False)
    if opcode.removesuffix('-start') in _SLICES and opcode.endswith('-start'):
      # behind what goes in, of which no more is read
      piece = [*_ARRAY.finditer(instruction.shape)][1][0]
      return (size(piece) if sizes[0] else 0) + size(piece, near=False)
    if opcode.endswith('-start'):  # its result lists what goes in as well
      return sum(sizes) + max(0, written - sum(sizes))
    if opcode in _SLICES:
      return 2 * written
    if opcode == 'dynamic-update-slice':
      return 2 * sizes[1]
    if opcode == 'fusion':
      inside = self.called(instruction)[0]
      sizes = [min(whole, self._read(inside, number)) for number, whole in enumerate(sizes)]
      written = self._written(inside, [each[0] for each in _ARRAY.finditer(instruction.shape)])
    return written + sum(sizes)

  def _read(self, computation: str, number: int) -> float:
    """Bytes that a fusion reads of a parameter: of a stack of layers, the one that it works on."""
    instructions = self.computations[computation]
    mine = next(
      (
        each.name
        for each in instructions
        if each.opcode == 'parameter' and each.rest.startswith(f'{number})')
      ),
      None,
    )
    shapes = {each.name: each.shape for each in instructions}
    names, total = {mine}, 0
    carries = self._carries(computation)
    for each in instructions:
      if not names & {*each.operands}:
        continue
      if carries and (each.opcode in ('tuple', *KINDS) or _CARRIES.search(each.rest)):
        continue
      if each.opcode == 'bitcast':
        names.add(each.name)
      elif each.opcode in _SLICES and each.operands[0] in names:
        total += size(each.shape)
      elif each.opcode == 'dynamic-update-slice' and each.operands[0] in names:
        total += size(shapes.get(each.operands[1], ''))
      elif each.opcode == 'fusion':
        total += sum(
          self._read(self.called(each)[0], place)
          for place, name in enumerate(each.operands)
          if name in names
        )
      else:
        return math.inf
    return total

  def _written(self, computation: str, shapes: list[str]) -> int:
    """Bytes that a fusion writes of results of these shapes: one
    layer of each stack that it updates in place.
    """
    by_name = {each.name: each for each in self.computations[computation]}
    root = self.computations[computation][-1]
    carries = self._carries(computation)
    if root.opcode == 'fusion':
      return self._written(self.called(root)[0], shapes)
    if root.opcode == 'tuple':
      return sum(
        self._result(by_name, by_name[name], shape, carries)
        for name, shape in zip(root.operands, shapes)
      )
    return sum(self._result(by_name, root, shape, carries) for shape in shapes)

  def _result(
    self, by_name: dict[str, Instruction], result: Instruction, shape: str, carries: bool
  ) -> int:
    """Bytes that are written of one result of a fusion."""
    while result.opcode == 'bitcast' and result.operands and result.operands[0] in by_name:
      result = by_name[result.operands[0]]
    whole = size(shape, near=False)
    if carries and (
      result.opcode in ('parameter', *KINDS) or 'AsyncCollectiveStart' in result.rest
    ):
      return 0  # what was gathered counts where it is done
    if result.opcode == 'dynamic-update-slice':
      return min(whole, size(by_name[result.operands[1]].shape))
    return (
      min(whole, self._written(self.called(result)[0], [shape]))
      if result.opcode == 'fusion'
      else whole
    )

  def _carries(self, computation: str) -> bool:
    return computation.startswith(_CARRYING) or any(
      each.opcode == 'custom-call' and _CARRIES.search(each.rest)
      for each in self.computations[computation]
    )


def _number(instruction: Instruction) -> int:
  """Of a constant that is one whole number; 0 of anything else."""
  whole = instruction.opcode == 'constant' and re.match(r'[su]\d+\[\]', instruction.shape)
  return int(match[1]) if whole and (match := re.match(r'(\d+)\)', instruction.rest)) else 0


def size(shape: str, *, near: bool = True) -> int:
  """Bytes of an array, or of all arrays of a tuple; `near`
  counts those outside of main memory, too.
  """
  return sum(
    math.prod(map(int, filter(None, dims.split(',')))) * _SIZES.get(kind, 4)
    for kind, dims, layout in _ARRAY.findall(shape)
    if near or not _NEAR.search(layout)
  )
