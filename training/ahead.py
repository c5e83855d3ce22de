"""Batches of a run, read one ahead of the device."""

from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from training import metrics
from training.assemble import Experiment


class Ahead:
  """Batches of the run by step, over all its phases, read one ahead of the device."""

  def __init__(self, experiment: Experiment):
    place = dict(process_index=jax.process_index(), process_count=jax.process_count())
    self._length_at, self._steps = experiment.length_at, experiment.config.steps
    self._batches = {T: experiment.batches(T, **place) for _, T in experiment.phases}
    self._first_row = jax.process_index() * experiment.config.batch_size // jax.process_count()
    self._pool = ThreadPoolExecutor(1)
    self._next: tuple[int, object] | None = None

  def __getitem__(self, step: int) -> tuple[dict[str, np.ndarray], int]:
    """(batch, its hash)."""
    ready = self._next is not None and self._next[0] == step
    batch = self._next[1].result() if ready else self._read(step)
    self._next = (step + 1, self._pool.submit(self._read, step + 1)) if step + 1 < self._steps else None
    return batch

  def _read(self, step: int):
    batch = self._batches[self._length_at(step)][step]
    return batch, metrics.batch_hash(batch, first_row=self._first_row)

  def close(self):
    self._pool.shutdown(wait=False, cancel_futures=True)

