"""Packed rows: pieces of several documents side by side, each its own segment.

A piece is bos and as many tokens of a document as fit; the last piece of a document ends with eos.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.rows import records
from data.tokens.tokenizer import Tokenizer

WINDOW = 1 << 16  # pieces among which partners are looked for; what is in memory while packing


def pack(source: records.Reader, path: Path, tokenizer: Tokenizer, T: int, progress) -> dict:
  """Packs the documents of `source` into rows of at most `T` tokens.

  Args:
    path: of the file of rows to write.

  Returns:
    `records.Writer.summary`, and how many tokens are bos or eos (framing).
  """
  written_documents = text_tokens = 0
  with records.Writer(path, records.token_dtype(tokenizer.size)) as writer:
    window = []
    for number, (_, tokens) in enumerate(source, 1):
      written_documents, text_tokens = number, text_tokens + len(tokens)
      window += pieces(tokens, tokenizer.bos, tokenizer.eos, T)
      if len(window) >= WINDOW:
        write_best_fit(writer, window, T)
        window = []
        progress(f'packing rows of {T}', number, len(source))
    write_best_fit(writer, window, T)
  summary = writer.summary()
  summary['framing'] = summary['pieces'] + written_documents  # a bos a piece, an eos a document
  assert summary['tokens'] == text_tokens + summary['framing'], (summary, text_tokens)
  return summary


def pieces(tokens: np.ndarray, bos: int, eos: int, T: int) -> Iterator[np.ndarray]:
  """Cuts a document into the longest pieces of at most T tokens: bos in each, eos in the last."""
  body = np.append(tokens, eos)
  for start in range(0, len(body), T - 1):
    yield np.insert(body[start : start + T - 1], 0, bos)


def best_fit(lengths: list[int], T: int) -> list[list[int]]:
  """Best-fit decreasing: longest first, each into the fullest bin of size `T` that has room.

  Grain's packer keeps a fixed number of rows open and closes all of them when a piece fits none.
  With all lengths known, sorting them fills rows better, and a bit for each amount of free room
  finds the bin at once.

  Returns:
    Indices of `lengths`, a list a bin.
  """
  bins = []
  room = [[] for _ in range(T + 1)]  # bins by free room
  available = 0  # bit r: some bin has room r
  longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
  for index in longest_first:
    length = lengths[index]
    fitting = available >> length  # bit r: some bin has room length + r
    if fitting:
      free = length + (fitting & -fitting).bit_length() - 1  # the lowest bit
      chosen = room[free].pop()
      if not room[free]:
        available &= ~(1 << free)
    else:
      free, chosen = T, len(bins)
      bins.append([])
    bins[chosen].append(index)
    free -= length
    if free:
      room[free].append(chosen)
      available |= 1 << free
  return bins


def write_best_fit(writer: records.Writer, window: list[np.ndarray], T: int):
  """Writes pieces of at most T tokens, a row a bin, its pieces in the order of `window`."""
  for members in best_fit([len(piece) for piece in window], T):
    writer.write([window[index] for index in sorted(members)])


class Packed:
  """Reads batches of packed rows; a source of `Batches`."""

  def __init__(self, path: Path, tokenizer: Tokenizer, T: int):
    self._reader = records.Reader(path, records.token_dtype(tokenizer.size))
    self._pad, self._T = tokenizer.pad or 0, T

  def __len__(self) -> int:
    return len(self._reader)

  def read(self, row_ids: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
    """The batch of these rows; id -1 is an empty row. Nothing is drawn: positions do not matter."""
    del positions
    batch = empty_batch(row_ids, self._T, self._pad)
    filled = np.flatnonzero(row_ids >= 0)
    for row, (lengths, tokens) in zip(filled, self._reader.read(row_ids[filled])):
      batch['token'][row, : len(tokens)] = tokens
      numbers = np.arange(1, len(lengths) + 1)  # of the pieces
      batch['segment'][row, : len(tokens)] = np.repeat(numbers, lengths)
    return batch


def empty_batch(row_ids: np.ndarray, T: int, pad: int) -> dict[str, np.ndarray]:
  """token (all `pad`), segment and type (0), BxT, and id, B; int32, to be filled in."""
  shape = (len(row_ids), T)
  return {
    'token': np.full(shape, pad, np.int32),
    'segment': np.zeros(shape, np.int32),
    'type': np.zeros(shape, np.int32),
    'id': row_ids.astype(np.int32),
  }
