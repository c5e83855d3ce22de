"""Prefetching of batches: the next one is read while the device computes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from parallel import sharding
from training import metrics
from training.experiment import Experiment


class Prefetcher:
  """This process's rows of each batch of a run, by step; a thread reads one batch ahead.

  Where several processes hold copies of a row, one of them counts it in its hash, so that the
  hashes of all processes add up to the hash of the global batch.
  """

  def __init__(self, experiment: Experiment, mesh):
    self._length_at, self._steps = experiment.length_at, experiment.config.steps
    local_rows = sharding.rows_here(mesh, experiment.config.batch_size)
    counted = sharding.rows_counted(mesh, experiment.config.batch_size)
    self._batches = {T: experiment.batches(T, local_rows=local_rows) for _, T in experiment.phases}
    self._is_counted, self._counted_rows = np.isin(local_rows, counted), counted
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
    counted = {name: x_Bx[self._is_counted] for name, x_Bx in batch.items()}
    return batch, metrics.batch_hash(counted, local_rows=self._counted_rows)

  def close(self):
    """Stops the thread, without waiting for it."""
    self._pool.shutdown(wait=False, cancel_futures=True)
