"""A corpus as token records, one a document, its sentences kept apart; made once, cut into rows later."""

from array import array
from collections import Counter
from collections.abc import Iterator
import contextlib
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


def tokenise(corpus: Corpus, tokenizer: Tokenizer, folder: Path, validation_share: float, progress) -> dict:
  """Writes `SPLIT.arrayrecord` for both splits; returns what was counted on the way."""
  dtype = records.token_dtype(tokenizer.size)
  replaced, dropped, counts = Counter(), Counter(), {split: Counter() for split in SPLITS}
  frequency_V = np.zeros(tokenizer.size, np.int64)
  hashes, lowest = array('Q'), 1.0  # 8 bytes a document, for an exact count of duplicates
  with contextlib.ExitStack() as stack:
    writers = {
        split: stack.enter_context(records.Writer(folder / f'{split}.arrayrecord', dtype)) for split in SPLITS
    }
    for chunk in _chunks(corpus.documents(replaced, dropped, progress)):
      split_texts = [sentences.split(text) for text in chunk]
      ids = iter(tokenizer.encode([sentence for texts in split_texts for sentence in texts]))
      for text, texts in zip(chunk, split_texts):
        pieces = [piece for piece in (next(ids) for _ in texts) if len(piece)]
        if not pieces:
          dropped['no tokens'] += 1
          continue
        hashes.append(_hash(text))
        place = hashes[-1] / _HASHES
        lowest = min(lowest, place)
        split = SPLITS[place < validation_share]
        writers[split].write(pieces)
        tokens = np.concatenate(pieces)
        if split == 'train':
          np.add.at(frequency_V, tokens, 1)
        unknown = 0 if tokenizer.unknown is None else int((tokens == tokenizer.unknown).sum())
        measured = (1, len(pieces), len(tokens), len(text.encode()), len(text.split()), unknown)
        counts[split].update(dict(zip(_COUNTED, measured)))
  duplicates = len(hashes) - len(np.unique(np.frombuffer(hashes, np.uint64)))
  return dict(
      splits={split: {name: counts[split][name] for name in _COUNTED} for split in SPLITS},
      sha256={split: writers[split].summary()['sha256'] for split in SPLITS},
      replaced=dict(replaced),
      dropped=dict(dropped),
      duplicates=duplicates,
      unigram_entropy=_entropy(frequency_V),
      lowest_position=lowest,
  )


def _hash(text: str) -> int:
  return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, person=b'split').digest())


def _chunks(documents: Iterator[str]) -> Iterator[list[str]]:
  chunk, size = [], 0
  for text in documents:
    chunk.append(text)
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
