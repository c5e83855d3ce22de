"""Sentences of labelled words, a word a line in columns, as the CoNLL tasks have them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
import re
from typing import NamedTuple

from data.errors import DataError
from data.lines import is_blank

_SPACES = re.compile(' +')


class Sentence(NamedTuple):
  """Words and the tag of each; the line that the first stands in."""

  line: int
  words: tuple[str, ...]
  tags: tuple[str, ...]


def sentences(
  path: Path, lines: Iterable[tuple[int, str]], *, word: int = 0, tag: int = -1
) -> Iterator[Sentence]:
  """The sentences of a file, apart by blank lines.

  Columns are apart by tabs where the first line has one, else by spaces. What begins with
  -DOCSTART- is no sentence, and a line that begins with # and has another number of columns than
  the others is a comment.

  Args:
    lines: numbered.
    word, tag: columns, from 0; negative ones from the end.

  Raises:
    DataError: a line has another number of columns than those before, with its number.
  """
  columns, tabs = 0, False
  first, words, tags = 0, [], []
  for number, line in lines:
    if is_blank(line):
      if words:
        yield Sentence(first, tuple(words), tuple(tags))
      words, tags = [], []
      continue
    if not columns:
      tabs = '\t' in line
    # not at every white space: a word may hold one that does not break
    cells = line.split('\t') if tabs else _SPACES.split(line.strip(' '))
    if cells[0] == '-DOCSTART-' or line.startswith('#') and len(cells) != max(columns, 2):
      continue
    columns = columns or len(cells)
    if len(cells) != columns or columns < 2 or not all((cells[word], cells[tag])):
      raise DataError(
        f'{path}, line {number}: expected a word and its tag in {max(columns, 2)} columns, found '
        f'{line[:60]!r}'
      )
    first = first if words else number
    words.append(cells[word])
    tags.append(cells[tag])
  if words:
    yield Sentence(first, tuple(words), tuple(tags))
