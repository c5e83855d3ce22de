"""Files as blocks of bytes: what is compressed is known by its first bytes, whatever its name.

A file may hold several streams (members, frames) one after another; all of them are read, and the
last one must have ended. The readers of the standard library are not used: those of xz and bzip2
take a damaged second stream for the end of the file.
"""

import bz2
from collections.abc import Callable, Iterator
import lzma
from pathlib import Path
import zlib

from data.errors import DataError

ENDINGS = dict(gzip='.gz', xz='.xz', zstd='.zst', bzip2='.bz2')
BLOCK = 1 << 16  # bytes
_BZIP2_BLOCK = (b'1AY&SY', b'\x17rE8P\x90')  # the first one of a file, and of an empty file
_ZSTD_SKIPPED = b'*M\x18'  # a frame of notes, after a byte of 0x50 to 0x5f


def blocks(raw, path: Path) -> Iterator[bytes]:
  """The content of an open file, decompressed if it is compressed; a block may be empty.

  Args:
    raw: the file, opened to be read as bytes.
    path: for its ending, and for errors.

  Raises:
    DataError: it is cut short or damaged, or is not what its ending says.
  """
  data = raw.read(BLOCK)
  kind = _kind(data)
  if kind is None:
    _check_ending(path, data)
    while data:
      yield data
      data = raw.read(BLOCK)
    return
  new, errors = _decompressor(kind, path)
  try:
    yield from _streams(raw, data, new)
  except errors as error:
    if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of bzip2
      raise
    raise DataError(f'{path} is cut short or damaged: {kind} says {error}') from error


def _kind(data: bytes) -> str | None:
  """A key of ENDINGS, by the first bytes of a file; None: it is not compressed."""
  if data.startswith(b'\x1f\x8b\x08'):
    return 'gzip'
  if data.startswith(b'\xfd7zXZ\x00'):
    return 'xz'
  if data.startswith(b'\x28\xb5\x2f\xfd') or (data[1:4] == _ZSTD_SKIPPED and data[0] >> 4 == 5):
    return 'zstd'
  if data.startswith(b'BZh') and data[4:].startswith(_BZIP2_BLOCK):
    return 'bzip2'
  return None


def _check_ending(path: Path, data: bytes):
  for kind, ending in ENDINGS.items():
    if path.suffix.lower() == ending:
      how = 'does not begin as such a file does' if data else 'is empty'
      raise DataError(
        f'{path} is cut short or damaged, or is not compressed: it is named {ending}, for {kind}, '
        f'and {how}. Copy it again, or name it without {ending} if it is plain text'
      )


def _decompressor(kind: str, path: Path) -> tuple[Callable, tuple[type[Exception], ...]]:
  """(what makes a decompressor of one stream, what it raises)."""
  match kind:
    case 'gzip':
      return lambda: zlib.decompressobj(wbits=31), (EOFError, zlib.error)
    case 'xz':
      return lzma.LZMADecompressor, (EOFError, lzma.LZMAError)
    case 'bzip2':
      return bz2.BZ2Decompressor, (EOFError, OSError)
  try:
    from compression import zstd  # Python 3.14

    return zstd.ZstdDecompressor, (EOFError, zstd.ZstdError)
  except ImportError:
    pass
  try:
    import zstandard
  except ImportError as error:
    raise DataError(
      f'{path}: reading zstd needs a package: python -m pip install zstandard'
    ) from error
  return lambda: zstandard.ZstdDecompressor().decompressobj(), (EOFError, zstandard.ZstdError)


def _streams(raw, data: bytes, new: Callable) -> Iterator[bytes]:
  """What all streams hold; `data` is the first block of the file.

  Raises:
    EOFError: the file ends within a stream.
  """
  while data:
    stream = new()
    yield stream.decompress(data)
    while not stream.eof:
      data = raw.read(BLOCK)
      if not data:
        raise EOFError('the file ends too early')
      yield stream.decompress(data)
    data = stream.unused_data.lstrip(b'\0')  # zeros fill up the end of an archive
    while not data and (more := raw.read(BLOCK)):
      data = more.lstrip(b'\0')
