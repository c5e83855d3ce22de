"""What a run measured: one JSON object a step in metrics.jsonl, the same numbers in TensorBoard.

The row of step n holds what was measured at n: validation (val/...) on the parameters before update n, then
the update itself (train/...). The last row, at step = steps, has validation only. Rows are written once and
in order, so `step` is strictly increasing; a resumed run first drops the rows that it will write again.
"""

import hashlib
import json
import math
import os
import time

from etils import epath
import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

_FILE = 'metrics.jsonl'
_FLUSH_EVERY_S = 2


class MetricsLog:
  """Appends rows; floats are written so that a float32 can be read back exactly."""

  def __init__(self, directory: epath.PathLike, *, resume_step: int, tensorboard: bool):
    path = epath.Path(directory) / _FILE
    if path.exists():
      kept = ''.join(json.dumps(row) + '\n' for row in read(directory) if row['step'] < resume_step)
      new = path.with_name(_FILE + '.new')  # a kill between truncating and writing would lose them all
      new.write_text(kept)
      new.replace(path)
    self._file = path.open('a')
    self._board = None
    if tensorboard and '://' not in str(directory):
      self._board = _Board(epath.Path(directory) / 'tensorboard', resume_step)

  def write(self, row: dict):
    self._file.write(json.dumps({name: _plain(value) for name, value in row.items()}) + '\n')
    self._file.flush()
    if self._board is not None:
      self._board.write(row)

  def flush(self):
    """To be called before a checkpoint: no row from before it is then lost, in TensorBoard neither."""
    self._file.flush()
    if self._board is not None:
      self._board.flush()

  def close(self):
    self._file.close()
    if self._board is not None:
      self._board.close()


class _Board:
  """TensorBoard events, one a row. The SummaryWriter of tensorboardX cannot be told to empty its queue, so a
  killed run would lack rows that its checkpoint says were done."""

  def __init__(self, folder: epath.Path, resume_step: int):
    folder.mkdir(parents=True, exist_ok=True)
    # The suffix, because names have seconds only: a quick restart would write over the events before it.
    self._events = EventsWriter(str(folder / 'events'), filename_suffix=f'.{os.getpid()}.{resume_step}')
    start = SessionLog(status=SessionLog.START)  # hides what a killed run wrote from this step on
    self._events.write_event(Event(wall_time=time.time(), step=resume_step, session_log=start))
    self.flush()

  def write(self, row: dict):
    values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items()
              if isinstance(value, int | float) and name != 'step']
    self._events.write_event(Event(wall_time=time.time(), step=row['step'], summary=Summary(value=values)))
    if time.monotonic() - self._flushed > _FLUSH_EVERY_S:
      self.flush()

  def flush(self):
    self._events.flush()
    self._flushed = time.monotonic()

  def close(self):
    self._events.close()


def read(directory: epath.PathLike) -> list[dict]:
  """The rows of a run; a last line that was cut off in the middle is left out."""
  path = epath.Path(directory) / _FILE
  rows = []
  for line in path.read_text().splitlines() if path.exists() else []:
    try:
      row = json.loads(line)
    except ValueError:
      break
    if not isinstance(row, dict) or 'step' not in row:
      break
    rows.append(row)
  return rows


def batch_hash(batch: dict[str, np.ndarray], *, first_row: int) -> int:
  """A 64-bit hash of a batch: the sum over rows of a hash of (place in the global batch, content).

  Sums of the parts that several processes hold add up, modulo 2^64, to the hash of the whole batch.
  """
  names = sorted(batch)
  total = 0
  for row in range(len(batch[names[0]])):
    sha = hashlib.blake2b((first_row + row).to_bytes(8, 'little'), digest_size=8)
    for name in names:
      sha.update(name.encode())
      sha.update(batch[name][row].tobytes())
    total += int.from_bytes(sha.digest(), 'little')
  return total % 2**64


def _plain(value):
  """JSON has no NaN and no infinity: they are written as words."""
  return str(value) if isinstance(value, float) and not math.isfinite(value) else value
