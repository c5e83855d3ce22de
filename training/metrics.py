"""What a run measured: one JSON object a step in metrics.jsonl, the same numbers in TensorBoard.

The row of step n holds what was measured at n: validation (val/...) on the parameters before update n, then
the update itself (train/...). The last row, at step = steps, has validation only. Rows are written once and
in order, so `step` is strictly increasing; a resumed run first drops the rows that it will write again.
"""

import hashlib
import json
import math
import os

from etils import epath
import numpy as np
import tensorboardX

_FILE = 'metrics.jsonl'


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
      board = epath.Path(directory) / 'tensorboard'
      # The suffix, because names have seconds only: a quick restart would write over the events before it.
      self._board = tensorboardX.SummaryWriter(
          str(board), purge_step=resume_step, filename_suffix=f'.{os.getpid()}.{resume_step}')

  def write(self, row: dict):
    self._file.write(json.dumps({name: _plain(value) for name, value in row.items()}) + '\n')
    self._file.flush()
    if self._board is not None:
      for name, value in row.items():
        if isinstance(value, (int, float)) and name != 'step':
          self._board.add_scalar(name, value, row['step'])

  def flush(self):
    """To be called before a checkpoint: no row from before it is then lost, in TensorBoard neither."""
    self._file.flush()
    if self._board is not None:
      self._board.flush()

  def close(self):
    self._file.close()
    if self._board is not None:
      self._board.close()


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
