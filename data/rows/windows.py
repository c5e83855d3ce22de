"""One running text in windows, without bos, eos or documents.

Every token but the first is predicted once an epoch.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from data.corpora import sentences
from data.corpora.sources import Corpus
from data.rows import documents, records
from data.rows.packed import empty_batch
from data.tokens.tokenizer import Tokenizer

_BLOCK = 1 << 16  # tokens a record


def halves(corpus: Corpus, validation_share: float, replaced: Counter, progress) -> tuple[str, str]:
  """(training text, validation text): the corpus as one text, cut once, by characters.

  By position and not by hash: training windows must not lie between validation windows.

  Args:
    replaced: a counter that what cleaning replaces is added to.
  """
  text = corpus.running_text(replaced, progress)
  cut = int(len(text) * (1 - validation_share))
  return text[:cut], text[cut:]


def tokenise(
  corpus: Corpus, tokenizer: Tokenizer, folder: Path, validation_share: float, progress
) -> dict:
  """`documents.tokenise` of one text: each split has one document."""
  counts = documents.Counts(np.zeros(tokenizer.size, np.int64))
  texts = halves(corpus, validation_share, counts.replaced, progress)
  of_splits = [
    documents.Document(text, split, documents.hash_of(text))
    for text, split in zip(texts, documents.SPLITS)
  ]
  sha256 = documents.write(iter(of_splits), counts, tokenizer, folder, sentences.cut)
  return counts.report(sha256)


def write(source: records.Reader, path: Path, tokenizer: Tokenizer, T: int, progress) -> dict:
  """Writes the tokens of the one document of `source` end to end, in records of a fixed size.

  Returns:
    `records.Writer.summary`, with the number of windows of T as rows.
  """
  tokens = np.concatenate([tokens for _, tokens in source])
  progress(f'cutting windows of {T}', 0, None)
  with records.Writer(path, records.token_dtype(tokenizer.size)) as writer:
    for start in range(0, len(tokens), _BLOCK):
      writer.write([tokens[start : start + _BLOCK]])
  return writer.summary() | dict(rows=_windows(len(tokens), T), framing=0)


def _windows(tokens: int, T: int) -> int:
  """How many: a window's first token is the last one of the window before, and not predicted."""
  return -(-(tokens - 1) // (T - 1))


class ContiguousWindows:
  """Reads batches of windows of T tokens; the whole text is held in memory.

  Row i begins at token i (T - 1). Where rows are shuffled, each epoch moves all windows by one
  number of tokens, drawn for (seed, epoch), so that windows are cut elsewhere every epoch. The
  first epoch, and reading in order, moves nothing. A window that reaches over the end is cut
  there; the first `shift` tokens are left out.

  A source of `Batches`.

  Args:
    seed: of these moves; None where rows are read in order.
  """

  def __init__(self, path: Path, tokenizer: Tokenizer, T: int, seed: int | None):
    reader = records.Reader(path, records.token_dtype(tokenizer.size))
    self._token_N = np.concatenate([tokens for _, tokens in reader])
    self._pad, self._T, self._seed = tokenizer.pad or 0, T, seed

  def __len__(self) -> int:
    return _windows(len(self._token_N), self._T)

  def read(self, row_ids: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
    """The batch of these rows, read at these positions of the run; id -1 is an empty row."""
    batch = empty_batch(row_ids, self._T, self._pad)
    for row in np.flatnonzero(row_ids >= 0):
      epoch = positions[row] // len(self)
      start = row_ids[row] * (self._T - 1) + self._shift(epoch)
      window = self._token_N[start : start + self._T]
      batch['token'][row, : len(window)] = window
      batch['segment'][row, : len(window)] = 1
    return batch

  def _shift(self, epoch: int) -> int:
    """Tokens by which the windows of an epoch are moved, below T - 1."""
    if self._seed is None or epoch == 0:
      return 0
    return int(np.random.default_rng((self._seed, epoch)).integers(self._T - 1))
