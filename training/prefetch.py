"""Prefetching of batches: the next one is read while the device computes."""

from concurrent.futures import ThreadPoolExecutor
import functools

import numpy as np

from parallel import sharding
from training import metrics
from training.experiment import Experiment


class Prefetcher:
  """This process's rows of each batch of a run, by step; a thread reads one batch ahead.

  Where several processes hold copies of a row, one of them counts it in its hash, so that the
  hashes of all processes add up to the hash of the global batch.
  """

  def __init__(self, experiment: Experiment, mesh, accumulate: int):
    self._length_at, self._steps = experiment.length_at, experiment.config.steps
    self._mesh = mesh
    rows_of = functools.partial(sharding.rows_here, mesh)
    multiple = accumulate * sharding.row_parts(mesh)
    self._batches = {
      T: experiment.batches(T, rows_of=rows_of, multiple=multiple) for _, T in experiment.phases
    }
    self._pool = ThreadPoolExecutor(1)
    self._next: tuple[int, object] | None = None

  def __getitem__(self, step: int) -> tuple[dict[str, np.ndarray], int]:
    """Returns (batch, hash): the rows of this process, and the hash of those that it counts."""
    ready = self._next is not None and self._next[0] == step
    batch = self._next[1].result() if ready else self._read(step)
    self._next = None
    if step + 1 < self._steps:
      self._next = step + 1, self._pool.submit(self._read, step + 1)
    return batch

  def _read(self, step: int):
    batch = self._batches[self._length_at(step)][step]
    counted, numbers = self._counted(batch)
    return batch, metrics.batch_hash(counted, local_rows=numbers)

  def _counted(self, batch: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(the rows that this process answers for, their numbers in the global batch).

    Rows without a text are left out: how many there are depends on the devices.
    """
    parts = sharding.row_parts(self._mesh)
    here = len(sharding.rows_here(self._mesh, parts))
    B = len(batch['id']) * parts // here
    local = sharding.rows_here(self._mesh, B)
    counts = np.isin(local, sharding.rows_counted(self._mesh, B)) & (batch['id'] >= 0)
    return {name: x_Bx[counts] for name, x_Bx in batch.items()}, local[counts]

  def close(self):
    """Stops the thread, without waiting for it."""
    self._pool.shutdown(wait=False, cancel_futures=True)
