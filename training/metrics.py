"""The metrics of a run: one JSON object per step in metrics.jsonl, the same numbers in TensorBoard.

The row of step n holds what was measured at n: validation (val/...) on the parameters before update
n, then the update itself (train/...). The last row, at step = steps, has validation only. Rows are
written once and in order, so `step` is strictly increasing. A resumed run first drops the rows that
it will write again.

A kill may cut off the last line, which no newline ends; that line counts as not written. Anything
else that is no row is damage: whoever reads the log refuses it. A resumed run says so, keeps the
damaged file as metrics.jsonl.damaged, and goes on with the rows that are whole.

An object of an object store cannot be appended to. There the rows lie in metrics/STEP.jsonl, parts
named by their first step. The newest part is rewritten as a whole every 30 seconds and before each
checkpoint. TensorBoard's files can only be appended to, so on a store there are none.
"""

from collections.abc import Iterable, Sequence
import contextlib
import hashlib
import json
import math
import re
import time

from etils import epath
import numpy as np

from runtime import flaky, json_file, storage
from runtime.errors import StateError

_FILE, _PARTS = 'metrics.jsonl', 'metrics'
_PART = re.compile(r'\d+\.jsonl')
# On a store: seconds between writes of the newest part, and bytes at which a part is full.
_PART_EVERY_S, _PART_BYTES = 30, 1 << 20


class MetricsLog:
  """Appends rows to the log. A float32 can be read back exactly.

  Args:
    directory: the workdir, on a disk or in an object store.
    resume_step: rows of this step and later ones are dropped first.
    tensorboard: whether to write TensorBoard events too; ignored on a store.
    say: called with a line about each file of the log that is damaged.
  """

  def __init__(self, directory: epath.PathLike, *, resume_step: int, tensorboard: bool, say=print):
    remote = storage.remote(directory)
    self._file = (_Parts if remote else _File)(epath.Path(directory), resume_step, say)
    self._board = None
    if tensorboard and not remote:
      # Imported here: the library imports torch where that is installed, which takes seconds.
      from training.tensorboard import Board

      self._board = Board(epath.Path(directory) / 'tensorboard', resume_step)

  def write(self, row: dict):
    """Appends one row; it holds `step`, above that of every row before it."""
    self._file.write({name: _plain(value) for name, value in row.items()})
    if self._board is not None:
      self._board.write(row)

  def flush(self):
    """Makes all rows durable, in TensorBoard too; called before each checkpoint."""
    self._file.flush()
    if self._board is not None:
      self._board.flush()

  def close(self):
    self._file.close()
    if self._board is not None:
      self._board.close()


class _File:
  """metrics.jsonl: one line per row, on disk as soon as it is written."""

  def __init__(self, folder: epath.Path, resume_step: int, say):
    path = folder / _FILE
    if path.exists():  # replaced, not truncated: a kill in between would lose all rows
      rows, damage = _parse(path.read_bytes())
      if damage:
        _keep(path, damage, say)
      storage.write(path, _lines(row for row in rows if row['step'] < resume_step))
    self._file = path.open('a')
    self.close = self._file.close

  def write(self, row: dict):
    self._file.write(_lines([row]))
    self.flush()

  def flush(self):
    flaky.insist(self._file.flush)  # what was not written is still in its buffer


class _Parts:
  """The same lines as several objects of a store."""

  def __init__(self, folder: epath.Path, resume_step: int, say):
    self._folder = folder / _PARTS
    self._rows: list[dict] = []
    for path in reversed(_parts(folder)):  # from the end: a kill in between leaves no gap
      rows, damage = _parse(path.read_bytes())
      kept = [row for row in rows if row['step'] < resume_step]
      if damage:
        _keep(path, damage, say)
        path.write_text(_lines(kept))
      elif not kept:
        path.unlink()
      elif len(kept) < len(rows):
        self._rows = kept  # that part is written again below
    self.flush()

  def write(self, row: dict):
    self._rows.append(row)
    if time.monotonic() - self._flushed > _PART_EVERY_S:
      self.flush()

  def flush(self):
    self._flushed = time.monotonic()
    if not self._rows:
      return
    text = _lines(self._rows)
    part = self._folder / f'{self._rows[0]["step"]:08d}.jsonl'
    flaky.insist(lambda: part.write_text(text))
    if len(text) > _PART_BYTES:
      self._rows = []

  close = flush


