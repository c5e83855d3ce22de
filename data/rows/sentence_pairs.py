"""Sentence pairs for NSP and SOP: [CLS] A [SEP] B [SEP], re-sampled every epoch.

A row is a chunk: consecutive sentences of one document, enough to fill a sequence, as in BERT's
`create_pretraining_data` (Devlin et al. 2019). Drawn for each row, from a generator keyed by (seed,
position in the run): where A ends, whether the pair is wrong, which random B, and what is cut off.
A wrong pair has a random B (BERT's NSP), or A and B change places (SOP, Lan et al. 2020; ALBERT's
code gives chunks of one sentence a random B as well, here they make no pairs).

Pairs of single sentences (RoBERTa's SENTENCE-PAIR) are the same with chunks of two sentences, and a
third where one would be left alone.
"""

import bisect
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.rows import packed, records
from data.tokens.tokenizer import Tokenizer

IS_NEXT, IS_WRONG = 0, 1  # the published convention
WRONG = ('random', 'swapped')  # what a wrong pair is
# random Bs that may turn out to be the true continuation (copied passages) before giving up
_TRIES = 10
_FRAME = 3  # [CLS], [SEP], [SEP]


def chunk(source: records.Reader, path: Path, tokenizer: Tokenizer, T: int, progress) -> dict:
  """Writes chunks that fill a row (`_write`)."""
  return _write(source, path, tokenizer, T - _FRAME, progress)


def chunk_neighbours(
  source: records.Reader, path: Path, tokenizer: Tokenizer, T: int, progress
) -> dict:
  """Writes chunks of two sentences (`_write`), for pairs of single ones, whatever T is."""
  return _write(source, path, tokenizer, 0, progress)


def _write(source: records.Reader, path: Path, tokenizer: Tokenizer, target: int, progress) -> dict:
  """Writes the chunks of all documents, of about `target` tokens each.

  Beside them, X.documents.npy is the document that each chunk comes from, and X.rows.npy the chunks
  of at least two sentences: the rows. Other chunks serve as random B only.

  Returns:
    `records.Writer.summary`, with the numbers of rows, chunks and documents.
  """
  document_of_chunk, rows = [], []
  with records.Writer(path, records.token_dtype(tokenizer.size)) as writer:
    for number, (lengths, tokens) in enumerate(source):
      sentences = records.split_pieces(lengths, tokens)
      for start, stop in chunk_bounds(lengths, target):
        if stop - start > 1:
          rows.append(len(document_of_chunk))
        document_of_chunk.append(number)
        writer.write(sentences[start:stop])
      if number % 1_000 == 0:
        progress('cutting sentence pairs', number, len(source))
  summary = writer.summary()
  np.save(path.with_suffix('.documents.npy'), np.array(document_of_chunk, np.int64))
  np.save(path.with_suffix('.rows.npy'), np.array(rows, np.int64))
  chunks = summary['rows']
  return summary | dict(
    rows=len(rows),
    chunks=chunks,
    single_sentence_documents=chunks - len(rows),
    documents=len(source),
  )


