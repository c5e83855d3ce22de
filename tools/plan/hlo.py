"""The text of a compiled program (optimised HLO), parsed: which operations run, and how often.

XLA's own analysis counts the body of a loop once. Here an operation counts as often as its loops
iterate.

The text has no stable format. Everything here was read in programs of libtpu 0.0.42.1 and of jax
0.10.2's CPU compiler; read it again when one of them is updated, with tests/test_plan_hlo.py.
"""

from collections import Counter
from collections.abc import Iterator
import math
import re
from typing import NamedTuple

# Bytes of an element.
_ELEMENT_BYTES = dict(
  pred=1, s8=1, u8=1, s16=2, u16=2, bf16=2, f16=2, s32=4, u32=4, f32=4, s64=8, u64=8, f64=8
)

# The head of a computation: (ENTRY or nothing, name).
#   ENTRY %main.42 (x: f32[4], y: f32[4]) -> f32[4] {
_COMPUTATION = re.compile(r'^(ENTRY )?%?([\w.\-]+) \(.*\{$')

# An instruction: (name, shape, opcode, operands and attributes).
#   ROOT %sum.1 = f32[4]{0} add(%x, %y), metadata={op_name="jit(f)/add"}
_INSTRUCTION = re.compile(r'^\s+(?:ROOT )?%?([\w.\-]+) = (.+?) ([a-z][\w\-]*)\((.*)$')

# An operand.
#   %get-tuple-element.7
_OPERAND = re.compile(r'%([\w.\-]+)')

# A computation that an instruction calls. The condition of a loop is not counted.
#   while(%begin), condition=%condition.1, body=%body.2
#   fusion(%x), kind=kLoop, calls=%fused_computation.3
_CALLED = re.compile(r'(?:calls|body|to_apply|true_computation|false_computation)=%?([\w.\-]+)')

# The computations of a conditional with an index.
#   conditional(%index, %x, %x), branch_computations={%branch_0, %branch_1}
_BRANCHES = re.compile(r'branch_computations=\{([^}]*)\}')
_BRANCH = re.compile(r'[\w.\-]+')

# An array within a shape: (element type, dimensions, layout). A tuple has several.
#   bf16[8,128]{1,0:T(8,128)(2,1)S(1)}
ARRAY = re.compile(r'\b([a-z]+\d*)\w*\[([\d,]*)\](\{[^}]*\})?')

# Within a layout: a memory space that is not main memory (HBM) but on the chip beside its units.
#   {1,0:T(8,128)S(1)}
_ON_CHIP = re.compile(r'S\([1-9]\d*\)')

# The number of iterations, if the compiler knows it.
#   backend_config={"known_trip_count":{"n":"12"}}
_TRIP_COUNT = re.compile(r'known_trip_count\W+n\W+(\d+)')

# The condition of a loop.
#   while(%begin), condition=%condition.1, body=%body.2
_CONDITION = re.compile(r'condition=%?([\w.\-]+)')

# Which element of a tuple is taken.
#   get-tuple-element(%state), index=0
_INDEX = re.compile(r'index=(\d+)')

# A constant that is a single whole number: its shape, then what stands behind `constant(`.
#   %limit = s32[] constant(12)
_WHOLE_SCALAR = re.compile(r'[su]\d+\[\]')
_CONSTANT = re.compile(r'(\d+)\)')

COLLECTIVES = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute')
# What these call works on single numbers, and is not followed.
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
  """One line of a computation.

  Attributes:
    shape: of the result, as text with its layout; a tuple in parentheses.
    operands: names of instructions of the same computation.
    rest: of the line, behind the opening parenthesis: operands and attributes.
  """

  name: str
  shape: str
  opcode: str
  operands: tuple[str, ...]
  rest: str


class Visit(NamedTuple):
  """A computation at one place that calls it.

  Attributes:
    times: how often it runs there in one run of the program.
    fused: it is part of a fusion, so its intermediate results are not in main memory.
  """

  computation: str
  times: int
  fused: bool


