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


class Order:
  """Which of N things stand at positions of a run: an endless sequence of epochs, or one in order.

  Each epoch is shuffled in an order of its own.
  """

  def __init__(self, count: int, *, shuffled: bool, seed: int):
    order = grain.MapDataset.range(count)
    self._order = order.seed(seed).shuffle().repeat() if shuffled else order
    self._shuffled, self._count = shuffled, count

  def ids(self, position: np.ndarray) -> np.ndarray:
    """Their numbers (int32); -1 behind the end of things in order."""
    ids = np.full(len(position), -1, np.int32)
    for index, each in enumerate(position.tolist()):
      if self._shuffled or each < self._count:
        ids[index] = self._order[each]
    return ids

  def epochs(self, position: np.ndarray) -> np.ndarray:
    """How often the things at these positions were there before (int32)."""
    return (position // self._count).astype(np.int32)


class Batches:
  """`batches[step]` is the global batch of that step, or the part of it that this process reads.

  Shuffled: row n of the run is row n of an endless sequence of epochs, each in an order of its own;
  batch `step` is rows [step * batch_size, (step + 1) * batch_size), so it may cross from one epoch
  into the next. In order: every row exactly once, the last batch filled up with empty rows of id
  -1.

  Args:
    source: has `len` and `read(row_ids, positions)`, a dict of arrays of a row each
      (`packed.Packed`, `sentence_pairs.Pairs`, `windows.ContiguousWindows`).
    batch_size: of the global batch.
    vocabulary: no id may reach it.
    local_rows: rows of the global batch that are read; None = all.
    order: another one than that (`mixture.MixedOrder`).

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
    order=None,
  ):
    self._source, self._vocabulary = source, vocabulary
    self._batch_size = batch_size
    self._local_rows = np.arange(batch_size) if local_rows is None else np.asarray(local_rows)
    self.rows = len(source)
    self._order = order or Order(self.rows, shuffled=shuffled, seed=seed)
    self._shuffled = shuffled

  def __len__(self) -> int:
    """Batches in one epoch, every row once; shuffled batches go on after that."""
    return math.ceil(self.rows / self._batch_size)

  def ids(self, step: int) -> np.ndarray:
    """Row ids of the whole global batch (int32), without reading the rows."""
    return self._order.ids(step * self._batch_size + np.arange(self._batch_size))

  def __getitem__(self, step: int) -> dict[str, np.ndarray]:
    """The batch of a step, as data/pipeline.py describes it.

    Raises:
      IndexError: rows are in order, and there are not so many.
      DataError: a row holds an id that the vocabulary does not have.
    """
    if step < 0 or not self._shuffled and step >= len(self):
      raise IndexError(f'step {step} of {len(self)}')
    # What is drawn for a row depends on its position in the run, not on which process reads it.
    position = step * self._batch_size + self._local_rows
    ids = self._order.ids(position)
    batch = self._source.read(ids, position) | dict(epoch=self._order.epochs(position))
    largest = int(batch['token'].max())
    if largest >= self._vocabulary:
      raise DataError(
        f'step {step} holds token id {largest}, the vocabulary ends at {self._vocabulary - 1}: the '
        'cached rows are damaged; delete the cache and run again'
      )
    return batch
