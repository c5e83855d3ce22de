"""What a run measured: one JSON object a step in metrics.jsonl, the same numbers in TensorBoard.

The row of step n holds what was measured at n: validation (val/...) on the parameters before update
n, then the update itself (train/...). The last row, at step = steps, has validation only. Rows are
written once and in order, so `step` is strictly increasing; a resumed
run first drops the rows that it will write again.

Nothing can be added to an object of a store. There the rows lie in metrics/STEP.jsonl, parts named
by their first step; the newest is written again, whole, now and then and before each checkpoint.
TensorBoard's files only ever grow, so a store has none.
"""

from collections.abc import Iterable, Sequence
import hashlib
import json
import math
import time

from etils import epath
import numpy as np

from runtime import storage

_FILE, _PARTS = 'metrics.jsonl', 'metrics'
# of a store: when the newest part is written, and when it is full
_PART_EVERY_S, _PART_BYTES = 30, 1 << 20


class MetricsLog:
  """Appends rows; floats are written so that a float32 can be read back exactly."""

  def __init__(self, directory: epath.PathLike, *, resume_step: int, tensorboard: bool):
    remote = storage.remote(directory)
    self._file = (_Parts if remote else _File)(epath.Path(directory), resume_step)
    self._board = None
    if tensorboard and not remote:
      # where torch is installed, the library imports it: seconds
      from training.tensorboard import Board

      self._board = Board(epath.Path(directory) / 'tensorboard', resume_step)

  def write(self, row: dict):
    self._file.write({name: _plain(value) for name, value in row.items()})
    if self._board is not None:
      self._board.write(row)

  def flush(self):
    """To be called before a checkpoint: no row from before it
    is then lost, in TensorBoard neither.
    """
    self._file.flush()
    if self._board is not None:
      self._board.flush()

  def close(self):
    self._file.close()
    if self._board is not None:
      self._board.close()


class _File:
  """metrics.jsonl: a line a row, there as soon as it is written."""

  def __init__(self, folder: epath.Path, resume_step: int):
    path = folder / _FILE
    if path.exists():  # a kill between truncating and writing would lose them all
      storage.write(path, _lines(row for row in read(folder) if row['step'] < resume_step))
    self._file = path.open('a')
    self.flush, self.close = self._file.flush, self._file.close

  def write(self, row: dict):
    self._file.write(_lines([row]))
    self._file.flush()


class _Parts:
  """The same lines as objects of a store."""

  def __init__(self, folder: epath.Path, resume_step: int):
    self._folder = folder / _PARTS
    self._rows: list[dict] = []
    for path in reversed(_parts(folder)):  # from the end: a kill in between leaves no gap
      rows = _parse(path.read_text())
      kept = [row for row in rows if row['step'] < resume_step]
      if kept:
        self._rows = kept if len(kept) < len(rows) else []  # that part is written again below
        break
      path.unlink()
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
    (self._folder / f'{self._rows[0]["step"]:08d}.jsonl').write_text(text)
    if len(text) > _PART_BYTES:
      self._rows = []

  close = flush


def read(directory: epath.PathLike) -> list[dict]:
  """The rows of a run; a last line that was cut off in the middle is left out."""
  directory = epath.Path(directory)
  if storage.remote(directory):
    return [row for path in _parts(directory) for row in _parse(path.read_text())]
  path = directory / _FILE
  return _parse(path.read_text()) if path.exists() else []


def _parts(folder: epath.Path) -> list[epath.Path]:
  folder = folder / _PARTS
  return sorted(folder.iterdir(), key=lambda path: int(path.stem)) if folder.exists() else []


def _lines(rows: Iterable[dict]) -> str:
  return ''.join(json.dumps(row) + '\n' for row in rows)


def _parse(text: str) -> list[dict]:
  rows = []
  for line in text.splitlines():
    try:
      row = json.loads(line)
    except ValueError:
      break
    if not isinstance(row, dict) or 'step' not in row:
      break
    rows.append(row)
  return rows


# Names that earlier versions had: a hash stays what it was.
_HASHED_AS = dict(epoch='look')


def batch_hash(batch: dict[str, np.ndarray], *, local_rows: Sequence[int] | None = None) -> int:
  """A 64-bit hash of a batch: the sum over rows of a hash of (row of the global batch, content).

  Sums of the parts that several processes hold add up, modulo 2^64, to the hash of the whole batch.

  Args:
    local_rows: numbers of the rows in the global batch, where these are not all of it.
  """
  arrays = sorted((_HASHED_AS.get(name, name), x_Bx) for name, x_Bx in batch.items())
  total = 0
  for row, place in enumerate(range(len(arrays[0][1])) if local_rows is None else local_rows):
    sha = hashlib.blake2b(int(place).to_bytes(8, 'little'), digest_size=8)
    for name, x_Bx in arrays:
      sha.update(name.encode())
      sha.update(x_Bx[row].tobytes())
    total += int.from_bytes(sha.digest(), 'little')
  return total % 2**64


def _plain(value):
  """JSON has no NaN and no infinity: they are written as words."""
  return str(value) if isinstance(value, float) and not math.isfinite(value) else value
