"""What is text, and what is a line of it: one rule for corpora, tasks and programs.

Text is UTF-8, compressed or not. A line ends at \\n, and carriage returns before it belong to the
end; characters at which Unicode would break a line (U+2028, U+0085, form feeds) stand inside one.
A byte order mark is no part of a line. A blank line has white space of any kind and nothing else;
it is never data, and whoever leaves blank lines out says how many.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
import re
import sys

from data import compressed
from data.errors import DataError

# white space of any kind, none of it after U+3000, and characters that cleaning removes
_BLANK = ''.join(filter(str.isspace, map(chr, range(0x3001)))) + '\0\u200b\u2060\ufeff'
_NO_TEXT = bytes(set(range(32)) - set(b'\t\n\v\f\r\x1b\x1c\x1d\x1e\x1f')) + b'\x7f'
_ESCAPED = re.compile('[\udc80-\udcff]')  # a byte that is not UTF-8
_FIRST_BYTES = {
  b'\xff\xfe\0\0': 'UTF-32',
  b'\0\0\xfe\xff': 'UTF-32',
  b'\xff\xfe': 'UTF-16',
  b'\xfe\xff': 'UTF-16',
  b'\x89PNG': 'a PNG picture',
  b'\xff\xd8\xff': 'a JPEG picture',
  b'GIF87a': 'a GIF picture',
  b'GIF89a': 'a GIF picture',
  b'%PDF-': 'a PDF document',
  b'%!PS': 'a PostScript document',
  b'{\\rtf': 'an RTF document',
  b'PK\x03\x04': 'a zip archive (or a document of an office program, which is one)',
  b'Rar!\x1a': 'a RAR archive',
  b'7z\xbc\xaf': 'a 7-Zip archive',
  b'\x04"M\x18': 'an LZ4 file',
  b'\x1f\x9d': 'a file of compress',
  b'PAR1\x15': 'a Parquet table',
  b'ARROW1\0': 'an Arrow table',
  b'\x93NUMPY': 'a numpy array',
  b'\x89HDF': 'an HDF5 file',
  b'SQLite format 3\0': 'an SQLite database',
  b'\x7fELF': 'a program',
}
_TAR_MARK = slice(257, 262)


def is_blank(line: str) -> bool:
  """Whether a line has white space of any kind (ideographic, non-breaking) and nothing else."""
  return not line.strip(_BLANK)


def say_left_out(program: str, blank: int):
  """Says on stderr how many blank lines a program left out, where there are any."""
  if blank:
    said = 'one blank line was' if blank == 1 else f'{blank:,} blank lines were'
    print(f'{program}: {said} left out', file=sys.stderr)


def read_lines(path: Path) -> list[str]:
  """The lines of a text file, compressed or not, without their ends; blank ones too.

  Raises:
    DataError: it is not there, or no text, or not UTF-8 in some line, or damaged.
    OSError: it cannot be read.
  """
  try:
    raw = open(path, 'rb')
  except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
    what = 'is a folder' if path.is_dir() else 'no such file'
    raise DataError(f'{path}: {what}') from error
  with raw:
    return lines_of(compressed.blocks(raw, path), path)


def lines_of(blocks: Iterable[bytes], where: Path | str) -> list[str]:
  """The lines of a text that comes in blocks of bytes, as `read_lines` gives them.

  Args:
    where: the text is from, for errors.
  """
  text = ''.join(decoded(blocks, where))
  if '\n' not in text and '\r' in text.rstrip('\r'):
    raise DataError(
      f"{where}: its lines end in carriage returns alone, as on old Macs: tr '\\r' '\\n' <OLD >NEW"
    )
  lines = [line.rstrip('\r').removeprefix('\ufeff') for line in text.split('\n')]
  if not lines[-1]:
    lines.pop()
  for number, line in enumerate(lines, 1):
    if not line.isascii() and _ESCAPED.search(line):
      raise DataError(f'{where}, line {number}: not UTF-8. {_ADVICE}')
  return lines


def arriving(read: Callable[[], bytes], where: str) -> Iterator[str]:
  """The lines of a text that is still being written, each as soon as its end is there.

  Args:
    read: returns the next bytes, b'' at the end.
    where: the text is from, for errors.
  """
  rest, number = b'', 0
  while block := read():
    *whole, rest = (rest + block).split(b'\n')
    for line in whole:
      number += 1
      yield _arrived(line, where, number)
  if rest:
    yield _arrived(rest, where, number + 1)


def _arrived(line: bytes, where: str, number: int) -> str:
  try:
    text = line.decode().rstrip('\r')
  except UnicodeDecodeError:
    raise DataError(f'{where}, line {number}: not UTF-8. {_ADVICE}') from None
  return text.removeprefix('\ufeff') if number == 1 else text


def split(texts: Iterable[str]) -> Iterator[str]:
  """The lines of a text that comes in parts, with their ends."""
  line = []
  for text in texts:
    first, *others = text.split('\n')
    line.append(first)
    if others:
      yield ''.join(line) + '\n'
      yield from (f'{one}\n' for one in others[:-1])
      line = others[-1:]
  if last := ''.join(line):
    yield last


def decoded(blocks: Iterable[bytes], where: Path | str) -> Iterator[str]:
  """The text of blocks of bytes, with its byte order mark if it has one.

  A byte that is not UTF-8 comes out as a surrogate, where there are few of them: at most one in 16
  of a short text, and one in 100 of a long one.

  Raises:
    DataError: it is no text, or in another encoding.
  """
  decoder = codecs.getincrementaldecoder('utf-8')('surrogateescape')
  line, begun = 1, False
  for block in _of_size(blocks):
    if not begun:
      _refuse_by_name(block, where)
      begun = True
    text = decoder.decode(block)
    _refuse_binary(block, text, where, line)
    line += block.count(b'\n')
    yield text
  if rest := decoder.decode(b'', final=True):
    yield rest


def _of_size(blocks: Iterable[bytes]) -> Iterator[bytes]:
  """The same bytes in blocks that are long enough for shares; the last one may be short."""
  parts, size = [], 0
  for block in blocks:
    parts.append(block)
    size += len(block)
    if size >= compressed.BLOCK:
      yield b''.join(parts)
      parts, size = [], 0
  if size:
    yield b''.join(parts)


def _refuse_by_name(block: bytes, where: Path | str):
  if block[_TAR_MARK] == b'ustar':
    raise DataError(f'{where} is a tar archive, and no text: unpack it into a folder')
  for first, name in _FIRST_BYTES.items():
    if block.startswith(first):
      advice = _ADVICE if name.startswith('UTF') else 'Text is needed: plain, JSON lines or CSV'
      raise DataError(f'{where} is {name}, and no UTF-8 text. {advice}')


_ADVICE = (
  'Convert text of another encoding: iconv -f ENCODING -t UTF-8 OLD >NEW (-f UTF-16, LATIN1)'
)


def _refuse_binary(block: bytes, text: str, where: Path | str, line: int):
  """Refuses a block that has too many bytes that no text has; `line` is its first one."""
  controls = len(block) - len(block.translate(None, _NO_TEXT))
  try:
    text.encode()
    escaped = 0
  except UnicodeEncodeError:
    escaped = len(_ESCAPED.findall(text))
  if controls + escaped <= min(len(block) / 16, 16 + len(block) / 100):
    return
  first = re.search(f'[{re.escape(_NO_TEXT.decode())}\udc80-\udcff]', text)
  line += text.count('\n', 0, first.start()) if first else 0
  zeros = (
    ' (every other byte is zero: UTF-16 or UTF-32?)' if block.count(0) > len(block) / 5 else ''
  )
  raise DataError(
    f'{where}, line {line}: not UTF-8, or no text: {controls + escaped:,} of {len(block):,} bytes'
    f'{zeros}. {_ADVICE}'
  )
