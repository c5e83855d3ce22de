"""Labelled examples as arrays of one shape, in the frame that pre-training has: bos A eos [B eos].

Axes: N, examples; T, tokens of a row.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from data.errors import DataError
from data.rows import packed
from data.rows.batches import next_multiple
from data.tasks.labelled import LISTS, Example
from data.tokens.tokenizer import Tokenizer

NOT_SCORED = -1
_ROUND = 16  # lengths are rounded up to this, so that splits of a task share programs


@dataclasses.dataclass(frozen=True)
class Framed:
  """Examples of a split as token ids in their frame, in their order.

  Attributes:
    parts: of each example its one or two texts (ids), without the frame.
    cut: examples that lost tokens to `max_length`.
    counts: of kinds in LISTS, how many parts each example has; None: one.
    word_start: for words: where the first token of each word of each example is, counted from its
      bos; 0 where it has none, or was cut off.
  """

  parts: list[list[np.ndarray]]
  cut: int
  word_start: list[np.ndarray] | None
  counts: np.ndarray | None = None

  def lengths(self) -> np.ndarray:
    """Tokens of each example, with the frame of each of its parts."""
    length_N = self.lengths_of_parts()
    return length_N if self.counts is None else np.add.reduceat(length_N, self.first_N)

  def lengths_of_parts(self) -> np.ndarray:
    """Tokens of each part, with its frame."""
    return np.array([_tokens(part) + 1 + len(part) for part in self.parts], np.int64)

  @functools.cached_property
  def first_N(self) -> np.ndarray:
    """The first part of each example, where it may have several."""
    return np.cumsum(self.counts) - self.counts

  def parts_of(self, number: int) -> list[list[np.ndarray]]:
    """The parts of an example: one, or of choices one an answer."""
    if self.counts is None:
      return [self.parts[number]]
    first = int(self.first_N[number])
    return self.parts[first : first + int(self.counts[number])]


class Encoded(NamedTuple):
  """Examples of a split, a row each.

  Attributes:
    batch: token, segment and type (NxT), and label: N, or for words NxT, which is the word's label
      at its first token and NOT_SCORED elsewhere.
    cut, word_start: as in Framed.
  """

  batch: dict[str, np.ndarray]
  cut: int
  word_start: list[np.ndarray] | None


def frame(kind: str, examples: list[Example], tokenizer: Tokenizer, *, max_length: int) -> Framed:
  """Token ids of examples, at most `max_length` each: bos A eos [B eos].

  Of a pair, the longer text loses tokens first, at its end. A word that is cut off is not scored.

  Args:
    kind: 'text', 'pair', 'words', 'choices' or 'ranked', as a task's; of the last two each text is
      a pair with the first, the question.

  Raises:
    DataError: `max_length` has no room for a token of each text.
  """
  texts = 2 if kind in ('pair', *LISTS) else 1
  room = max_length - (1 + texts)  # bos, and an eos after each text
  if room < texts:
    raise DataError(
      f'rows of {max_length} tokens have no room for {"a pair" if texts == 2 else "a text"}'
    )
  counts = None
  if kind in LISTS:
    counts = np.array([len(example.texts) - 1 for example in examples])
    examples = [
      Example((example.texts[0], answer), None)
      for example in examples
      for answer in example.texts[1:]
    ]
  if kind == 'words':
    parts, word_start = word_tokens(examples, tokenizer)
  else:
    parts, word_start = _texts(examples, tokenizer), None
  kept = [fit(part, room) for part in parts]
  cut = sum(_tokens(short) < _tokens(part) for short, part in zip(kept, parts))
  if word_start is not None:
    word_start = [np.where(start < max_length - 1, start, 0) for start in word_start]
  return Framed(kept, cut, word_start, counts)


def encode(kind: str, examples: list[Example], tokenizer: Tokenizer, *, max_length: int) -> Encoded:
  """Rows as long as the longest example, and at most `max_length`: `frame`, a row an example."""
  framed = frame(kind, examples, tokenizer, max_length=max_length)
  T = min(max_length, next_multiple(int(framed.lengths().max()), _ROUND))
  batch = _fill(framed.parts, T, tokenizer)
  if framed.word_start is None:
    batch['label'] = np.array([example.label for example in examples], np.int32)
  else:
    batch['label'] = _label_words(examples, framed.word_start, T)
  return Encoded(batch, framed.cut, framed.word_start)


def _texts(examples: list[Example], tokenizer: Tokenizer) -> list[list[np.ndarray]]:
  """Ids of the one or two texts of each example."""
  ids = iter(tokenizer.encode([text for example in examples for text in example.texts]))
  return [[next(ids) for _ in example.texts] for example in examples]


def _tokens(part: list[np.ndarray]) -> int:
  return sum(map(len, part))


def _fill(parts: list[list[np.ndarray]], T: int, tokenizer: Tokenizer) -> dict[str, np.ndarray]:
  """token, segment and type (NxT) of examples that fit into T."""
  batch = packed.empty_batch(np.arange(len(parts)), T, tokenizer.pad or 0)
  del batch['id']
  for row, part in enumerate(parts):
    lay(batch, row, 0, 1, part, tokenizer)
  return batch


def lay(
  batch: dict[str, np.ndarray],
  row: int,
  position: int,
  segment: int,
  part: list[np.ndarray],
  tokenizer: Tokenizer,
) -> int:
  """Writes an example into token, type and segment of a row; returns where the next may begin.

  Args:
    part: its one or two texts, as in Framed.
  """
  first = position
  batch['token'][row, position] = tokenizer.bos
  position += 1
  for number, ids in enumerate(part):
    stop = position + len(ids)
    batch['token'][row, position:stop] = ids
    batch['token'][row, stop] = tokenizer.eos
    batch['type'][row, position : stop + 1] = number
    position = stop + 1
  batch['segment'][row, first:position] = segment
  return position


def _label_words(examples: list[Example], word_start: list[np.ndarray], T: int) -> np.ndarray:
  """Each word's label at its first token (NxT), NOT_SCORED elsewhere."""
  label_NxT = np.full((len(examples), T), NOT_SCORED, np.int32)
  for label_T, start, example in zip(label_NxT, word_start, examples):
    there = start > 0
    label_T[start[there]] = np.array(example.label, np.int32)[there]
  return label_NxT


