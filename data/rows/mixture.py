"""Rows of several corpora as rows of one: which one stands where, and reading them."""

from collections.abc import Sequence
import functools

import grain
import numpy as np

from data.rows.batches import Order

_ENDLESS = 1 << 40  # rows of one corpus in a run


class MixedOrder:
  """Which of the rows of several corpora stand at positions of a run, without end.

  The corpora take turns in fixed proportions, so that any run of positions has each one's share of
  them to within a few rows (grain's mix; a share is within 1% of what is asked). Within a corpus
  rows come in epochs, each in an order of its own. Rows are numbered from one corpus on to the
  next.

  Args:
    counts: rows of each corpus.
    shares: of the positions.
  """

  def __init__(self, counts: Sequence[int], shares: Sequence[float], seed: int):
    turns = [
      grain.MapDataset.range(_ENDLESS).map(functools.partial(_pair, part))
      for part in range(len(counts))
    ]
    self._turns = grain.MapDataset.mix(turns, list(shares))
    self._orders = [
      Order(count, shuffled=True, seed=part_seed(seed, part)) for part, count in enumerate(counts)
    ]
    self._first = np.cumsum([0, *counts])

  def places(self, position: np.ndarray) -> np.ndarray:
    """Nx2: the corpus that each position of a run reads, and which of its reads that is."""
    return np.array([self._turns[each] for each in position.tolist()], np.int64).reshape(-1, 2)

  def ids(self, position: np.ndarray) -> np.ndarray:
    """The numbers of the rows (int32)."""
    return self._of_parts(
      position, lambda part, key: self._first[part] + self._orders[part].ids(key)
    )

  def epochs(self, position: np.ndarray) -> np.ndarray:
    """How often each of these rows was read before (int32)."""
    return self._of_parts(position, lambda part, key: self._orders[part].epochs(key))

  def _of_parts(self, position: np.ndarray, of_part) -> np.ndarray:
    place_Nx2 = self.places(position)
    found = np.zeros(len(position), np.int32)
    for part in np.unique(place_Nx2[:, 0]):
      chosen = place_Nx2[:, 0] == part
      found[chosen] = of_part(part, place_Nx2[chosen, 1])
    return found


class Mixed:
  """Reads batches of rows of several sources; a source of `Batches`.

  What is drawn for a row depends on which of the reads of its own source it is, so that a corpus
  has the same rows in the same order whatever is mixed with it.

  Args:
    order: in which rows are read; None: by their numbers.
  """

  def __init__(self, sources: Sequence, order: MixedOrder | None):
    self._sources, self.order = sources, order
    self._first = np.cumsum([0, *map(len, sources)])

  def __len__(self) -> int:
    return int(self._first[-1])

  def read(self, row_ids: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
    """The batch of these rows, read at these positions of the run; id -1 is an empty row."""
    part = np.searchsorted(self._first, row_ids, side='right') - 1
    part[row_ids < 0] = 0
    own = np.where(row_ids < 0, -1, row_ids - self._first[part])
    key = self.order.places(positions)[:, 1] if self.order else np.maximum(own, 0)
    batch = None
    for number in np.unique(part):
      rows = np.flatnonzero(part == number)
      found = self._sources[number].read(own[rows], key[rows])
      if batch is None:
        batch = {name: np.zeros((len(row_ids), *x.shape[1:]), x.dtype) for name, x in found.items()}
      for name, x_Nx in found.items():
        batch[name][rows] = x_Nx
    return batch | dict(id=row_ids.astype(np.int32))


def part_seed(seed: int, part: int) -> int:
  """A seed of its own for a corpus: at the same place of two corpora other things are drawn."""
  return int(np.random.SeedSequence((seed, part)).generate_state(1)[0])


def _pair(part: int, key: int) -> tuple[int, int]:
  return part, key
