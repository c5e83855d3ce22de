"""Batches of a labelled task: several examples a row, each its own segment, so padding is small.

A batch holds the examples that its step asks for, whatever their lengths: a function of seed and
step. How many rows they take differs from batch to batch, and is rounded up to few numbers, because
each is a program to compile.

Axes: R rows of T tokens, S slots of a row; segment s of a row is the example in slot s - 1.
"""

from collections.abc import Callable, Iterable, Sequence
import math
from typing import NamedTuple

import numpy as np

from data.rows import packed
from data.rows.batches import Order, next_multiple
from data.tasks import rows
from data.tasks.files import Example
from data.tasks.question_rows import Window
from data.tasks.rows import Framed
from data.tokens.tokenizer import Tokenizer

# Rows are rounded up to this share of the batch: fewer programs, more padding. A choice.
_ROUND_TO = 16


class Split(NamedTuple):
  """The examples of a split, or the windows of its questions, and their token ids."""

  examples: Sequence[Example | Window]
  framed: Framed


class LabelArray(NamedTuple):
  """How the labels of a task lie in a batch.

  Attributes:
    words: a label is of a word, BxT at its first token; else of an example, BxS.
    several: classes C of which an example may have several: BxSxC, 1 where it has one. 0: one.
    number: labels are numbers.
    choice: a slot is an answer, BxS: 1 where it is the right one.
    ranked: labels are numbers, of each slot of an example.
    span: a label is the first and the last token of an answer: BxSx2.
  """

  words: bool
  several: int
  number: bool
  span: bool = False
  choice: bool = False
  ranked: bool = False

  def empty(self, R: int, T: int, S: int) -> np.ndarray:
    """Labels of R rows without examples: NOT_SCORED, or where labels are numbers NaN."""
    if self.words:
      return np.full((R, T), rows.NOT_SCORED, np.int32)
    if self.span:
      return np.full((R, S, 2), rows.NOT_SCORED, np.int32)
    if self.several:
      return np.full((R, S, self.several), np.nan, np.float32)
    if self.number:
      return np.full((R, S), np.nan, np.float32)
    return np.full((R, S), rows.NOT_SCORED, np.int32)


