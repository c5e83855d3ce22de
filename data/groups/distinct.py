"""Batches in which no text stands twice, as a pure function of the step."""

import functools

import numpy as np

from data.errors import DataError


class DistinctOrder:
  """Which groups make the batch of a step: groups that share a text are never in one batch.

  An epoch is a shuffled order of all groups. Each batch takes the next groups that share no text
  with those it has; the others wait for a later batch. An epoch has groups // batch_size batches,
  whole ones: what is left over is not trained on in that epoch, and if too many wait, the last
  batches take groups once more.

  Args:
    texts: of each group the numbers of its texts; equal texts have equal numbers.
  """

  def __init__(self, texts: list[tuple[int, ...]], batch_size: int, seed: int):
    self._texts = [frozenset(each) for each in texts]
    self._batch_size, self._seed = batch_size, seed
    self.batches_an_epoch = len(texts) // batch_size
    if not self.batches_an_epoch:
      raise DataError(
        f'{len(texts):,} groups are fewer than config.batch_size={batch_size:,}: the texts of a '
        'batch are compared with each other, so a batch is never filled up with copies'
      )
    self._epoch(0)

  def ids(self, step: int) -> tuple[np.ndarray, int]:
    """(numbers of the groups of a step, its epoch)."""
    epoch, index = divmod(step, self.batches_an_epoch)
    return self._epoch(epoch)[index], epoch

  @functools.lru_cache(2)  # noqa: B019 (an order lives as long as its run)
  def _epoch(self, epoch: int) -> np.ndarray:
    order = np.random.default_rng([self._seed, epoch]).permutation(len(self._texts)).tolist()
    batches, waiting = [], order
    while len(batches) < self.batches_an_epoch:
      batch, waiting = self._next(waiting)
      if len(batch) < self._batch_size:  # too many of those left share texts
        batch, waiting = self._next([*batch, *order])
      if len(batch) < self._batch_size:
        raise DataError(
          f'config.batch_size={self._batch_size:,}: only {len(batch):,} groups share no text with '
          'each other; a smaller batch is needed'
        )
      batches.append(batch)
    return np.array(batches, np.int32)

  def _next(self, waiting: list[int]) -> tuple[list[int], list[int]]:
    """(the first groups that share no text, those that wait on)."""
    batch, seen, rest = [], set(), []
    for place, number in enumerate(waiting):
      if len(batch) == self._batch_size:
        return batch, rest + waiting[place:]
      if seen.isdisjoint(self._texts[number]):
        batch.append(number)
        seen |= self._texts[number]
      else:
        rest.append(number)
    return batch, rest
