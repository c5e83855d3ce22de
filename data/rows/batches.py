"""Which rows make the batch of a step: a pure function of (seed, step), with no state to save."""

from collections.abc import Iterator, Sequence
import math

import grain
import numpy as np

from data.errors import DataError


def next_multiple(length: int, of: int) -> int:
  """The least multiple of `of` that is not below `length`: few shapes, so few compiled programs."""
  return -(-length // of) * of


def in_batches(rows: int, size: int) -> Iterator[tuple[np.ndarray, int]]:
  """(index_B, how many of these are new) of each batch of `size` rows, in order.

  Every batch has the same shape: the last one repeats its last row.
  """
  for start in range(0, rows, size):
    index_B = np.arange(start, start + size)
    yield np.minimum(index_B, rows - 1), min(size, rows - start)


class Batches:
  """`batches[step]` is the global batch of that step, or its
  rows at `local_rows`: those that this process reads.

  Shuffled: row n of the run is row n of an endless sequence of epochs, each in an order of its own;
  batch `step` is rows [step * batch_size, (step + 1) * batch_size), so it may cross from one epoch
  into the next. In order: every row exactly once, the last
  batch filled up with empty rows of id -1.

  Attributes:
    rows: how many the split has.
  """

  def __init__(
    self,
    source,
    *,
    shuffled: bool,
    batch_size: int,
    seed: int,
    vocabulary: int,
    local_rows: Sequence[int] | None,
  ):
    self._source, self._vocabulary = source, vocabulary
    self._batch_size = batch_size
    self._local_rows = np.arange(batch_size) if local_rows is None else np.asarray(local_rows)
    self.rows = len(source)
    order = grain.MapDataset.range(self.rows)
    self._order = order.seed(seed).shuffle().repeat() if shuffled else order
    self._shuffled = shuffled

  def __len__(self) -> int:
    """Batches in one epoch, every row once; shuffled batches go on after that."""
    return math.ceil(self.rows / self._batch_size)

  def ids(self, step: int) -> np.ndarray:
    """Rows of the whole global batch, without reading them."""
    return self._ids(step * self._batch_size + np.arange(self._batch_size))

  def __getitem__(self, step: int) -> dict[str, np.ndarray]:
    if step < 0 or not self._shuffled and step >= len(self):
      raise IndexError(f'step {step} of {len(self)}')
    # What is drawn for a row depends on its place in the run, not on which process reads it.
    place = step * self._batch_size + self._local_rows
    ids = self._ids(place)
    batch = self._source.read(ids, place) | dict(epoch=(place // self.rows).astype(np.int32))
    largest = int(batch['token'].max())
    if largest >= self._vocabulary:
      raise DataError(
        f'step {step} holds token id {largest}, the vocabulary ends at {self._vocabulary - 1}: the '
        'cached rows are damaged; delete the cache and run again'
      )
    return batch

  def _ids(self, place: np.ndarray) -> np.ndarray:
    there = self._shuffled | (place < self.rows)
    return np.array(
      [self._order[int(index)] if known else -1 for index, known in zip(place, there)], np.int32
    )
