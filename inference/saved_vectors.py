"""A .npy file of vectors that is written part by part, and goes on after a kill.

Beside FILE.npy lies FILE.npy.json, which says what the rows are of. While it is written there are
FILE.npy.part, float32, and FILE.npy.part.json, which says the same and how many rows are done.
"""

from collections.abc import Callable
import json
import os
from pathlib import Path

import numpy as np

from inference import precision as precisions
from runtime import json_file
from runtime.atomic import atomic_write
from runtime.errors import StateError

CHUNK = 8_192  # rows between two notes of how many are done
_FIELDS = dict(rows=int, width=int, precision=str)


class Saved:
  """A finished matrix on disk.

  Attributes:
    about: what its JSON says; {} of a file without one.
    rows, width: of the vectors, which may be stored in fewer bits.

  Raises:
    StateError: it is no matrix of numbers, or not that of its JSON.
    OSError: it cannot be read.
  """

  def __init__(self, path: Path):
    try:
      self._stored = np.load(path, mmap_mode='r', allow_pickle=False)
    except ValueError as error:
      raise StateError(f'{path} is no .npy file of numbers, or damaged: {error}') from error
    if not isinstance(self._stored, np.ndarray) or self._stored.ndim != 2:
      raise StateError(f'{path} is no matrix: a row for each line is needed')
    beside = _beside(path)
    todo = 'Write the matrix again with --output.'
    self.about = {}
    if beside.exists():
      self.about = json_file.read_object(beside, _FIELDS, refuse=StateError, todo=todo)
    elif self._stored.dtype.kind != 'f':
      raise StateError(
        f'{path} holds {self._stored.dtype} and {beside.name} is not there, which says what that '
        f'means. {todo}'
      )
    self._precision = self.about.get('precision', 'float32')
    self.rows, self.width = self._stored.shape
    self.width = self.about.get('width', self.width)
    self._range_2xD = np.array(self.about['ranges'], np.float32) if 'ranges' in self.about else None
    self._check(path, todo)

  def read(self, start: int, stop: int) -> np.ndarray:
    """Rows as float32 vectors."""
    return precisions.restore(
      self._stored[start:stop], self._precision, self.width, self._range_2xD
    )

  def _check(self, path: Path, todo: str):
    if self._precision not in precisions.PRECISIONS:
      raise StateError(f'{_beside(path)}: there is no precision {self._precision!r}. {todo}')
    wanted = (
      self.about.get('rows', self.rows),
      precisions.stored_width(self.width, self._precision),
    )
    ranged = self._precision in precisions.RANGED
    fits = self._stored.shape == wanted
    fits &= not self.about or self._stored.dtype == precisions.TYPES[self._precision]
    fits &= not ranged or np.shape(self._range_2xD) == (2, self.width)
    if not fits:
      raise StateError(f'{path} is not the matrix that {_beside(path).name} describes. {todo}')


def write(
  path: Path,
  about: dict,
  embed: Callable[[int, int], np.ndarray],
  say: Callable[[str], None],
):
  """Writes the vectors of `about['rows']` texts; goes on where a process before it was stopped.

  Args:
    about: what the vectors are of: rows, width, precision, and all that decides their numbers.
    embed: (start, stop) -> the vectors of these texts, float32.
    say: is told when it goes on.

  Raises:
    StateError: a part of other vectors is there.
    OSError: the disk is full, or cannot be written.
  """
  part = path.with_name(path.name + '.part')
  done = _done(part, about)
  if done:
    say(f'{part.name} has {done:,} of {about["rows"]:,} rows: going on there')
  with open(part, 'r+b' if done else 'w+b') as file:
    _header(file, about['rows'], about['width'], '<f4')
    first = file.tell()
    for start in range(done, about['rows'], CHUNK):
      stop = min(start + CHUNK, about['rows'])
      file.seek(first + 4 * start * about['width'])
      file.write(np.ascontiguousarray(embed(start, stop), '<f4').tobytes())
      file.flush()
      os.fsync(file.fileno())
      atomic_write(_beside(part), json.dumps(about | dict(done=stop)))
  new, about = _converted(part, path, about)
  atomic_write(_beside(path), json.dumps(about))
  new.replace(path)
  part.unlink(missing_ok=True)
  _beside(part).unlink()


def _beside(path: Path) -> Path:
  return path.with_name(path.name + '.json')


def _header(file, rows: int, width: int, dtype):
  descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
  np.lib.format.write_array_header_1_0(
    file, dict(descr=descr, fortran_order=False, shape=(rows, width))
  )


def _done(part: Path, about: dict) -> int:
  """Rows that a process before has written; 0 where there was none."""
  if not (part.exists() and _beside(part).exists()):
    return 0
  todo = f'Remove {part} to begin anew, or name another --output.'
  found = json_file.read_object(_beside(part), dict(done=int), refuse=StateError, todo=todo)
  done = found.pop('done')
  differ = [name for name in about if found.get(name) != about[name]]
  if differ:
    lines = [f'{name} was {found.get(name)}, is {about[name]}' for name in differ]
    raise StateError(f'{part} holds other vectors: {"; ".join(lines)}. {todo}')
  if not 0 <= done <= about['rows'] or part.stat().st_size < 4 * done * about['width']:
    raise StateError(f'{part} is damaged: it is shorter than {_beside(part).name} says. {todo}')
  return done


def _converted(part: Path, path: Path, about: dict) -> tuple[Path, dict]:
  """(the file of the finished rows in their precision, `about` with their ranges)."""
  precision = about['precision']
  if precision == 'float32':
    return part, about
  vector_NxD = np.load(part, mmap_mode='r')
  chunks = [slice(start, start + CHUNK) for start in range(0, about['rows'], CHUNK)]
  range_2xD = None
  if precision in precisions.RANGED:
    ends = [(vector_NxD[chunk].min(axis=0), vector_NxD[chunk].max(axis=0)) for chunk in chunks]
    least, most = zip(*ends)
    range_2xD = np.stack([np.min(least, axis=0), np.max(most, axis=0)])
    about = about | dict(ranges=range_2xD.tolist())
  new = path.with_name(path.name + '.new')
  with open(new, 'wb') as file:
    for chunk in chunks:
      stored = precisions.convert(vector_NxD[chunk], precision, range_2xD)
      if not chunk.start:
        _header(file, about['rows'], stored.shape[1], stored.dtype)
      file.write(stored.tobytes())
  return new, about
