"""Bytes that a compiled program reads from main memory and writes to it.

Read in programs of libtpu 0.0.42.1 and of jax 0.10.2's CPU compiler, where it agrees with XLA's
'bytes accessed' of a program without loops.
"""

import math
import re

from tools.plan.hlo import COLLECTIVES, Instruction, Program, array_bytes, arrays

# Opcodes that move nothing by themselves.
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
# Custom calls that move nothing either: the TPU compiler joins with them the pieces of an array
# that it copied onto the chip.
#   custom-call(%a, %b), custom_call_target="ConcatBitcast"
_NO_WORK = re.compile(r'custom_call_target="(?:AllocateBuffer|ConcatBitcast|ZeroCrop)"')
# Custom calls that begin and end a collective which runs beside other work. The fusions in between
# have its arrays as operands and results, and move nothing of them.
#   custom-call(%gather), custom_call_target="AsyncCollectiveStart"
_ASYNC_COLLECTIVE = re.compile(r'custom_call_target="AsyncCollective(?:Start|Done)"')
# The name of such a fusion begins so.
#   %async_collective_fusion.7 (part: f32[4], whole: f32[32], x: f32[16]) -> ... {
_ASYNC_FUSION = 'async_collective_fusion'
_SLICES = ('slice', 'dynamic-slice')


def memory_traffic(program: Program) -> int:
  """Bytes read and written in one run; the start of a copy counts, its end does not again."""
  total = 0
  for visit in program.visits():
    if not visit.fused:
      instructions = program.computations[visit.computation]
      moved = sum(_moved(program, visit.computation, each) for each in instructions)
      total += visit.times * moved
  return total


def _moved(program: Program, computation: str, instruction: Instruction) -> int:
  """Bytes that one instruction reads and writes each time that it runs."""
  opcode = instruction.opcode
  if opcode in _FREE or opcode.endswith('-done'):
    return 0
  if opcode == 'custom-call' and _NO_WORK.search(instruction.rest):
    return 0
  shapes = {each.name: each.shape for each in program.computations[computation]}
  sizes = [array_bytes(shapes.get(name, ''), hbm_only=True) for name in instruction.operands]
  written = array_bytes(instruction.shape, hbm_only=True)
  if opcode.endswith('-start'):
    if opcode.removesuffix('-start') in _SLICES:
      # The shape is (what goes in, the piece, ...), and only the piece is read.
      piece = arrays(instruction.shape)[1]
      return (array_bytes(piece) if sizes[0] else 0) + array_bytes(piece, hbm_only=True)
    # The shape of the result includes what goes in.
    return sum(sizes) + max(0, written - sum(sizes))
  if opcode in _SLICES:
    return 2 * written
  if opcode == 'dynamic-update-slice':
    return 2 * sizes[1]
  if opcode == 'fusion':
    inside = program.called(instruction)[0]
    read = [min(size, _read(program, inside, index)) for index, size in enumerate(sizes)]
    return sum(read) + _written(program, inside, arrays(instruction.shape))
  return written + sum(sizes)


def _read(program: Program, computation: str, index: int) -> float:
  """Bytes that a fusion reads of a parameter; of a stack of layers, those of the layer it works on.

  Infinite if it reads the whole parameter, whose size the caller knows.
  """
  instructions = program.computations[computation]
  shapes = {each.name: each.shape for each in instructions}
  names, total = {_parameter(instructions, index)}, 0
  is_async = _is_async(program, computation)
  for each in instructions:
    if not names & {*each.operands}:
      continue
    if is_async and (each.opcode in ('tuple', *COLLECTIVES) or _ASYNC_COLLECTIVE.search(each.rest)):
      continue
    if each.opcode == 'bitcast':
      names.add(each.name)
    elif each.opcode in _SLICES and each.operands[0] in names:
      total += array_bytes(each.shape)
    elif each.opcode == 'dynamic-update-slice' and each.operands[0] in names:
      total += array_bytes(shapes.get(each.operands[1], ''))
    elif each.opcode == 'fusion':
      inside = program.called(each)[0]
      for position, name in enumerate(each.operands):
        if name in names:
          total += _read(program, inside, position)
    else:
      return math.inf
  return total


def _parameter(instructions: list[Instruction], index: int) -> str | None:
  """The name of a computation's parameter, as in `%x = f32[4]{0} parameter(0)`."""
  for each in instructions:
    if each.opcode == 'parameter' and each.rest.startswith(f'{index})'):
      return each.name
  return None


def _written(program: Program, computation: str, shapes: list[str]) -> int:
  """Bytes that a fusion writes of its results; of a stack that it updates in place, one layer.

  Args:
    shapes: of the results.
  """
  root = program.computations[computation][-1]
  if root.opcode == 'fusion':
    return _written(program, program.called(root)[0], shapes)
  by_name = {each.name: each for each in program.computations[computation]}
  if root.opcode == 'tuple':
    results = [by_name[name] for name in root.operands]
  else:
    results = [root] * len(shapes)
  return sum(
    _result_bytes(program, computation, result, shape) for result, shape in zip(results, shapes)
  )


def _result_bytes(program: Program, computation: str, result: Instruction, shape: str) -> int:
  """Bytes that a fusion writes of one result of a shape."""
  by_name = {each.name: each for each in program.computations[computation]}
  while result.opcode == 'bitcast' and result.operands and result.operands[0] in by_name:
    result = by_name[result.operands[0]]
  whole = array_bytes(shape, hbm_only=True)
  if _is_async(program, computation):
    passed_on = result.opcode in ('parameter', *COLLECTIVES)
    if passed_on or 'AsyncCollectiveStart' in result.rest:
      return 0  # what a collective writes counts where it is done
  if result.opcode == 'dynamic-update-slice':
    return min(whole, array_bytes(by_name[result.operands[1]].shape))
  if result.opcode == 'fusion':
    return min(whole, _written(program, program.called(result)[0], [shape]))
  return whole


def _is_async(program: Program, computation: str) -> bool:
  """Whether a fusion is a part of a collective that runs beside other work."""
  if computation.startswith(_ASYNC_FUSION):
    return True
  return any(
    each.opcode == 'custom-call' and _ASYNC_COLLECTIVE.search(each.rest)
    for each in program.computations[computation]
  )
