"""What readers of labelled tasks share: an example, and the lines and cells of a text file."""

from collections.abc import Iterator
import gzip
from pathlib import Path
from typing import NamedTuple
import zlib

from data.errors import DataError


class Example(NamedTuple):
  """One labelled text, pair of texts, or sentence of labelled words.

  Attributes:
    texts: one text, two, or for chunking the words.
    label: index of a class; for chunking a tuple of them, one a word.
    score: SICK's relatedness, 1 to 5.
  """

  texts: tuple[str, ...]
  label: int | tuple[int, ...]
  score: float | None = None


def lines(path: Path) -> Iterator[tuple[int, str]]:
  """(number, line) of a text file, .gz too, without line ends and byte order mark."""
  try:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == '.gz' else data).decode('utf-8-sig')
  except (EOFError, zlib.error, gzip.BadGzipFile) as error:
    raise DataError(f'{path} is cut short or damaged: {error}') from error
  except UnicodeDecodeError as error:
    line = error.object[: error.start].count(b'\n') + 1
    raise DataError(f'{path}, line {line}: not UTF-8 ({error.reason})') from error
  # Not splitlines: it also breaks at characters that stand inside a sentence.
  for number, line in enumerate(text.removesuffix('\n').split('\n'), 1):
    yield number, line.removesuffix('\r')


def table(path: Path, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
  """(number, cells) below the header of a TSV file; a quote is a character like any other."""
  for number, line in lines(path):
    cells = line.split('\t')
    if number == 1 and tuple(cells) != names:
      raise DataError(f'{path}, line 1: expected the header {names}, found {line[:80]!r}')
    if len(cells) != len(names):
      raise DataError(
        f'{path}, line {number}: expected {len(names)} columns, found {len(cells)}: {line[:60]!r}'
      )
    if number > 1:
      yield number, cells
