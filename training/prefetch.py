"""Batches of a run, read one ahead of the device."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from parallel import sharding
from training import metrics
from training.experiment import Experiment


class Prefetcher:
  """The rows of the run's batches that belong here, by step, over
  all its phases, read one ahead of the device.
  """

  def __init__(self, experiment: Experiment, mesh):
    self._length_at, self._steps = experiment.length_at, experiment.config.steps
    local_rows = sharding.rows_here(mesh, experiment.config.batch_size)
    counted = sharding.rows_counted(mesh, experiment.config.batch_size)
    self._batches = {T: experiment.batches(T, local_rows=local_rows) for _, T in experiment.phases}
    self._counted, self._places = np.isin(local_rows, counted), counted
    self._pool = ThreadPoolExecutor(1)
    self._next: tuple[int, object] | None = None

  def __getitem__(self, step: int) -> tuple[dict[str, np.ndarray], int]:
    """(the rows here, the hash of those that this process answers for)."""
    ready = self._next is not None and self._next[0] == step
    batch = self._next[1].result() if ready else self._read(step)
    self._next = (
      (step + 1, self._pool.submit(self._read, step + 1)) if step + 1 < self._steps else None
    )
    return batch

  def _read(self, step: int):
    batch = self._batches[self._length_at(step)][step]
    return batch, metrics.batch_hash(
      {name: x[self._counted] for name, x in batch.items()}, local_rows=self._places
    )

  def close(self):
    self._pool.shutdown(wait=False, cancel_futures=True)
