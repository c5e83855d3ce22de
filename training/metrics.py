"""The metrics of a run: one JSON object per step in metrics.jsonl, the same numbers in TensorBoard.

The row of step n holds what was measured at n: validation (val/...) on the parameters before update
n, then the update itself (train/...). The last row, at step = steps, has validation only. Rows are
written once and in order, so `step` is strictly increasing. A resumed run first drops the rows that
it will write again.

An object of an object store cannot be appended to. There the rows lie in metrics/STEP.jsonl, parts
named by their first step. The newest part is rewritten as a whole every 30 seconds and before each
checkpoint. TensorBoard's files can only be appended to, so on a store there are none.
"""

from collections.abc import Iterable, Sequence
import hashlib
import json
import math
import time

from etils import epath
import numpy as np

from runtime import flaky, storage

_FILE, _PARTS = 'metrics.jsonl', 'metrics'
# On a store: seconds between writes of the newest part, and bytes at which a part is full.
_PART_EVERY_S, _PART_BYTES = 30, 1 << 20


class MetricsLog:
  """Appends rows to the log. A float32 can be read back exactly.

  Args:
    directory: the workdir, on a disk or in an object store.
    resume_step: rows of this step and later ones are dropped first.
    tensorboard: whether to write TensorBoard events too; ignored on a store.
  """

  def __init__(self, directory: epath.PathLike, *, resume_step: int, tensorboard: bool):
    remote = storage.remote(directory)
    self._file = (_Parts if remote else _File)(epath.Path(directory), resume_step)
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

  def __init__(self, folder: epath.Path, resume_step: int):
    path = folder / _FILE
    if path.exists():  # replaced, not truncated: a kill in between would lose all rows
      storage.write(path, _lines(row for row in read(folder) if row['step'] < resume_step))
    self._file = path.open('a')
    self.close = self._file.close

  def write(self, row: dict):
    self._file.write(_lines([row]))
    self.flush()

  def flush(self):
    flaky.insist(self._file.flush)  # what was not written is still in its buffer


class _Parts:
  """The same lines as several objects of a store."""

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
    part = self._folder / f'{self._rows[0]["step"]:08d}.jsonl'
    flaky.insist(lambda: part.write_text(text))
    if len(text) > _PART_BYTES:
      self._rows = []

  close = flush


def read(directory: epath.PathLike) -> list[dict]:
  """Returns the rows of a run, oldest first, without a last line that was cut off; [] if none."""
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
