"""A corpus as token records: one record a document, one piece a sentence; cut into rows later.

Axes: V, the vocabulary; N, the documents of a chunk.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import hashlib
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.corpora import sentences
from data.corpora.sources import Corpus
from data.rows import records
from data.tokens.tokenizer import Tokenizer

SPLITS = ('train', 'validation')
_CHUNK = 1 << 22  # characters of documents in memory at a time (or one document)
_HASHES = 2**64
# of what is counted and of how text is read: raise it, and the records of old caches are made again
COUNTED = 3
_COUNTED = ('documents', 'sentences', 'tokens', 'bytes', 'words', 'unknown')


def position(text: str) -> float:
  """A hash of a document in [0, 1): below the validation share, the document is for validation.

  Depends on the text alone, so another order, or other documents beside it, move none across.
  """
  return hash_of(text) / _HASHES


class Document(NamedTuple):
  """A text, the split that it belongs to, and its hash."""

  text: str
  split: str
  hashed: int


@dataclasses.dataclass
class Counts:
  """What was counted in some documents; the counts of parts of a corpus add up to the whole's.

  Attributes:
    frequency_V: how often the training documents have each token.
    splits: the quantities `_COUNTED` of each split.
    replaced, dropped: what cleaning did, by reason (`sources.Corpus.documents`).
    lost_bytes: of the validation text, which no token but the unknown one stands for.
    hashes: 8 bytes a document, for an exact count of duplicates.
  """

  frequency_V: np.ndarray
  splits: dict[str, Counter] = dataclasses.field(
    default_factory=lambda: {split: Counter() for split in SPLITS}
  )
  replaced: Counter = dataclasses.field(default_factory=Counter)
  dropped: Counter = dataclasses.field(default_factory=Counter)
  lost_bytes: int = 0
  hashes: array = dataclasses.field(default_factory=lambda: array('Q'))

  def add(self, other: 'Counts'):
    """Adds what was counted in other documents, in place."""
    for split in SPLITS:
      self.splits[split].update(other.splits[split])
    self.replaced.update(other.replaced)
    self.dropped.update(other.dropped)
    self.frequency_V += other.frequency_V
    self.lost_bytes += other.lost_bytes
    self.hashes.extend(other.hashes)

  def report(self, sha256: dict[str, str]) -> dict:
    """The counts as JSON: the manifest of a stage of tokens.

    Args:
      sha256: of the records of each split.
    """
    hashes = np.asarray(self.hashes, np.uint64)
    splits = {}
    for split in SPLITS:
      splits[split] = {name: self.splits[split][name] for name in _COUNTED}
    splits['validation']['lost_bytes'] = self.lost_bytes
    return dict(
      splits=splits,
      sha256=sha256,
      replaced=dict(sorted(self.replaced.items())),
      dropped=dict(sorted(self.dropped.items())),
      duplicates=len(hashes) - len(np.unique(hashes)),
      unigram_entropy=entropy(self.frequency_V),
      lowest_position=int(hashes.min()) / _HASHES if len(hashes) else 1.0,
    )


def tokenise(
  corpus: Corpus, tokenizer: Tokenizer, folder: Path, validation_share: float, progress
) -> dict:
  """Writes `SPLIT.arrayrecord` for both splits.

  Returns:
    What was counted on the way (`Counts.report`).
  """
  counts, sha256 = tokenise_part(corpus, tokenizer, folder, validation_share, progress)
  return counts.report(sha256)


def tokenise_part(
  corpus: Corpus,
  tokenizer: Tokenizer,
  folder: Path,
  validation_share: float,
  progress,
  first: int = 0,
  last: int | None = None,
) -> tuple[Counts, dict[str, str]]:
  """`tokenise` of the documents from `first` up to, not including, `last`.

  Returns:
    (counts, SHA-256 of the records of each split).
  """
  counts = Counts(np.zeros(tokenizer.size, np.int64))
  texts = corpus.documents(counts.replaced, counts.dropped, progress, first, last)

  def assign(text: str) -> Document:
    hashed = hash_of(text)
    return Document(text, SPLITS[hashed / _HASHES < validation_share], hashed)

  return counts, write(map(assign, texts), counts, tokenizer, folder, sentences.split)


def write(
  documents: Iterator[Document],
  counts: Counts,
  tokenizer: Tokenizer,
  folder: Path,
  cut: Callable[[str], list[str]],
) -> dict[str, str]:
  """Writes `SPLIT.arrayrecord` for both splits, and adds to `counts`.

  Args:
    cut: a text to the pieces of its record.

  Returns:
    The SHA-256 of the records of each split.
  """
  dtype = records.token_dtype(tokenizer.size)
  with contextlib.ExitStack() as stack:
    writers = {
      split: stack.enter_context(records.Writer(folder / f'{split}.arrayrecord', dtype))
      for split in SPLITS
    }
    for chunk in _chunks(documents):
      pieces = [cut(document.text) for document in chunk]
      tokens = _tokenise_chunk(pieces, tokenizer)
      counts.lost_bytes += _lost_bytes(chunk, pieces, tokenizer)
      _count(counts, chunk, tokens, tokenizer.unknown)
      ids = tokens.ids.astype(dtype)
      places = zip(chunk, _spans(tokens.pieces_N), _spans(tokens.tokens_N))
      for document, its_pieces, its_tokens in places:
        if its_tokens.stop > its_tokens.start:
          counts.hashes.append(document.hashed)
          writers[document.split].lay(tokens.lengths[its_pieces], ids[its_tokens])
  return {split: writers[split].summary()['sha256'] for split in SPLITS}


class _Tokens(NamedTuple):
  """Tokens of a chunk of N documents, without the pieces that have none.

  Attributes:
    ids: of one piece after another.
    lengths: tokens of each piece.
    tokens_N, pieces_N: how many each document has.
  """

  ids: np.ndarray
  lengths: np.ndarray
  tokens_N: np.ndarray
  pieces_N: np.ndarray


def _tokenise_chunk(pieces: list[list[str]], tokenizer: Tokenizer) -> _Tokens:
  ids, lengths = tokenizer.encode_parts(pieces)
  first_N = np.cumsum([0, *map(len, pieces[:-1])])
  return _Tokens(
    ids=ids,
    lengths=lengths[lengths > 0],
    tokens_N=np.add.reduceat(lengths, first_N),
    pieces_N=np.add.reduceat(lengths > 0, first_N, dtype=np.int64),
  )


def _lost_bytes(chunk: list[Document], pieces: list[list[str]], tokenizer: Tokenizer) -> int:
  """Of the validation documents of a chunk; the others are never measured by their bytes."""
  held_out = [its for document, its in zip(chunk, pieces) if document.split == 'validation']
  return tokenizer.lost_bytes(list(itertools.chain.from_iterable(held_out)))


def _count(counts: Counts, chunk: list[Document], tokens: _Tokens, unknown: int | None):
  """Adds what a chunk holds to `counts`; documents without a token count as dropped."""
  tokens_N, pieces_N = tokens.tokens_N, tokens.pieces_N
  if blank := int((tokens_N == 0).sum()):
    counts.dropped['no tokens'] += blank
  for split in SPLITS:
    chosen_N = np.array([document.split == split for document in chunk]) & (tokens_N > 0)
    if not chosen_N.any():
      continue
    texts = [document.text for document in itertools.compress(chunk, chosen_N)]
    chosen_ids = tokens.ids[np.repeat(chosen_N, tokens_N)]
    frequency_V = np.bincount(chosen_ids, minlength=len(counts.frequency_V))
    if split == 'train':
      counts.frequency_V += frequency_V
    counts.splits[split].update(
      documents=len(texts),
      sentences=int(pieces_N[chosen_N].sum()),
      tokens=int(tokens_N[chosen_N].sum()),
      bytes=sum(len(text.encode()) for text in texts),
      words=sum(len(text.split()) for text in texts),
      unknown=0 if unknown is None else int(frequency_V[unknown]),
    )


def _spans(lengths: np.ndarray) -> Iterator[slice]:
  """Where each of several runs is in an array that has them one after another."""
  return itertools.starmap(slice, itertools.pairwise([0, *np.cumsum(lengths).tolist()]))


def hash_of(text: str) -> int:
  """64 bits of a document: decides its split, and tells copies."""
  digest = hashlib.blake2b(text.encode(), digest_size=8, person=b'split').digest()
  return int.from_bytes(digest)


def _chunks(documents: Iterator[Document]) -> Iterator[list[Document]]:
  chunk, size = [], 0
  for document in documents:
    chunk.append(document)
    size += len(document.text)
    if size >= _CHUNK:
      yield chunk
      chunk, size = [], 0
  if chunk:
    yield chunk


def entropy(frequency_V: np.ndarray) -> float:
  """Nats a token: the loss of a model that knows the frequencies and nothing else."""
  share = frequency_V[frequency_V > 0] / max(frequency_V.sum(), 1)
  return float(-(share * np.log(share)).sum())
