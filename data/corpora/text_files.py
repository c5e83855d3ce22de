"""The user's own text: plain or JSON lines, compressed or not, one file or a folder of them."""

from collections.abc import Iterator
import gzip
import hashlib
import io
import json
import lzma
import os
from pathlib import Path
import zlib

from data.errors import DataError
from runtime.atomic import atomic_write

PLAIN = ('.txt', '.text', '.md', '')
JSON_LINES = ('.jsonl', '.ndjson')
COMPRESSED = ('.gz', '.xz', '.zst')
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


def list_files(path: Path) -> list[Path]:
  """The readable text files at `path`, sorted by name, hidden ones left out.

  Raises:
    DataError: there is nothing at `path`, or no such file in the folder.
  """
  if not path.exists():
    raise DataError(f'text:{path}: no such file or folder')
  if path.is_file():
    return [path]
  files = [file for file in sorted(path.rglob('*')) if _is_text(file, path)]
  if not files:
    raise DataError(
      f'text:{path}: the folder holds no {", ".join(PLAIN[:-1] + JSON_LINES)} file (or one of them '
      f'compressed as {", ".join(COMPRESSED)})'
    )
  return files


def _is_text(file: Path, folder: Path) -> bool:
  if not file.is_file() or _kind(file) not in PLAIN + JSON_LINES:
    return False
  return not any(part.startswith('.') for part in file.relative_to(folder).parts)


def identity(files: list[Path], cache: Path) -> str:
  """SHA-256 over the contents of the files in their order; their names do not matter.

  A file's own hash is remembered in the cache with its size and time, so that a second run does not
  read it again.
  """
  contents = [(_kind(file), _remembered_hash(file.resolve(), cache / 'hashes')) for file in files]
  return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def read(files: list[Path], progress, *, whole: bool = False) -> Iterator[str]:
  """The documents of these files, one file after another.

  A document of plain text ends at a blank line; of JSON lines, each line has one under "text".
  Bytes that are not UTF-8 come out as surrogates, which `sources.clean` replaces and counts.

  Args:
    progress: called with the bytes read; of a compressed file, those before decompression.
    whole: a plain file is one document.

  Raises:
    DataError: a file is damaged, UTF-16, or a line is no JSON object with "text".
  """
  total = sum(file.stat().st_size for file in files)
  done = 0
  for file in files:
    try:
      with open(file, 'rb') as raw:
        lines = io.TextIOWrapper(
          _decompressed(raw, file), 'utf-8', errors='surrogateescape', newline=''
        )
        if _kind(file) in JSON_LINES:
          parse = _json_lines
        else:
          parse = _whole if whole else _paragraphs
        for number, document in enumerate(parse(lines, file)):
          if number % 256 == 0:
            progress('reading', done + raw.tell(), total)
          yield document
    except _BROKEN as error:
      raise DataError(f'{file} is cut short or damaged: {error}') from error
    done += file.stat().st_size


def _kind(file: Path) -> str:
  """The suffix that says what is in a file, under that of a compression."""
  return (Path(file.stem) if file.suffix in COMPRESSED else file).suffix.lower()


def _decompressed(raw, file: Path):
  match file.suffix:
    case '.gz':
      return gzip.GzipFile(fileobj=raw)
    case '.xz':
      return lzma.LZMAFile(raw)
    case '.zst':
      return _zstandard(raw, file)
  return raw


def _zstandard(raw, file: Path):
  try:
    from compression import zstd  # Python 3.14

    return zstd.ZstdFile(raw)
  except ImportError:
    pass
  try:
    import zstandard
  except ImportError as error:
    raise DataError(
      f'{file}: reading .zst needs a package: python -m pip install zstandard'
    ) from error
  return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))


def _whole(lines: io.TextIOWrapper, file: Path) -> Iterator[str]:
  text = lines.read()
  _refuse_utf16(text, file)
  yield text


def _refuse_utf16(start: str, file: Path):
  if start[:2] in ('\udcff\udcfe', '\udcfe\udcff'):
    raise DataError(f'{file} is UTF-16: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)')


def _paragraphs(lines: Iterator[str], file: Path) -> Iterator[str]:
  document = []
  for number, line in enumerate(lines):
    if number == 0:
      _refuse_utf16(line, file)
    if line.strip('\ufeff\x00 \t\r\n\f\v'):
      document.append(line)
    elif document:
      yield ''.join(document)
      document = []
  if document:
    yield ''.join(document)


def _json_lines(lines: Iterator[str], file: Path) -> Iterator[str]:
  for number, line in enumerate(lines, 1):
    if not line.strip('\ufeff \t\r\n'):
      continue
    try:
      entry = json.loads(line.lstrip('\ufeff'))
    except ValueError as error:
      raise DataError(f'{file}, line {number}: not JSON ({error})') from error
    if not isinstance(entry, dict) or not isinstance(entry.get('text'), str):
      raise DataError(f'{file}, line {number}: not an object with a string named "text"')
    yield entry['text']


def _remembered_hash(file: Path, folder: Path) -> str:
  """SHA-256 of a file; from a note in `folder` where size, time and inode are as they were."""
  stat = file.stat()
  signature = f'{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}'
  note = folder / hashlib.sha256(os.fsencode(file)).hexdigest()[:20]
  if note.exists():
    known, _, digest = note.read_text().rpartition(' ')
    if known == signature:
      return digest
  with open(file, 'rb') as stream:
    digest = hashlib.file_digest(stream, 'sha256').hexdigest()
  folder.mkdir(parents=True, exist_ok=True)
  atomic_write(note, f'{signature} {digest}', racing=True)
  return digest
