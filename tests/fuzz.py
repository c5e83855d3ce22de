"""Damaged files for every reader: each is read, or refused in words with a documented exit code.

  python tests/fuzz.py --inputs=100000 --seed=0 [--reader=NAME]

All in one process. A fault is an exception that would end a program with a traceback (exit code 1),
one that blames the machine (6), a panic of a library, a message of nothing, or more than a minute
for one small file.
"""

import argparse
from collections import Counter
import contextlib
import dataclasses
import io
import logging
from pathlib import Path
import random
import shutil
import tempfile
import time
import traceback
import warnings

from fuzz_readers import READERS, ROOT, Reader
import mutations

from runtime import cli

_SECONDS = 60


@dataclasses.dataclass
class Found:
  """What came of the inputs of a reader."""

  read: int = 0
  refused: Counter = dataclasses.field(default_factory=Counter)  # by exit code
  faults: dict[str, list[str]] = dataclasses.field(default_factory=dict)  # by place: [message, ...]


def fuzz(name: str, inputs: int, seed: int, folder: Path) -> Found:
  """Runs a reader over that many damaged versions of its files."""
  reader, found = READERS[name], Found()
  valid, damaged = folder / 'valid', folder / 'damaged'
  valid.mkdir(parents=True)
  reader.seed(valid)
  shutil.copytree(valid, damaged)
  with contextlib.redirect_stdout(io.StringIO()):
    reader.read(damaged)  # what is valid is read
  shutil.rmtree(damaged)
  names = sorted(str(path.relative_to(valid)) for path in valid.rglob('*') if path.is_file())
  for number in range(inputs):
    draw = random.Random(f'{name} {seed} {number}')
    shutil.copytree(valid, damaged)
    path = damaged / draw.choice(names)
    path.write_bytes(mutations.mutated(path.read_bytes(), draw))
    _note(reader, damaged, f'input {number}, {path.name}', found)
    shutil.rmtree(damaged)
  return found


def _note(reader: Reader, folder: Path, where: str, found: Found):
  began = time.process_time()
  try:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
      reader.read(folder)
    found.read += 1
  except KeyboardInterrupt:
    raise
  except BaseException as error:  # a panic of a library in Rust is no Exception
    code = cli.exit_code(error) if isinstance(error, Exception) else 1
    if code not in (2, 3, 4, 5) or not cli.message(error).strip():
      text = ''.join(traceback.format_exception(error))[-3_000:]
      found.faults.setdefault(_place(error), []).append(f'{where}: {text}')
    else:
      found.refused[code] += 1
  if time.process_time() - began > _SECONDS:
    found.faults.setdefault('too slow', []).append(where)


def _place(error: BaseException) -> str:
  frames = traceback.extract_tb(error.__traceback__)
  product = lambda path: path.startswith(f'{ROOT}/') and not path.startswith(f'{ROOT}/tests/')
  ours = [frame for frame in frames if product(frame.filename)]
  last = (ours or frames)[-1]
  return f'{Path(last.filename).name}:{last.lineno} {type(error).__name__}: {str(error)[:80]!r}'


def main(inputs: int, seed: int, names: list[str]) -> dict[str, Found]:
  """{reader: what came of its inputs}."""
  warnings.simplefilter('ignore')
  logging.disable(logging.CRITICAL)
  shares = sum(READERS[name].share for name in names)
  found = {}
  for name in names:
    with tempfile.TemporaryDirectory(prefix='onemask-fuzz-') as folder:
      count = max(1, round(inputs * READERS[name].share / shares))
      began = time.monotonic()
      found[name] = fuzz(name, count, seed, Path(folder))
      print(line(name, found[name]), f'({time.monotonic() - began:.0f} s)', flush=True)
      for place, messages in found[name].faults.items():
        print(f'  FAULT {len(messages)} times: {place}\n{messages[0]}', flush=True)
  return found


def line(name: str, one: Found) -> str:
  """A row of a table: how many inputs, and what came of them."""
  faults = sum(len(messages) for messages in one.faults.values())
  refused = ', '.join(f'{count:,} with {code}' for code, count in sorted(one.refused.items()))
  total = one.read + one.refused.total() + faults
  return (
    f'{name}: {total:,} inputs, {one.read:,} read, {refused or "none"} refused, {faults} faults'
  )


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--inputs', type=int, default=20_000)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--reader', action='append', choices=READERS)
  asked = parser.parse_args()
  main(asked.inputs, asked.seed, asked.reader or list(READERS))
