"""Labelled examples as arrays of one shape, in the frame
that pre-training has: begin A end [B end].
"""

from typing import NamedTuple

import numpy as np

from data.errors import DataError
from data.rows import packed
from data.rows.batches import next_multiple
from data.tasks.labelled import Example
from data.tokens.tokenizer import Tokenizer

NOT_SCORED = -1
_ROUND = 16  # lengths are rounded up to this, so that splits of a task share programs


class Encoded(NamedTuple):
  """Examples of a split, in their order.

  Attributes:
    batch: token, segment and type (NxT), and label: N, or for words NxT, which is the word's label
      at its first piece and NOT_SCORED elsewhere.
    cut: rows that lost tokens to `max_length`.
    place: for words: where the first piece of each word of each row
      stands; 0 where it has none, or was cut off.
  """

  batch: dict[str, np.ndarray]
  cut: int
  place: list[np.ndarray] | None


def encode(kind: str, examples: list[Example], tokenizer: Tokenizer, *, max_length: int) -> Encoded:
  """Rows as long as the longest example, and at most `max_length`.

  Of a pair, the longer text loses tokens first, at its end. A
  word that is cut off has no place in `label`.

  Args:
    kind: 'text', 'pair' or 'words', as a task's.

  Raises:
    DataError: `max_length` has no room for a token of each text.
  """
  texts = 2 if kind == 'pair' else 1
  room = max_length - 1 - texts
  if room < texts:
    raise DataError(
      f'rows of {max_length} tokens have no room for {"a pair" if texts == 2 else "a text"}'
    )
  if kind == 'words':
    parts, places = _words(examples, tokenizer)
  else:
    ids = tokenizer.encode([text for example in examples for text in example.texts])
    parts, places = [ids[start : start + texts] for start in range(0, len(ids), texts)], None
  longest = max(sum(map(len, part)) for part in parts) + 1 + texts
  T = min(max_length, next_multiple(longest, _ROUND))
  batch = packed.empty_batch(np.arange(len(examples)), T, tokenizer.pad or 0)
  del batch['id']
  cut = 0
  for row, part in enumerate(parts):
    kept = _fit(part, room)
    cut += sum(map(len, kept)) < sum(map(len, part))
    place = 1
    batch['token'][row, 0] = tokenizer.bos
    for number, ids in enumerate(kept):
      stop = place + len(ids)
      batch['token'][row, place:stop], batch['token'][row, stop] = ids, tokenizer.eos
      batch['type'][row, place : stop + 1] = number
      place = stop + 1
    batch['segment'][row, :place] = 1
  if places is None:
    batch['label'] = np.array([example.label for example in examples], np.int32)
  else:
    batch['label'] = np.full((len(examples), T), NOT_SCORED, np.int32)
    places = [np.where(place < T - 1, place, 0) for place in places]
    for row, (place, example) in enumerate(zip(places, examples)):
      batch['label'][row, place[place > 0]] = np.array(example.label, np.int32)[place > 0]
  return Encoded(batch, cut, places)


def by_word(encoded: Encoded, predicted_NxT: np.ndarray, other: int) -> list[np.ndarray]:
  """One predicted label a word; `other` for words that have no token in their row."""
  return [
    np.where(place > 0, predicted_T[place], other)
    for place, predicted_T in zip(encoded.place, predicted_NxT)
  ]


def _fit(part: list[np.ndarray], room: int) -> list[np.ndarray]:
  if len(part) == 1:
    return [part[0][:room]]
  first, second = part
  keep = min(len(first), max(room - len(second), (room + 1) // 2))
  return [first[:keep], second[: room - keep]]


def _words(
  examples: list[Example], tokenizer: Tokenizer
) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
  """Ids of whole sentences, and where each word begins in a row;
  words are spelled as they are after a space.
  """
  spelled = [
    [word if not place else f' {word}' for place, word in enumerate(example.texts)]
    for example in examples
  ]
  known = sorted({word for words in spelled for word in words})
  ids = dict(zip(known, tokenizer.encode(known)))
  parts, places = [], []
  for words in spelled:
    pieces = [ids[word] for word in words]
    lengths = np.array([len(piece) for piece in pieces])
    parts.append([np.concatenate(pieces)])
    places.append(np.where(lengths > 0, 1 + np.cumsum(lengths) - lengths, 0))
  return parts, places
