"""Texts that a model is asked about, as they come: lines, tables, JSON lines, words in columns."""

from collections.abc import Iterable, Iterator
from pathlib import Path
import re
from typing import NamedTuple

from data.errors import DataError
from data.lines import is_blank
from data.tasks import choices, tables

FORMATS = ('text', 'csv', 'tsv', 'jsonl', 'conll')
_ENDINGS = {'.csv': 'csv', '.tsv': 'tsv', '.jsonl': 'jsonl', '.json': 'jsonl', '.conll': 'conll'}
_WORDS = ('words', 'tokens')  # what JSON lines call a sentence that is split into words
# Scripts that have no space between words: each character is one, as their data sets have it.
_ALONE = '\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff'
_CHUNK = re.compile(f'[{_ALONE}]|[^\\s{_ALONE}]+')
# a word keeps the marks that stand inside it, as in U.S.-led and 1.5
_EDGES = re.compile(r'[^\w\s]|\w(?:\S*\w)?')


class Asked(NamedTuple):
  """One text of the input.

  Attributes:
    line: where it begins.
    texts: one or two, or a question and its answers, or the words of a sentence.
    words: whether it came as words.
  """

  line: int
  texts: tuple[str, ...]
  words: bool


def format_of(path: Path) -> str:
  """Which of FORMATS a file has, by its name."""
  name = path.name.lower()
  for ending in ('.gz', '.xz', '.zst', '.bz2'):
    name = name.removesuffix(ending)
  return _ENDINGS.get(Path(name).suffix, 'text')


class Counted:
  """Lines as they are read, with a count of those that are blank."""

  def __init__(self, lines: Iterable[str]):
    self._lines, self.blank = lines, 0

  def __iter__(self) -> Iterator[str]:
    for line in self._lines:
      self.blank += is_blank(line)
      yield line


def read(kind: str, lines: Iterable[str], where: str, columns: str, usual: str) -> Iterator[Asked]:
  """The texts of an input, each as soon as its lines are there; blank lines are no texts.

  Args:
    kind: one of FORMATS.
    where: the input's name, for messages.
    columns: which columns hold the texts, as `config.data.columns`; '' finds them.
    usual: those of the data that the model was trained on, taken where they are there.

  Raises:
    DataError: where, line, and what is wrong.
  """
  if kind == 'text':
    return (
      Asked(number, (line,), False) for number, line in enumerate(lines, 1) if not is_blank(line)
    )
  if kind == 'conll':
    return _sentences(lines, where, columns)
  return _rows(kind, lines, where, columns, usual)


def read_choices(kind: str, lines: Iterable[str], where: str) -> Iterator[Asked]:
  """Questions with answers to choose from, as training reads them; a label is not needed.

  Args:
    kind: one of FORMATS.

  Raises:
    DataError: where, line, and what is wrong; or the format has no place for answers.
  """
  if kind not in ('csv', 'tsv', 'jsonl'):
    raise DataError(
      f'{where} is read as {kind}, which has no answers to choose from: give .jsonl, .csv or .tsv, '
      'or say --format'
    )
  for line, cells in tables.records(kind, Path(where), lines):
    try:
      yield Asked(line, choices.example(cells).texts, False)
    except DataError as error:
      raise DataError(f'{where}, line {line}: {error}') from None


def split_words(text: str) -> list[tuple[int, int]]:
  """Where the words of a text are: at white space, marks at the edges apart; from, up to."""
  return [
    (chunk.start() + word.start(), chunk.start() + word.end())
    for chunk in _CHUNK.finditer(text)
    for word in _EDGES.finditer(chunk.group())
  ]


def _rows(kind: str, lines, where: str, asked: str, usual: str) -> Iterator[Asked]:
  columns = None
  for line, cells in tables.records(kind, Path(where), lines):
    name = next((name for name in _WORDS if isinstance(cells.get(name), list)), None)
    if name and not asked:
      yield Asked(line, _checked(cells[name], f'{where}, line {line}: {name!r}'), True)
      continue
    columns = columns or _columns(where, [*cells], asked, usual)
    try:
      found = tables.row(line, cells, columns)
    except DataError as error:
      raise DataError(f'{where}, line {line}: {error}') from None
    yield Asked(line, found.texts, False)


def _columns(where: str, names: list[str], asked: str, usual: str) -> tables.Columns:
  """The columns of the texts, without that of a label."""
  if not asked:  # those of training, where they are there
    parts = [part for part in usual.split(',') if not part.startswith('label=')]
    known = all(part.partition('=')[2].strip() in names for part in parts)
    asked = ','.join(parts) if known else ''
  found = tables.columns_of(Path(where), names, asked, labelled=False)
  return found._replace(label='')


def _checked(words: list, where: str) -> tuple[str, ...]:
  if not words or not all(isinstance(word, str) and not is_blank(word) for word in words):
    raise DataError(f'{where} must be a list of words, and is {str(words)[:60]}')
  return tuple(words)


def _sentences(lines: Iterable[str], where: str, columns: str) -> Iterator[Asked]:
  """Sentences of words, a word a line in the first column, or where `columns` says, as word=2."""
  role, _, number = columns.partition('=')
  if columns and (role != 'word' or not number.isdigit() or int(number) < 1):
    raise DataError(f'columns={columns!r}: expected word=1, counted from 1')
  place = int(number or 1) - 1
  first, words = 0, []
  for line, text in enumerate(lines, 1):
    if is_blank(text) or text.startswith('-DOCSTART-'):
      if words:
        yield Asked(first, tuple(words), True)
      words = []
      continue
    cells = text.split('\t') if '\t' in text else re.split(' +', text.strip(' '))
    if place >= len(cells) or is_blank(cells[place]):
      raise DataError(f'{where}, line {line}: no word in column {place + 1}: {text[:60]!r}')
    first = first if words else line
    words.append(cells[place])
  if words:
    yield Asked(first, tuple(words), True)