def read(directory: epath.PathLike) -> list[dict]:
  """Returns the rows of a run, oldest first, without a last line that was cut off; [] if none.

  Raises:
    StateError: a line is damaged.
  """
  found = []
  for path in _paths(epath.Path(directory)):
    rows, damage = _parse(path.read_bytes())
    if damage:
      raise StateError(
        f'{path} is damaged: {damage}. Bring a copy back, or remove what is damaged: rows of the '
        'log are then missing.'
      )
    found += rows
  return found


def there(directory: epath.PathLike) -> bool:
  """Whether a run has written a row, damaged or not."""
  return any(_parse(path.read_bytes()) != ([], '') for path in _paths(epath.Path(directory)))


def _paths(directory: epath.Path) -> list[epath.Path]:
  """The files of the log, in their order."""
  if storage.remote(directory):
    return _parts(directory)
  return [path for path in [directory / _FILE] if path.exists()]


def _parts(folder: epath.Path) -> list[epath.Path]:
  folder = folder / _PARTS
  if not folder.exists():
    return []
  found = [path for path in folder.iterdir() if _PART.fullmatch(path.name)]
  return sorted(found, key=lambda path: int(path.stem))


def _keep(path: epath.Path, damage: str, say):
  """Copies a damaged file, says so, and leaves the file to be written anew."""
  names = (f'{path.name}.damaged{suffix}' for suffix in ('', *map('-{}'.format, range(2, 1000))))
  aside = next(name for name in names if not path.with_name(name).exists())
  storage.write(path.with_name(aside), path.read_bytes())
  say(f'WARNING: {path} is damaged: {damage}. It is kept as {aside}; its other rows stay.')


def _lines(rows: Iterable[dict]) -> str:
  return ''.join(json.dumps(row) + '\n' for row in rows)


def _parse(content: bytes) -> tuple[list[dict], str]:
  """Returns (the rows that are whole, what is wrong with the other lines)."""
  *lines, last = content.split(b'\n')
  rows, wrong = [], []
  for number, line in enumerate(lines, start=1):
    try:
      rows.append(_row(line))
    except ValueError as error:
      wrong.append(f'line {number:,}: {error}')
  with contextlib.suppress(ValueError):  # what no newline ends was cut off
    rows.append(_row(last))
  more = f', and {len(wrong) - 1:,} more lines' if len(wrong) > 1 else ''
  return rows, wrong[0] + more if wrong else ''


def _row(line: bytes) -> dict:
  """Returns the row of a line; raises ValueError if it holds none."""
  row = json_file.parse_object(line)
  json_file.check_fields(row, dict(step=int))
  return row


# Names under which earlier versions hashed an array, so that hashes do not change.
_HASHED_AS = dict(epoch='look')


def batch_hash(batch: dict[str, np.ndarray], *, local_rows: Sequence[int] | None = None) -> int:
  """Returns a 64-bit hash of a batch: the sum over rows of a hash of (global row, content).

  The hashes of the parts that several processes hold add up, modulo 2^64, to that of the batch.

  Args:
    batch: arrays with the rows as first axis.
    local_rows: the rows' numbers in the global batch; None: the batch is the global batch.
  """
  arrays = sorted((_HASHED_AS.get(name, name), x_Bx) for name, x_Bx in batch.items())
  if local_rows is None:
    local_rows = range(len(arrays[0][1]))
  total = 0
  for row, global_row in enumerate(local_rows):
    digest = hashlib.blake2b(int(global_row).to_bytes(8, 'little'), digest_size=8)
    for name, x_Bx in arrays:
      digest.update(name.encode())
      digest.update(x_Bx[row].tobytes())
    total += int.from_bytes(digest.digest(), 'little')
  return total % 2**64


def _plain(value):
  """Returns NaN and infinities as strings, because JSON has neither."""
  return str(value) if isinstance(value, float) and not math.isfinite(value) else value
