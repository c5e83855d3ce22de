"""Sentence pairs for NSP and SOP: [CLS] A [SEP] B [SEP], re-sampled every epoch.

A row is a chunk: consecutive sentences of one document, enough to fill a sequence, as in BERT's
`create_pretraining_data`. What is drawn, from a generator keyed by (seed, position in the run), is
where A ends, whether the pair is wrong, which random B, and what is cut off. A wrong pair has a
random B (BERT), or A and B change places (ALBERT; its code gives chunks of one sentence a random B
as well, here they make no pairs).
"""

import bisect
import itertools
from pathlib import Path

import numpy as np

from data.rows import packed, records
from data.tokens.tokenizer import Tokenizer

IS_NEXT, IS_WRONG = 0, 1  # the published convention
WRONG = ('random', 'swapped')  # what a wrong pair is
# random Bs that may turn out to be the true continuation (copied passages) before giving up
_TRIES = 10


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
    rows=len(whole),
    chunks=chunks,
    single_sentence_documents=chunks - len(whole),
    documents=len(source),
  )


def chunk_bounds(lengths: np.ndarray, target: int) -> list[tuple[int, int]]:
  """(start, stop) of runs of at least two sentences that reach
  `target` tokens; the last of them may not.

  A sentence left alone at the end joins the run before it. Only
  a document of one sentence is a run of one.
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
  """Draws pairs from the chunks at `path`; `wrong` is one of WRONG."""

  def __init__(
    self, path: Path, tokenizer: Tokenizer, T: int, short_share: float, seed: int, wrong: str
  ):
    self._wrong = wrong
    self._reader = records.Reader(path, records.token_dtype(tokenizer.size))
    self._document_of_chunk = np.load(path.with_suffix('.documents.npy'))
    self._rows = np.load(path.with_suffix('.rows.npy'))
    self._tokenizer, self._T, self._short_share = tokenizer, T, short_share
    self._generator = _KeyedGenerator(seed)

  def __len__(self) -> int:
    return len(self._rows)

  def read(self, row_ids: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
    """The batch of these rows, drawn for these positions in the run; id -1 is an empty row."""
    tokenizer = self._tokenizer
    batch = packed.empty_batch(row_ids, self._T, tokenizer.pad or 0)
    batch['label'] = np.zeros(len(row_ids), np.int32)
    filled = np.flatnonzero(row_ids >= 0)
    chunks = self._rows[row_ids[filled]]
    for row, index, record in zip(filled, chunks, self._reader.read(chunks)):
      rng = self._generator.at(int(positions[row]))
      a, b, label = self._draw(rng, int(index), *record)
      stop_a, stop = len(a) + 2, len(a) + len(b) + 3
      token = batch['token'][row]
      token[0], token[stop_a - 1], token[stop - 1] = tokenizer.bos, tokenizer.eos, tokenizer.eos
      token[1 : stop_a - 1], token[stop_a : stop - 1] = a, b
      batch['segment'][row, :stop] = 1
      batch['type'][row, stop_a:stop] = 1
      batch['label'][row] = label
    return batch

  def _draw(self, rng, index: int, lengths: np.ndarray, tokens: np.ndarray):
    """(A, B, label) from the sentences of one chunk."""
    room = self._T - 3
    target = _below(rng, room - 1) + 2 if rng.random() < self._short_share else room
    ends = list(itertools.accumulate(lengths.tolist()))
    sentences = _reaching(ends, target, least=2)
    cut = 1 + _below(rng, sentences - 1)
    middle = ends[cut - 1]
    a, b, label = tokens[:middle], tokens[middle : ends[sentences - 1]], IS_NEXT
    if rng.random() < 0.5:
      if self._wrong == 'swapped':
        return *truncate(b, a, room, rng), IS_WRONG
      other = self._random_other(rng, index, tokens[middle : ends[cut]], target - middle)
      if other is not None:
        b, label = other, IS_WRONG
    return *truncate(a, b, room, rng), label

  def _random_other(
    self, rng, index: int, continuation: np.ndarray, target: int
  ) -> np.ndarray | None:
    """Sentences from a random place in another document that
    do not begin as the true continuation does.

    None where the corpus repeats itself so much that no such place was found.
    """
    document = self._document_of_chunk[index]
    start, stop = np.searchsorted(self._document_of_chunk, (document, document + 1)).tolist()
    for _ in range(_TRIES):
      other = _below(rng, len(self._document_of_chunk) - (stop - start))
      other += (stop - start) if other >= start else 0
      lengths, tokens = self._reader.read([other])[0]
      place = _below(rng, len(lengths))
      tokens, lengths = tokens[lengths[:place].sum() :], lengths[place:].tolist()
      if np.array_equal(tokens[: lengths[0]], continuation):
        continue
      while len(tokens) < target and self._continues(other):
        other += 1
        more_lengths, more_tokens = self._reader.read([other])[0]
        lengths, tokens = lengths + more_lengths.tolist(), np.concatenate([tokens, more_tokens])
      ends = list(itertools.accumulate(lengths))
      return tokens[: ends[_reaching(ends, target, least=1) - 1]]
    return None

  def _continues(self, index: int) -> bool:
    following = index + 1
    return following < len(self._document_of_chunk) and (
      self._document_of_chunk[following] == self._document_of_chunk[index]
    )


class _KeyedGenerator:
  """One generator, set to the stream of any position of the run.

  Grain's `random_map` does the same but took 4 ms a draw
  (0.2.18); a new generator takes 30 us, this 5.
  """

  def __init__(self, seed: int):
    self._bits = np.random.Philox(key=(seed, 0))
    self._generator = np.random.Generator(self._bits)
    self._state = self._bits.state

  def at(self, position: int) -> np.random.Generator:
    self._state['state']['counter'][:] = (0, 0, position, 0)
    self._bits.state = self._state
    return self._generator


def truncate(a: np.ndarray, b: np.ndarray, room: int, rng) -> tuple[np.ndarray, np.ndarray]:
  """Cuts tokens off the longer one until both fit, each at a random end (as published)."""
  keep_a = min(len(a), max(room - len(b), (room + 1) // 2))
  keep_b = min(len(b), room - keep_a)
  return _cut(a, keep_a, rng), _cut(b, keep_b, rng)


def _cut(tokens: np.ndarray, keep: int, rng) -> np.ndarray:
  start = rng.binomial(len(tokens) - keep, 0.5) if len(tokens) > keep else 0
  return tokens[start : start + keep]


def _below(rng, limit: int) -> int:
  return int(rng.random() * limit)  # a tenth of the time of rng.integers


def _reaching(ends: list[int], target: int, least: int) -> int:
  """How many sentences it takes to reach `target` tokens, at least `least` and at most all."""
  return min(max(bisect.bisect_left(ends, target) + 1, least), len(ends))