class Program:
  """A parsed program.

  Attributes:
    computations: {name: instructions, in order; the root is the last}.
    entry: the name of the computation that runs first.
  """

  def __init__(self, text: str):
    self.computations: dict[str, list[Instruction]] = {}
    self.entry = ''
    current: list[Instruction] = []
    for line in text.splitlines():
      if head := _COMPUTATION.match(line):
        is_entry, name = head.groups()
        current = self.computations[name] = []
        if is_entry:
          self.entry = name
      elif match := _INSTRUCTION.match(line):
        name, shape, opcode, rest = match.groups()
        operands = _OPERAND.findall(rest.partition(')')[0])
        current.append(Instruction(name, shape, opcode, tuple(operands), rest))

  def visits(self) -> Iterator[Visit]:
    """Every computation, once for each place that calls it."""
    stack = [Visit(self.entry, 1, False)]
    while stack:
      visit = stack.pop()
      yield visit
      for each in self.computations[visit.computation]:
        if each.opcode in _BY_ELEMENT:
          continue
        times = visit.times
        if each.opcode == 'while':
          times *= self.trip_count(visit.computation, each)
        fused = visit.fused or each.opcode == 'fusion'
        stack += [Visit(called, times, fused) for called in self.called(each)]

  def called(self, instruction: Instruction) -> list[str]:
    """The computations that an instruction calls."""
    names = _CALLED.findall(instruction.rest)
    for branches in _BRANCHES.findall(instruction.rest):
      names += _BRANCH.findall(branches)
    return [name for name in names if name in self.computations]

  def trip_count(self, computation: str, loop: Instruction) -> int:
    """How often a loop iterates.

    What the compiler noted; or else the number that the condition compares with, less the first
    value of the counter. That is 1 if the compiler peeled the first iteration off the loop.
    """
    if known := _TRIP_COUNT.search(loop.rest):
      return int(known[1])
    condition = self.computations[_CONDITION.search(loop.rest)[1]]
    limit = max(map(_whole_number, condition)) or 1
    first = self._first_count(computation, loop, condition)
    return limit - (_whole_number(first) if first else 0)

  def _first_count(
    self, computation: str, loop: Instruction, condition: list[Instruction]
  ) -> Instruction | None:
    """What the counter of a loop begins with; None if that is not known."""
    by_name = {each.name: each for each in self.computations[computation]}
    begin, first = by_name.get(loop.operands[0]), None
    for each in condition:
      if each.opcode == 'get-tuple-element' and begin and begin.opcode == 'tuple':
        index = int(_INDEX.search(each.rest)[1])
        first = by_name.get(begin.operands[index])
    while first and first.opcode in ('copy', 'bitcast'):
      first = by_name.get(first.operands[0])
    return first

  def kernels(self) -> dict[str, int]:
    """How often each kernel runs that is ours and not the compiler's."""
    found: Counter[str] = Counter()
    for visit in self.visits():
      for each in self.computations[visit.computation]:
        if each.opcode == 'custom-call' and 'custom_call_target="tpu_custom_call"' in each.rest:
          found[each.name.partition('.')[0]] += visit.times
    return dict(found)


def _whole_number(instruction: Instruction) -> int:
  """The value of a constant that is a single whole number; 0 of anything else."""
  if instruction.opcode != 'constant' or not _WHOLE_SCALAR.match(instruction.shape):
    return 0
  value = _CONSTANT.match(instruction.rest)
  return int(value[1]) if value else 0


def arrays(shape: str) -> list[str]:
  """The arrays of a shape, each with its layout."""
  return [match[0] for match in ARRAY.finditer(shape)]


def array_bytes(shape: str, *, hbm_only: bool = False) -> int:
  """Bytes of an array, or of all arrays of a tuple.

  Args:
    hbm_only: leave out those that are on the chip and not in main memory.
  """
  total = 0
  for kind, dims, layout in ARRAY.findall(shape):
    if hbm_only and _ON_CHIP.search(layout):
      continue
    elements = math.prod(map(int, filter(None, dims.split(','))))
    total += elements * _ELEMENT_BYTES.get(kind, 4)
  return total