def by_word(encoded: Encoded, predicted_NxT: np.ndarray, other: int) -> list[np.ndarray]:
  """One predicted label a word, an array a row.

  Args:
    predicted_NxT: a label at every token; those at first tokens of words count.
    other: label of words that have no token in their row.
  """
  return [
    np.where(start > 0, predicted_T[start], other)
    for start, predicted_T in zip(encoded.word_start, predicted_NxT)
  ]


def fit(part: list[np.ndarray], room: int) -> list[np.ndarray]:
  """One or two texts cut to `room` tokens together, the longer one first.

  As longest_first of tokenizers: if both are longer than half, the longer one keeps an odd token.
  """
  if len(part) == 1:
    return [part[0][:room]]
  first, second = part
  half = room // 2
  if len(first) <= half:
    keep = len(first)
  elif len(second) <= half:
    keep = min(len(first), room - len(second))
  else:
    keep = half + (room % 2 if len(first) > len(second) else 0)
  return [first[:keep], second[: room - keep]]


def word_tokens(
  examples: list[Example], tokenizer: Tokenizer
) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
  """(ids of each whole sentence, where each of its words begins in a row or 0).

  The tokens are those of the words with a space between them.
  """
  spelled = [
    [example.texts[0], *(f' {word}' for word in example.texts[1:])] for example in examples
  ]
  ids, counts = tokenizer.encode_parts(spelled)
  parts, word_start = [], []
  stop = np.cumsum([len(words) for words in spelled])
  for lengths in np.split(counts, stop[:-1]):
    first = 1 + np.cumsum(lengths) - lengths  # bos is at 0
    tokens, ids = np.split(ids, [lengths.sum()])
    parts.append([tokens])
    word_start.append(np.where(lengths > 0, first, 0))
  return parts, word_start