class PackedBatches:
  """`batches[step]` is the global batch of that step, or the rows of it that are asked for.

  Args:
    T: tokens of a row; no example is longer.
    S: the most examples that a row can hold.
    batch_size: examples of a batch.
    multiple: the number of rows is a multiple of it.
    local_rows: R -> rows of the global batch of R rows that are read; None = all.

  Attributes:
    rows: how many examples the split has.
  """

  def __init__(
    self,
    split: Split,
    tokenizer: Tokenizer,
    labels: LabelArray,
    *,
    T: int,
    S: int,
    batch_size: int,
    seed: int,
    shuffled: bool,
    multiple: int = 1,
    local_rows: Callable[[int], Sequence[int]] | None = None,
  ):
    self._split, self._tokenizer, self._labels = split, tokenizer, labels
    self._lengths = split.framed.lengths()
    self._T, self._S, self._batch_size = T, S, batch_size
    self._multiple = math.lcm(multiple, max(1, batch_size // _ROUND_TO))
    self._local_rows = local_rows
    self.rows = len(split.examples)
    self._order = Order(self.rows, shuffled=shuffled, seed=seed)
    self._shuffled = shuffled

  def __len__(self) -> int:
    """Batches in one epoch; shuffled batches go on after that."""
    return math.ceil(self.rows / self._batch_size)

  def ids(self, step: int) -> np.ndarray:
    """Numbers of the examples of a step, -1 behind the last one in order."""
    return self._order.ids(step * self._batch_size + np.arange(self._batch_size))

  def members(self, step: int) -> list[np.ndarray]:
    """The numbers of the examples of each row of a step that has any."""
    if step < 0 or not self._shuffled and step >= len(self):
      raise IndexError(f'step {step} of {len(self)}')
    ids = self.ids(step)
    ids = ids[ids >= 0]
    fitted = packed.best_fit(self._lengths[ids].tolist(), self._T)
    # in the order of the batch, so that a row can be told by its first example
    return [ids[row] for row in sorted(sorted(row) for row in fitted)]

  def __getitem__(self, step: int) -> dict[str, np.ndarray]:
    """The batch of a step: token, segment and type (RxT), label, id and epoch (R), example (RxS).

    `example` has the numbers of the examples, -1 in an empty slot; `id` the first of them.
    """
    return self.lay(step, self.members(step), self._local_rows)

  def row_count(self, members: list[np.ndarray]) -> int:
    """How many rows a batch of these members has, those without examples counted."""
    return next_multiple(max(len(members), 1), self._multiple)

  def lay(
    self, step: int, members: list[np.ndarray], local_rows: Callable[[int], Sequence[int]] | None
  ) -> dict[str, np.ndarray]:
    """The rows of a step that `local_rows` asks for, from the `members` of the first ones."""
    R = self.row_count(members)
    local = range(R) if local_rows is None else local_rows(R)
    none = np.zeros(0, np.int32)
    chosen = [members[row] if row < len(members) else none for row in local]
    epoch = step * self._batch_size // self.rows if self._shuffled else 0
    return self._laid(chosen) | dict(epoch=np.full(len(chosen), epoch, np.int32))

  def _laid(self, chosen: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of rows that hold these examples."""
    R = len(chosen)
    first = np.array([row[0] if len(row) else -1 for row in chosen], np.int32)
    batch = packed.empty_batch(first, self._T, self._tokenizer.pad or 0)
    batch['label'] = self._labels.empty(R, self._T, self._S)
    batch['example'] = np.full((R, self._S), -1, np.int32)
    for row, examples in enumerate(chosen):
      position = slot = 0
      for number in examples:
        self._label(batch, row, slot, position, number)
        for part in self._split.framed.parts_of(number):
          batch['example'][row, slot] = number
          position = rows.lay(batch, row, position, slot + 1, part, self._tokenizer)
          slot += 1
    return batch

  def _label(self, batch: dict, row: int, slot: int, position: int, number: int):
    """Writes the label of an example; what has none counts nowhere."""
    label = self._split.examples[number].label
    if label is None:
      return
    if self._labels.words:
      start = self._split.framed.word_start[number]
      there = start > 0
      batch['label'][row, position + start[there]] = np.array(label, np.int32)[there]
    elif self._labels.ranked:
      batch['label'][row, slot : slot + len(label)] = label
    elif self._labels.choice:
      answers = len(self._split.framed.parts_of(number))
      batch['label'][row, slot : slot + answers] = np.arange(answers) == label
    elif self._labels.span:
      batch['label'][row, slot] = position + np.array(label)
    elif self._labels.several:
      batch['label'][row, slot] = 0
      batch['label'][row, slot, list(label)] = 1
    else:
      batch['label'][row, slot] = label


class StackedBatches:
  """Batches of one split in several orders: the first row of each, then the second of each, ...

  Args:
    orders: differ in their seeds only.
    local_rows: as `PackedBatches` has it, of the rows of all orders.

  Attributes:
    rows: how many examples the split has.
  """

  def __init__(
    self,
    orders: Sequence[PackedBatches],
    local_rows: Callable[[int], Sequence[int]] | None = None,
  ):
    self._orders, self._local_rows, self.rows = orders, local_rows, orders[0].rows

  def __len__(self) -> int:
    """Batches in one epoch; they go on after that."""
    return len(self._orders[0])

  def __getitem__(self, step: int) -> dict[str, np.ndarray]:
    """The batch of a step; each order has as many rows as the longest one needs."""
    first, none = self._orders[0], np.zeros(0, np.int32)
    members = [order.members(step) for order in self._orders]
    R = max(map(first.row_count, members))
    padded = [[*own, *[none] * (R - len(own))] for own in members]
    side_by_side = [row for rows in zip(*padded) for row in rows]
    return first.lay(step, side_by_side, self._local_rows)


def slots(splits: Iterable[Split], T: int) -> int:
  """The most segments that a row of T tokens can hold."""
  shortest = min(int(split.framed.lengths_of_parts().min()) for split in splits)
  return max(1, T // shortest)