def chunk_bounds(lengths: np.ndarray, target: int) -> list[tuple[int, int]]:
  """Cuts a document into runs of at least two sentences that reach `target` tokens.

  The last run may not reach it. A sentence left alone at the end joins the run before it. Only a
  document of one sentence is a run of one.

  Args:
    lengths: tokens of each sentence.

  Returns:
    (start, stop) of each run, in sentences.
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


class _Pair(NamedTuple):
  """Tokens of A and B, without the frame, and whether they belong together."""

  a: np.ndarray
  b: np.ndarray
  label: int


class Pairs:
  """Draws pairs from the chunks at `path`; a source of `Batches`.

  Args:
    short_share: share of the pairs whose A and B together are cut to a random shorter length, as
      BERT's short_seq_prob.
    seed: of what is drawn.
    wrong: one of WRONG.
    single: A and B are one sentence each, out of chunks of `chunk_neighbours`.
  """

  def __init__(
    self,
    path: Path,
    tokenizer: Tokenizer,
    T: int,
    short_share: float,
    seed: int,
    wrong: str,
    single: bool = False,
  ):
    self._wrong, self._single = wrong, single
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
      pair = self._draw(rng, int(index), *record)
      stop_a = len(pair.a) + 2  # bos A eos
      stop = stop_a + len(pair.b) + 1  # B eos
      token_T = batch['token'][row]
      token_T[0] = tokenizer.bos
      token_T[1 : stop_a - 1] = pair.a
      token_T[stop_a : stop - 1] = pair.b
      token_T[[stop_a - 1, stop - 1]] = tokenizer.eos
      batch['segment'][row, :stop] = 1
      batch['type'][row, stop_a:stop] = 1
      batch['label'][row] = pair.label
    return batch

  def _draw(self, rng, index: int, lengths: np.ndarray, tokens: np.ndarray) -> _Pair:
    """A pair from the sentences of one chunk. The order of the draws decides what a seed means."""
    room = self._T - _FRAME
    if self._single:
      target = 0  # as few sentences as there can be
      lengths, tokens = _neighbours(lengths, tokens, _below(rng, len(lengths) - 1))
    else:
      target = _below(rng, room - 1) + 2 if rng.random() < self._short_share else room
    ends = list(itertools.accumulate(lengths.tolist()))
    sentences = _reaching(ends, target, least=2)
    of_a = 1 + _below(rng, sentences - 1)  # sentences of A
    end_a = ends[of_a - 1]
    a, b = tokens[:end_a], tokens[end_a : ends[sentences - 1]]
    label = IS_NEXT
    if rng.random() < 0.5:
      if self._wrong == 'swapped':
        a, b, label = b, a, IS_WRONG
      else:
        continuation = tokens[end_a : ends[of_a]]  # the sentence after A
        other = self._random_other(rng, index, continuation, target - end_a)
        if other is not None:
          b, label = other, IS_WRONG
    return _Pair(*truncate(a, b, room, rng), label)

  def _random_other(
    self, rng, index: int, continuation: np.ndarray, target: int
  ) -> np.ndarray | None:
    """Whole sentences of another document, from a random one on, about `target` tokens.

    Args:
      index: of the chunk that A comes from.
      continuation: the sentence after A, which B must not begin with.

    Returns:
      None where the corpus repeats itself so much that no other beginning was found.
    """
    document = self._document_of_chunk[index]
    start, stop = np.searchsorted(self._document_of_chunk, (document, document + 1)).tolist()
    own = stop - start  # chunks of A's document
    for _ in range(_TRIES):
      other = _below(rng, len(self._document_of_chunk) - own)
      if other >= start:
        other += own
      lengths, tokens = self._reader.read([other])[0]
      first = _below(rng, len(lengths))
      tokens = tokens[lengths[:first].sum() :]
      lengths = lengths[first:].tolist()
      if not np.array_equal(tokens[: lengths[0]], continuation):
        return self._extend(other, lengths, tokens, target)
    return None

  def _extend(self, index: int, lengths: list[int], tokens: np.ndarray, target: int) -> np.ndarray:
    """Sentences at the end of a chunk, with those of the next chunks until they reach `target`."""
    while len(tokens) < target and self._continues(index):
      index += 1
      more_lengths, more_tokens = self._reader.read([index])[0]
      lengths = lengths + more_lengths.tolist()
      tokens = np.concatenate([tokens, more_tokens])
    ends = list(itertools.accumulate(lengths))
    return tokens[: ends[_reaching(ends, target, least=1) - 1]]

  def _continues(self, index: int) -> bool:
    """Whether the next chunk is of the same document."""
    following = index + 1
    return following < len(self._document_of_chunk) and (
      self._document_of_chunk[following] == self._document_of_chunk[index]
    )


class _KeyedGenerator:
  """One generator, set to the stream of any position of the run.

  Grain's `random_map` does the same but took 4 ms a draw (0.2.18); a new generator takes 30 us,
  this one 5.
  """

  def __init__(self, seed: int):
    self._bits = np.random.Philox(key=(seed, 0))
    self._generator = np.random.Generator(self._bits)
    self._state = self._bits.state

  def at(self, position: int) -> np.random.Generator:
    """The generator at the start of this position's stream; valid until the next call."""
    self._state['state']['counter'][:] = (0, 0, position, 0)
    self._bits.state = self._state
    return self._generator


def truncate(a: np.ndarray, b: np.ndarray, room: int, rng) -> tuple[np.ndarray, np.ndarray]:
  """Cuts tokens off the longer one until both fit into `room`, each token at a random end.

  BERT's `truncate_seq_pair`, in one draw for all tokens of a sentence.
  """
  keep_a = min(len(a), max(room - len(b), (room + 1) // 2))
  keep_b = min(len(b), room - keep_a)
  return _cut(a, keep_a, rng), _cut(b, keep_b, rng)


def _cut(tokens: np.ndarray, keep: int, rng) -> np.ndarray:
  """`keep` of the tokens; each one too many goes at the front or the end, as a coin says."""
  start = rng.binomial(len(tokens) - keep, 0.5) if len(tokens) > keep else 0
  return tokens[start : start + keep]


def _neighbours(
  lengths: np.ndarray, tokens: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
  """(lengths, tokens) of the sentences of a chunk from the `first` on."""
  return lengths[first:], tokens[lengths[:first].sum() :]


def _below(rng, limit: int) -> int:
  """A uniform integer in [0, limit), in a tenth of the time of rng.integers."""
  return int(rng.random() * limit)


def _reaching(ends: list[int], target: int, least: int) -> int:
  """How many sentences it takes to reach `target` tokens, at least `least` and at most all."""
  return min(max(bisect.bisect_left(ends, target) + 1, least), len(ends))
