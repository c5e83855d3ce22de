"""Sentence pairs for next-sentence prediction: [CLS] A [SEP] B [SEP], drawn anew by every look at a row.

A row is a chunk: consecutive sentences of one document, enough to fill a sequence, as in BERT's
`create_pretraining_data`. What is drawn, from a generator keyed by (seed, position in the run), is where A
ends, whether B is random, which random B, and what is cut off.
"""

from pathlib import Path

import numpy as np

from data import records
from data import rows
from data.tokenizer import Tokenizer

IS_NEXT, IS_RANDOM = 0, 1  # the published convention
_TRIES = 10  # random Bs that may turn out to be the true continuation (copied passages) before giving up


def chunk(source: records.Reader, path: Path, tokenizer: Tokenizer, T: int, progress) -> dict:
  """Writes the chunks of all documents, and beside them which document each comes from."""
  document_of_chunk, whole = [], []
  with records.Writer(path, records.token_dtype(tokenizer.size)) as writer:
    for number, (lengths, tokens) in enumerate(source):
      sentences = records.split_pieces(lengths, tokens)
      for start, stop in chunk_bounds(lengths, T - 3):
        if stop - start > 1:
          whole.append(len(document_of_chunk))
        document_of_chunk.append(number)
        writer.write(sentences[start:stop])
      if number % 1_000 == 0:
        progress(f'cutting sentence pairs of {T}', number, len(source))
  summary = writer.summary()
  np.save(path.with_suffix('.documents.npy'), np.array(document_of_chunk, np.int64))
  np.save(path.with_suffix('.rows.npy'), np.array(whole, np.int64))
  chunks = summary['rows']
  return summary | dict(
      rows=len(whole), chunks=chunks, single_sentence_documents=chunks - len(whole), documents=len(source)
  )


def chunk_bounds(lengths: np.ndarray, target: int) -> list[tuple[int, int]]:
  """(start, stop) of runs of at least two sentences that reach `target` tokens; the last of them may not.

  A sentence left alone at the end joins the run before it. Only a document of one sentence is a run of one.
  """
  bounds, start, size = [], 0, 0
  for stop, length in enumerate(lengths, 1):
    size += int(length)
    if size >= target and stop - start > 1:
      bounds.append((start, stop))
      start, size = stop, 0
  if start < len(lengths):
    if bounds and len(lengths) - start == 1:
      start = bounds.pop()[0]
    bounds.append((start, len(lengths)))
  return bounds


class Pairs:
  """Draws pairs from the chunks at `path`."""

  def __init__(self, path: Path, tokenizer: Tokenizer, T: int, short_share: float, seed: int):
    self._reader = records.Reader(path, records.token_dtype(tokenizer.size))
    self._document_of_chunk = np.load(path.with_suffix('.documents.npy'))
    self._rows = np.load(path.with_suffix('.rows.npy'))
    self._tokenizer, self._T, self._short_share, self._seed = tokenizer, T, short_share, seed

  def __len__(self) -> int:
    return len(self._rows)

  def read(self, row_ids: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
    """The batch of these rows, drawn for these positions in the run; id -1 is an empty row."""
    tokenizer = self._tokenizer
    batch = rows.empty_batch(row_ids, self._T, tokenizer.pad or 0)
    batch['label'] = np.zeros(len(row_ids), np.int32)
    filled = np.flatnonzero(row_ids >= 0)
    chunks = self._rows[row_ids[filled]]
    for row, index, record in zip(filled, chunks, self._reader.read(chunks)):
      # Grain's random_map does the same, but took milliseconds a draw (0.2.18).
      rng = np.random.Generator(np.random.Philox(key=(self._seed, int(positions[row]))))
      a, b, label = self._draw(rng, int(index), records.split_pieces(*record))
      used = np.concatenate([[tokenizer.begin], a, [tokenizer.end], b, [tokenizer.end]])
      batch['token'][row, : len(used)] = used
      batch['segment'][row, : len(used)] = 1
      batch['type'][row, len(a) + 2 : len(used)] = 1
      batch['label'][row] = label
    return batch

  def _draw(self, rng, index: int, sentences: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    room = self._T - 3
    target = int(rng.integers(2, room + 1)) if rng.random() < self._short_share else room
    sentences = _reaching(sentences, target, least=2)
    cut = int(rng.integers(1, len(sentences)))
    first, second, label = sentences[:cut], sentences[cut:], IS_NEXT
    if rng.random() < 0.5:
      other = self._random_other(rng, index, second[0], target - sum(map(len, first)))
      if other is not None:
        second, label = other, IS_RANDOM
    return *truncate(np.concatenate(first), np.concatenate(second), room, rng), label

  def _random_other(self, rng, index: int, continuation: np.ndarray, target: int) -> list[np.ndarray] | None:
    """Sentences from a random place in another document that do not begin as the true continuation does.

    None where the corpus repeats itself so much that no such place was found.
    """
    document = self._document_of_chunk[index]
    start, stop = np.searchsorted(self._document_of_chunk, (document, document + 1))
    for _ in range(_TRIES):
      other = int(rng.integers(len(self._document_of_chunk) - (stop - start)))
      other += int(other >= start) * int(stop - start)
      sentences = records.split_pieces(*self._reader.read([other])[0])
      sentences = sentences[int(rng.integers(len(sentences))) :]
      if np.array_equal(sentences[0], continuation):
        continue
      while sum(map(len, sentences)) < target and self._continues(other):
        other += 1
        sentences += records.split_pieces(*self._reader.read([other])[0])
      return _reaching(sentences, target, least=1)
    return None

  def _continues(self, index: int) -> bool:
    following = index + 1
    return following < len(self._document_of_chunk) and (
        self._document_of_chunk[following] == self._document_of_chunk[index]
    )


def truncate(a: np.ndarray, b: np.ndarray, room: int, rng) -> tuple[np.ndarray, np.ndarray]:
  """Cuts tokens off the longer one until both fit, each at a random end (as published)."""
  keep_a = min(len(a), max(room - len(b), (room + 1) // 2))
  keep_b = min(len(b), room - keep_a)
  start_a, start_b = rng.binomial((len(a) - keep_a, len(b) - keep_b), 0.5)
  return a[start_a : start_a + keep_a], b[start_b : start_b + keep_b]


def _reaching(sentences: list[np.ndarray], target: int, least: int) -> list[np.ndarray]:
  """The first sentences that together reach `target` tokens, and at least `least` of them."""
  sizes = np.cumsum([len(sentence) for sentence in sentences])
  return sentences[: max(int(np.searchsorted(sizes, target)) + 1, least)]
