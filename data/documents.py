"""A corpus as token records, one a document, its sentences kept apart; made once, cut into rows later."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from data import records, sentences
from data.sources import Corpus
from data.tokenizer import Tokenizer

SPLITS = ('train', 'validation')
_CHUNK = 1 << 22  # characters of documents in memory at a time (or one document)
_HASHES = 2**64
_COUNTED = ('documents', 'sentences', 'tokens', 'bytes', 'words', 'unknown')


def position(text: str) -> float:
  """Where a document falls in [0, 1): below the validation share, it is for validation.

  Depends on the text alone, so another order, or other documents beside it, move none across.
  """
  return _hash(text) / _HASHES


@dataclasses.dataclass
class Counts:
  """What was counted in some documents; of two parts of a corpus it can be added up.

  Attributes:
    splits: of each split, `_COUNTED`.
    frequency_V: how often the training documents have each token.
    hashes: 8 bytes a document, for an exact count of duplicates.
  """

  frequency_V: np.ndarray
  splits: dict[str, Counter] = dataclasses.field(default_factory=lambda: {split: Counter() for split in SPLITS})
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


def tokenise(corpus: Corpus, tokenizer: Tokenizer, folder: Path, validation_share: float, progress) -> dict:
  """Writes `SPLIT.arrayrecord` for both splits; returns what was counted on the way."""
  counts, sha256 = tokenise_part(corpus, tokenizer, folder, validation_share, progress)
  return counts.report(sha256)


def tokenise_part(corpus: Corpus, tokenizer: Tokenizer, folder: Path, validation_share: float, progress,
                  first: int = 0, last: int | None = None) -> tuple[Counts, dict[str, str]]:
  """The same of the documents from `first` up to, not including, `last`; (counts, SHA-256 of each split)."""
  counts = Counts(np.zeros(tokenizer.size, np.int64))
  documents = corpus.documents(counts.replaced, counts.dropped, progress, first, last)
  placed = ((text, SPLITS[position(text) < validation_share]) for text in documents)
  return counts, write(placed, counts, tokenizer, folder, sentences.split)


def write(documents: Iterator[tuple[str, str]], counts: Counts, tokenizer: Tokenizer, folder: Path,
          cut: Callable[[str], list[str]]) -> dict[str, str]:
  """Writes the tokens of each (text, its split), cut in pieces; adds to counts, returns the SHA-256 of each split."""
  dtype = records.token_dtype(tokenizer.size)
  with contextlib.ExitStack() as stack:
    writers = {
        split: stack.enter_context(records.Writer(folder / f'{split}.arrayrecord', dtype)) for split in SPLITS
    }
    for chunk in _chunks(documents):
      split_texts = [cut(text) for text, _ in chunk]
      ids = iter(tokenizer.encode([sentence for texts in split_texts for sentence in texts]))
      for (text, split), texts in zip(chunk, split_texts):
        pieces = [piece for piece in (next(ids) for _ in texts) if len(piece)]
        if not pieces:
          counts.dropped['no tokens'] += 1
          continue
        counts.hashes.append(_hash(text))
        writers[split].write(pieces)
        tokens = np.concatenate(pieces)
        if split == 'train':
          np.add.at(counts.frequency_V, tokens, 1)
        unknown = 0 if tokenizer.unknown is None else int((tokens == tokenizer.unknown).sum())
        measured = (1, len(pieces), len(tokens), len(text.encode()), len(text.split()), unknown)
        counts.splits[split].update(dict(zip(_COUNTED, measured)))
  return {split: writers[split].summary()['sha256'] for split in SPLITS}


def _hash(text: str) -> int:
  return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, person=b'split').digest())


def _chunks(documents: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
  chunk, size = [], 0
  for text, split in documents:
    chunk.append((text, split))
    size += len(text)
    if size >= _CHUNK:
      yield chunk
      chunk, size = [], 0
  if chunk:
    yield chunk


def _entropy(frequency_V: np.ndarray) -> float:
  """Nats a token: what guessing by frequency alone would cost."""
  share = frequency_V[frequency_V > 0] / max(frequency_V.sum(), 1)
  return float(-(share * np.log(share)).sum())
