"""Rows of whole sentences in the order of the corpus, as RoBERTa reads them (Liu et al. 2019, 4.1).

Full sentences go on into the next document, with an eos between the two, and a row is one segment:
bos sentences eos [sentences eos]. Doc sentences end where their document ends: bos sentences eos.
For the short ones that this leaves the paper puts more rows into a batch; here they share a row,
each a segment of its own. A sentence longer than a row is cut.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.rows import packed, records
from data.tokens.tokenizer import Tokenizer

_FRAME = 2  # bos, eos


def write_full(source: records.Reader, path: Path, tokenizer: Tokenizer, T: int, progress) -> dict:
  """Writes rows of at most T tokens that may hold the end of a document and the next one's start.

  Returns:
    `records.Writer.summary`, and how many tokens are bos or eos (framing).
  """
  bos, eos = np.array([tokenizer.bos]), np.array([tokenizer.eos])
  text_tokens = separators = 0
  row, size = [], 0  # parts and their tokens, without the frame
  with records.Writer(path, records.token_dtype(tokenizer.size)) as writer:
    for number, (lengths, tokens) in enumerate(source, 1):
      text_tokens += len(tokens)
      begins = True  # a document
      for part in _parts(lengths, tokens, T - _FRAME):
        separated = begins and bool(row)
        if size + separated + len(part) > T - _FRAME:
          writer.write([np.concatenate([bos, *row, eos])])
          row, size, separated = [], 0, False
        if separated:
          row, size, separators = [*row, eos], size + 1, separators + 1
        row, size, begins = [*row, part], size + len(part), False
      if number % 1_000 == 0:
        progress(f'filling rows of {T}', number, len(source))
    if row:
      writer.write([np.concatenate([bos, *row, eos])])
  summary = writer.summary()
  framing = _FRAME * summary['rows'] + separators
  assert summary['tokens'] == text_tokens + framing, (summary, text_tokens)
  return summary | dict(framing=framing)


def write_of_documents(
  source: records.Reader, path: Path, tokenizer: Tokenizer, T: int, progress
) -> dict:
  """Writes rows of at most T tokens; each piece of a row holds sentences of one document.

  Returns:
    `records.Writer.summary`, and how many tokens are bos or eos (framing).
  """
  text_tokens, window = 0, []
  with records.Writer(path, records.token_dtype(tokenizer.size)) as writer:
    for number, (lengths, tokens) in enumerate(source, 1):
      text_tokens += len(tokens)
      for run in _runs(_parts(lengths, tokens, T - _FRAME), T - _FRAME):
        window.append(np.concatenate([[tokenizer.bos], *run, [tokenizer.eos]]))
      if len(window) >= packed.WINDOW:
        packed.write_best_fit(writer, window, T)
        window = []
        progress(f'packing rows of {T}', number, len(source))
    packed.write_best_fit(writer, window, T)
  summary = writer.summary()
  framing = _FRAME * summary['pieces']
  assert summary['tokens'] == text_tokens + framing, (summary, text_tokens)
  return summary | dict(framing=framing)


def _parts(lengths: np.ndarray, tokens: np.ndarray, room: int) -> Iterator[np.ndarray]:
  """The sentences of a document, those of more than `room` tokens in parts."""
  for sentence in records.split_pieces(lengths, tokens):
    for start in range(0, len(sentence), room):
      yield sentence[start : start + room]


def _runs(parts: Iterator[np.ndarray], room: int) -> Iterator[list[np.ndarray]]:
  """The longest runs of parts that fit into `room` tokens, one after another."""
  run, size = [], 0
  for part in parts:
    if run and size + len(part) > room:
      yield run
      run, size = [], 0
    run.append(part)
    size += len(part)
  if run:
    yield run
