"""The user's own text: one file or a folder of them, plain or not, compressed or not."""

from collections.abc import Iterator
import hashlib
import json
import os
from pathlib import Path

from data import compressed, lines
from data.corpora import text_formats
from data.errors import DataError
from runtime.atomic import atomic_write

_READ = text_formats.PLAIN + text_formats.JSON_LINES + text_formats.TABLES


def list_files(path: Path) -> tuple[list[Path], dict[str, list[str]]]:
  """The text files at `path`, sorted by name.

  Returns:
    (files, what a folder leaves out: {reason: names}).

  Raises:
    DataError: there is nothing at `path`, or no text, or a file that is named as text is none.
  """
  if not path.exists():
    where = '' if path.is_absolute() else f' in {Path.cwd()}, where this command runs'
    raise DataError(f'text:{path}: no such file or folder{where}')
  if not path.is_dir():
    text_formats.check(path)
    return [path], {}
  files, left_out = [], {}
  for file in sorted(path.rglob('*')):
    if reason := _left_out(file, path):
      left_out.setdefault(reason, []).append(str(file.relative_to(path)))
    elif not file.is_dir():
      files.append(file)
  if not files:
    found = ', '.join(f'{len(names):,} {reason}' for reason, names in left_out.items())
    raise DataError(
      f'text:{path}: the folder holds no {", ".join(filter(None, _READ))} file (or one of them '
      f'compressed as {", ".join(compressed.ENDINGS.values())}) with text; it holds '
      f'{found or "nothing"}'
    )
  return files, left_out


def _left_out(file: Path, folder: Path) -> str | None:
  """Why a file of a folder is not read, None if it is; folders are neither.

  Raises:
    DataError: its ending says that it is text, and it is none.
  """
  if file.is_dir():
    return None
  if any(part.startswith('.') for part in file.relative_to(folder).parts):
    return 'hidden'
  if not file.is_file():
    return 'no file (a broken link, a pipe)'
  ending = text_formats.ending(file)
  if ending not in _READ:
    return f'named {ending}'
  try:
    text_formats.check(file)
  except DataError:
    if text_formats.promises_text(file):
      raise
    return 'without text' if ending in text_formats.PLAIN else f'named {ending}, without "text"'
  return None


def identity(files: list[Path], cache: Path) -> str:
  """SHA-256 over the contents of the files in their order; their names do not matter.

  A file's own hash is remembered in the cache with its size and time, so that a second run does not
  read it again.
  """
  contents = [
    (text_formats.ending(file), _remembered_hash(file.resolve(), cache / 'hashes'))
    for file in files
  ]
  return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def read(files: list[Path], progress, *, whole: bool = False) -> Iterator[str]:
  """The documents of these files, one file after another.

  A document of plain text ends at a blank line; JSON lines have one a line, tables one a row.
  Bytes that are not UTF-8 come out as surrogates, which `sources.clean` replaces and counts.

  Args:
    progress: called with the bytes read; of a compressed file, those before decompression.
    whole: a plain file is one document.

  Raises:
    DataError: a file is damaged or no text, or a line is not what its format has.
  """
  total = sum(file.stat().st_size for file in files)
  done = 0
  for file in files:
    parse = text_formats.parser(file, whole=whole)
    with open(file, 'rb') as raw:
      rows = lines.split(lines.decoded(compressed.blocks(raw, file), file))
      for number, document in enumerate(parse(rows, file)):
        if number % 256 == 0:
          progress('reading', done + raw.tell(), total)
        yield document
    done += file.stat().st_size


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
