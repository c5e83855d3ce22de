"""What readers of labelled tasks share: an example, and the lines and cells of a text file."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data import compressed
from data.errors import DataError
from data.lines import read_lines
from data.tasks.columns import Sentence


class Example(NamedTuple):
  """One labelled text, pair of texts, or sentence of labelled words.

  Attributes:
    texts: one text, two, or the words of a sentence.
    label: index of a class; a tuple of them, one a word or where a text may have several; a number
      where the task is one of degree; None where it is not known.
    score: SICK's relatedness, 1 to 5.
  """

  texts: tuple[str, ...]
  label: int | float | tuple[int, ...] | None
  score: float | None = None


def lines(path: Path, encoding: str = 'utf-8') -> Iterator[tuple[int, str]]:
  """(number, line) of a text file, compressed or not (`data.lines`)."""
  if encoding == 'utf-8':
    found = read_lines(path)
  else:
    with path.open('rb') as raw:
      whole = b''.join(compressed.blocks(raw, path)).decode(encoding)
    found = [line.rstrip('\r') for line in whole.removesuffix('\n').split('\n')]
  if not found:
    raise DataError(f'{path}, line 1: the file is empty')
  return enumerate(found, 1)


def packed(path: Path) -> Path:
  """A file of this name, or with the ending of a compression behind it.

  Raises:
    DataError: there is none.
  """
  for ending in ('', *compressed.ENDINGS.values()):
    if (found := path.with_name(path.name + ending)).is_file():
      return found
  raise DataError(f'{path}: no such file')


def words(path: Path, sentence: Sentence, classes: tuple[str, ...]) -> Example:
  """A sentence as an example; raises DataError for a tag that is no class, with its line."""
  unknown = next((tag for tag in sentence.tags if tag not in classes), None)
  if unknown is not None:
    raise DataError(
      f'{path}, in the sentence that begins in line {sentence.line}: {unknown!r} is none of '
      f'{", ".join(classes)}'
    )
  return Example(sentence.words, tuple(map(classes.index, sentence.tags)))


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
