"""Token rows on disk: ArrayRecord files of raw little-endian numpy bytes.

A record is a list of pieces, stored as their count, their lengths (uint32) and their tokens one
after another. A document is a record of sentences, a packed row a record of document pieces.
"""

from collections.abc import Iterator
import contextlib
import errno
import hashlib
import os
from pathlib import Path
import shutil
import tempfile

from array_record.python import array_record_module
import numpy as np

from data.errors import DataError

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
    with _writing(path):
      self._writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1,uncompressed')
    self._path, self._dtype = path, dtype
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
    try:
      self._writer.write(record)
    except Exception as error:
      raise _not_written(self._path, error) from error
    self._hash.update(record)
    self.records += 1
    self.pieces += pieces
    self.tokens += (len(record) - LENGTH.itemsize * (1 + pieces)) // self._dtype.itemsize

  def __enter__(self):
    return self

  def __exit__(self, *_):
    with _writing(self._path):
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
    options = 'readahead_buffer_size:0,max_parallelism:0'
    self._path, self._dtype = path, dtype
    try:
      self._reader = array_record_module.ArrayRecordReader(str(path), options)
      self._count = self._reader.num_records()
    except Exception as error:
      raise self._damaged(error) from error
    # array_record takes a file whose end is damaged for one without records
    if not self._count and path.read_bytes() != _file_without_records():
      raise self._damaged('its end cannot be read')

  def __len__(self) -> int:
    return self._count

  def read(self, indices) -> list[tuple[np.ndarray, np.ndarray]]:
    """(lengths of the pieces, all their tokens) of each of these records; arrays are read-only."""
    return [self._parse(record) for record in self._read([int(index) for index in indices])]

  def __iter__(self):
    """What `read` returns of every record, in their order."""
    return map(self._parse, self.raw())

  def raw(self) -> Iterator[bytes]:
    """Every record as it lies in the file."""
    for start in range(0, self._count, 256):
      yield from self._read([*range(start, min(start + 256, self._count))])

  def _parse(self, record: bytes) -> tuple[np.ndarray, np.ndarray]:
    pieces = int.from_bytes(record[: LENGTH.itemsize], 'little')
    try:
      lengths = np.frombuffer(record, LENGTH, pieces, LENGTH.itemsize)
      return lengths, np.frombuffer(record, self._dtype, offset=LENGTH.itemsize * (1 + pieces))
    except ValueError as error:
      raise self._damaged(error) from error

  def _read(self, indices: list[int]) -> list[bytes]:
    try:
      return self._reader.read(indices)
    except Exception as error:
      raise self._damaged(error) from error

  def _damaged(self, error: Exception | str) -> DataError:
    reason = ' '.join(str(error).split())[:200]
    return DataError(
      f'{self._path} is damaged: {reason}. Delete {self._path.parent} and run again.'
    )


def _file_without_records() -> bytes:
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / 'empty'
    with Writer(path, token_dtype(1)):
      pass
    return path.read_bytes()


@contextlib.contextmanager
def _writing(path: Path):
  """Says as an OSError why a file cannot be written; array_record raises its own, with a text."""
  try:
    yield
  except Exception as error:
    raise _not_written(path, error) from error


def _not_written(path: Path, error: Exception) -> OSError:
  numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
  number = next((one for one in numbers if os.strerror(one) in str(error)), errno.EIO)
  free = shutil.disk_usage(path.parent).free
  return OSError(
    number, f'{path} cannot be written: {os.strerror(number)}; {free:,} bytes are free'
  )


def split_pieces(lengths: np.ndarray, tokens: np.ndarray) -> list[np.ndarray]:
  """The pieces of a record, as views of its tokens."""
  if len(lengths) == 1:
    return [tokens]
  return np.split(tokens, np.cumsum(lengths[:-1]))
