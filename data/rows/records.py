"""Token rows on disk: ArrayRecord files of raw little-endian numpy bytes.

A record is a list of pieces, stored as their count, their lengths (uint32) and their tokens one
after another. A document is a record of sentences, a packed row a record of document pieces.
"""

from collections.abc import Iterator
import hashlib
from pathlib import Path

from array_record.python import array_record_module
import numpy as np

LENGTH = np.dtype('<u4')


def token_dtype(vocabulary: int) -> np.dtype:
  """The narrowest type that holds every id below `vocabulary`."""
  return np.dtype('<u2' if vocabulary <= 1 << 16 else '<u4')


class Writer:
  """A context manager that writes records in order.

  Args:
    dtype: of the tokens (`token_dtype`).

  Attributes:
    records, pieces, tokens: how many were written.
  """

  def __init__(self, path: Path, dtype: np.dtype):
    # group_size:1 is what random access needs; compression would
    # cost more than it saves on rows this short.
    self._writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1,uncompressed')
    self._dtype = dtype
    self._hash = hashlib.sha256()
    self.records = self.pieces = self.tokens = 0

  def write(self, pieces: list[np.ndarray]):
    """Writes a record of these pieces."""
    self.lay(np.array([*map(len, pieces)]), np.concatenate(pieces))

  def lay(self, lengths: np.ndarray, tokens: np.ndarray):
    """Writes a record of pieces that lie one after another in `tokens`."""
    count = len(lengths).to_bytes(LENGTH.itemsize, 'little')
    header = count + lengths.astype(LENGTH).tobytes()
    self.copy(header + tokens.astype(self._dtype, copy=False).tobytes())

  def copy(self, record: bytes):
    """Writes a record as it lies in another file of the same type."""
    pieces = int.from_bytes(record[: LENGTH.itemsize], 'little')
    self._writer.write(record)
    self._hash.update(record)
    self.records += 1
    self.pieces += pieces
    self.tokens += (len(record) - LENGTH.itemsize * (1 + pieces)) // self._dtype.itemsize

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._writer.close()

  def summary(self) -> dict:
    """What was written so far, with the SHA-256 of all records, as JSON."""
    return dict(
      rows=self.records, pieces=self.pieces, tokens=self.tokens, sha256=self._hash.hexdigest()
    )


class Reader:
  """Random access to the records of one file."""

  def __init__(self, path: Path, dtype: np.dtype):
    # Read without threads of its own: a row is shorter than the hand-over to a thread.
    # grain's ArrayRecordDataSource has a pool and costs twice as much a row.
    self._reader = array_record_module.ArrayRecordReader(
      str(path), 'readahead_buffer_size:0,max_parallelism:0'
    )
    self._dtype = dtype
    self._count = self._reader.num_records()

  def __len__(self) -> int:
    return self._count

  def read(self, indices) -> list[tuple[np.ndarray, np.ndarray]]:
    """(lengths of the pieces, all their tokens) of each of these records; arrays are read-only."""
    found = self._reader.read([int(index) for index in indices])
    return [self._parse(record) for record in found]

  def __iter__(self):
    """What `read` returns of every record, in their order."""
    return map(self._parse, self.raw())

  def raw(self) -> Iterator[bytes]:
    """Every record as it lies in the file."""
    for start in range(0, self._count, 256):
      yield from self._reader.read([*range(start, min(start + 256, self._count))])

  def _parse(self, record: bytes) -> tuple[np.ndarray, np.ndarray]:
    pieces = int.from_bytes(record[: LENGTH.itemsize], 'little')
    lengths = np.frombuffer(record, LENGTH, pieces, LENGTH.itemsize)
    return lengths, np.frombuffer(record, self._dtype, offset=LENGTH.itemsize * (1 + pieces))


def split_pieces(lengths: np.ndarray, tokens: np.ndarray) -> list[np.ndarray]:
  """The pieces of a record, as views of its tokens."""
  if len(lengths) == 1:
    return [tokens]
  return np.split(tokens, np.cumsum(lengths[:-1]))
