"""A corpus as token records, one a document, its sentences
kept apart; made once, cut into rows later.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import hashlib
import itertools
from pathlib import Path

import numpy as np

from data.corpora import sentences
from data.corpora.sources import Corpus
from data.rows import records
from data.tokens.tokenizer import Tokenizer

SPLITS = ('train', 'validation')
_CHUNK = 1 << 22  # characters of documents in memory at a time (or one document)
_HASHES = 2**64
_COUNTED = ('documents', 'sentences', 'tokens', 'bytes', 'words', 'unknown')


def position(text: str) -> float:
  """Where a document falls in [0, 1): below the validation share, it is for validation.

  Depends on the text alone, so another order, or other documents beside it, move none across.
  """
  return hash_of(text) / _HASHES


@dataclasses.dataclass
class Counts:
  """What was counted in some documents; of two parts of a corpus it can be added up.

  Attributes:
    splits: of each split, `_COUNTED`.
    frequency_V: how often the training documents have each token.
    hashes: 8 bytes a document, for an exact count of duplicates.
  """

  frequency_V: np.ndarray
  splits: dict[str, Counter] = dataclasses.field(
    default_factory=lambda: {split: Counter() for split in SPLITS}
  )
  replaced: Counter = dataclasses.field(default_factory=Counter)
  dropped: Counter = dataclasses.field(default_factory=Counter)
  hashes: array = dataclasses.field(default_factory=lambda: array('Q'))

  def add(self, other: 'Counts'):
    for split in SPLITS:
      self.splits[split].update(other.splits[split])
    self.replaced.update(other.replaced)
    self.dropped.update(other.dropped)
    self.frequency_V += other.frequency_V
    self.hashes.extend(other.hashes)

  def report(self, sha256: dict[str, str]) -> dict:
    """As JSON.

    Args:
      sha256: of the records of each split.
    """
    hashes = np.frombuffer(self.hashes, np.uint64) if self.hashes else np.zeros(0, np.uint64)
    return dict(
      splits={split: {name: self.splits[split][name] for name in _COUNTED} for split in SPLITS},
      sha256=sha256,
      replaced=dict(sorted(self.replaced.items())),
      dropped=dict(sorted(self.dropped.items())),
      duplicates=len(hashes) - len(np.unique(hashes)),
      unigram_entropy=_entropy(self.frequency_V),
      lowest_position=int(hashes.min()) / _HASHES if len(hashes) else 1.0,
    )


def tokenise(
  corpus: Corpus, tokenizer: Tokenizer, folder: Path, validation_share: float, progress
) -> dict:
  """Writes `SPLIT.arrayrecord` for both splits; returns what was counted on the way."""
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
  """The same of the documents from `first` up to, not including,
  `last`; (counts, SHA-256 of each split).
  """
  counts = Counts(np.zeros(tokenizer.size, np.int64))
  documents = corpus.documents(counts.replaced, counts.dropped, progress, first, last)

  def place(text: str) -> tuple[str, str, int]:
    hashed = hash_of(text)
    return text, SPLITS[hashed / _HASHES < validation_share], hashed

  return counts, write(map(place, documents), counts, tokenizer, folder, sentences.split)


def write(
  documents: Iterator[tuple[str, str, int]],
  counts: Counts,
  tokenizer: Tokenizer,
  folder: Path,
  cut: Callable[[str], list[str]],
) -> dict[str, str]:
  """Writes the tokens of each (text, its split, its hash), cut in pieces; adds to counts.

  Returns:
    The SHA-256 of each split.
  """
  dtype = records.token_dtype(tokenizer.size)
  with contextlib.ExitStack() as stack:
    writers = {
      split: stack.enter_context(records.Writer(folder / f'{split}.arrayrecord', dtype))
      for split in SPLITS
    }
    for chunk in _chunks(documents):
      pieces = [cut(text) for text, _, _ in chunk]
      ids, lengths = tokenizer.encode_many([piece for several in pieces for piece in several])
      first_N = np.cumsum([0, *map(len, pieces[:-1])])
      tokens_N, pieces_N = (
        np.add.reduceat(lengths, first_N),
        np.add.reduceat(lengths > 0, first_N, dtype=np.int64),
      )
      _count(counts, chunk, ids, tokens_N, pieces_N, tokenizer.unknown)
      ids, lengths = ids.astype(dtype), lengths[lengths > 0]
      for (_, split, hashed), its_pieces, its_tokens in zip(
        chunk, _spans(pieces_N), _spans(tokens_N)
      ):
        if its_tokens.stop > its_tokens.start:
          counts.hashes.append(hashed)
          writers[split].lay(lengths[its_pieces], ids[its_tokens])
  return {split: writers[split].summary()['sha256'] for split in SPLITS}


def _count(
  counts: Counts,
  chunk: list[tuple[str, str, int]],
  ids: np.ndarray,
  tokens_N: np.ndarray,
  pieces_N: np.ndarray,
  unknown: int | None,
):
  if blank := int((tokens_N == 0).sum()):
    counts.dropped['no tokens'] += blank
  for split in SPLITS:
    chosen_N = np.array([each == split for _, each, _ in chunk]) & (tokens_N > 0)
    if not chosen_N.any():
      continue
    texts = [text for text, _, _ in itertools.compress(chunk, chosen_N)]
    frequency_V = np.bincount(ids[np.repeat(chosen_N, tokens_N)], minlength=len(counts.frequency_V))
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
  """Where each of several runs lies, one after another."""
  return itertools.starmap(slice, itertools.pairwise([0, *np.cumsum(lengths).tolist()]))


def hash_of(text: str) -> int:
  """64 bits of a document: what places it, and tells copies."""
  return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, person=b'split').digest())


def _chunks(documents: Iterator[tuple[str, str, int]]) -> Iterator[list[tuple[str, str, int]]]:
  chunk, size = [], 0
  for document in documents:
    chunk.append(document)
    size += len(document[0])
    if size >= _CHUNK:
      yield chunk
      chunk, size = [], 0
  if chunk:
    yield chunk


def _entropy(frequency_V: np.ndarray) -> float:
  """Nats a token: what guessing by frequency alone would cost."""
  share = frequency_V[frequency_V > 0] / max(frequency_V.sum(), 1)
  return float(-(share * np.log(share)).sum())
