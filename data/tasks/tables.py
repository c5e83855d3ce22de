"""A person's own labelled texts: CSV, TSV or JSON lines, with columns that are named or found."""

from collections.abc import Iterable, Iterator
import csv
import difflib
import io
import itertools
import json
from pathlib import Path
from typing import NamedTuple

from data.errors import DataError
from data.lines import read_lines

ENDINGS = dict(csv='.csv', tsv='.tsv', jsonl='.jsonl')
# What columns are found by, where data.columns does not name them.
_TEXTS = (
  ('text_a', 'text_b'),
  ('sentence1', 'sentence2'),
  ('premise', 'hypothesis'),
  ('question1', 'question2'),
  ('question', 'sentence'),
  ('text',),
  ('sentence',),
)
_LABELS = ('label', 'labels', 'class', 'score')
_ROLES = ('text', 'text_a', 'text_b', 'label')


class Columns(NamedTuple):
  """Names of the columns of the texts, one or two, and of the label; '' where there is none."""

  texts: tuple[str, ...]
  label: str


class Row(NamedTuple):
  """A row of a table, not yet interpreted: its line, its texts, and its label as it stands there.

  `label` is a text, a list of texts where a JSON file has lists, or None without a label column.
  """

  line: int
  texts: tuple[str, ...]
  label: str | list[str] | None


def read(kind: str, path: Path, asked: str, *, labelled: bool) -> tuple[Columns, list[Row]]:
  """The rows of a file.

  Args:
    kind: csv, tsv or jsonl. In a TSV file a quote is a character like any other.
    asked: `config.data.columns`, as text=review,label=stars; '' finds the columns by their names.
    labelled: there must be a label column.

  Raises:
    DataError: file, line, and what is wrong there.
  """
  found = list(records(kind, path, read_lines(path)))
  if not found:
    raise DataError(f'{path} holds no rows')
  columns = columns_of(path, list(found[0][1]), asked, labelled=labelled)
  rows, wrong = [], []
  for line, cells in found:
    try:
      rows.append(row(line, cells, columns))
    except DataError as error:
      wrong.append(f'{path}, line {line}: {error}')
  if wrong:
    more = f'\nand {len(wrong) - 5:,} more rows' if len(wrong) > 5 else ''
    raise DataError('\n'.join(wrong[:5]) + more)
  return columns, rows


def records(kind: str, path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict]]:
  """(line, cells by column) of each row of a csv, tsv or jsonl file, as its lines come.

  Args:
    path: for messages.
  """
  return dict(csv=_csv, tsv=_tsv, jsonl=_jsonl)[kind](path, lines)


def row(line: int, cells: dict, columns: Columns) -> Row:
  """The texts and the label of a record; raises DataError, without its line, for a bad one."""
  missing = [name for name in (*columns.texts, columns.label) if name and name not in cells]
  if missing:
    raise DataError(f'no {" and no ".join(map(repr, missing))}')
  texts = []
  for name in columns.texts:
    cell = cells[name]
    if not isinstance(cell, str) or not cell.strip():
      raise DataError(f'{name!r} must be a text, and is {_shown(cell)}')
    texts.append(cell)
  return Row(line, tuple(texts), _label(cells[columns.label]) if columns.label else None)


def _label(cell) -> str | list[str]:
  if isinstance(cell, list):
    return [_label(each) for each in cell]
  if cell is None or isinstance(cell, dict):
    raise DataError(f'the label is {_shown(cell)}')
  return cell.strip() if isinstance(cell, str) else json.dumps(cell)


def _shown(cell) -> str:
  return 'empty' if cell in ('', None) else repr(cell)[:40]


def _csv(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
  """Rows by column, with the line that each begins in; cells may be quoted and hold line ends."""
  csv.field_size_limit(1 << 30)
  with_ends = (io.StringIO(f'{line}\n', newline='') for line in lines)
  reader = csv.reader(itertools.chain.from_iterable(with_ends), strict=True)
  names, begins = None, 1
  try:
    for cells in reader:
      if cells and names is None:
        names = _header(path, begins, cells)
      elif cells:
        yield begins, _cells(path, begins, names, cells)
      begins = reader.line_num + 1
  except csv.Error as error:
    raise DataError(f'{path}, line {begins}: not CSV ({error})') from error


def _tsv(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
  names = None
  for number, line in enumerate(lines, 1):
    cells = line.split('\t')
    if names is None:
      names = _header(path, number, cells)
    elif line.strip():
      yield number, _cells(path, number, names, cells)


def _jsonl(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict]]:
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    try:
      record = json.loads(line)
    except (ValueError, RecursionError) as error:
      raise DataError(f'{path}, line {number}: not JSON ({error})') from error
    if not isinstance(record, dict):
      raise DataError(f'{path}, line {number}: expected a JSON object, found {line[:60]!r}')
    yield number, record


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
  names = [cell.strip() for cell in cells]
  twice = sorted({name for name in names if names.count(name) > 1})
  if twice:
    raise DataError(f'{path}, line {line}: two columns are called {", ".join(map(repr, twice))}')
  return names


def _cells(path: Path, line: int, names: list[str], cells: list[str]) -> dict[str, str]:
  if len(cells) != len(names):
    raise DataError(
      f'{path}, line {line}: {len(cells)} cells under the {len(names)} columns {", ".join(names)}'
    )
  return dict(zip(names, cells))


def columns_of(path: Path, names: list[str], asked: str, *, labelled: bool) -> Columns:
  """Which columns hold what, as asked for or by their names.

  Args:
    names: of the columns that there are.
    asked, labelled: as in `read`.
  """
  roles = _asked(asked)
  for name in roles.values():
    if name not in names:
      close = difflib.get_close_matches(name, names, 1, 0.4)
      hint = f'; did you mean {close[0]}?' if close else ''
      raise DataError(f'{path} has no column {name!r}, only {", ".join(names)}{hint}')
  by_name = {name.lower(): name for name in names}
  label = roles.get('label') or next(
    (by_name[name] for name in _LABELS if name in by_name and by_name[name] not in roles.values()),
    '',
  )
  if labelled and not label:
    raise DataError(f'{path} has no column for the label. {_advice(names)}')
  texts = tuple(roles[role] for role in ('text', 'text_a', 'text_b') if role in roles)
  return Columns(texts or _found_texts(path, names, by_name, label), label)


def _found_texts(path: Path, names: list[str], by_name: dict, label: str) -> tuple[str, ...]:
  whole = [known for known in _TEXTS if all(name in by_name for name in known)]
  # 'sentence' of 'question, sentence' is no second way to read the file
  found = [known for known in whole if not any(set(known) < set(other) for other in whole)]
  others = [name for name in names if name != label]
  if not found and len(others) == 1:
    return (others[0],)
  if len(found) != 1:
    problem = 'could be read in several ways' if found else 'has no column for the text'
    raise DataError(f'{path} {problem}. {_advice(names)}')
  return tuple(by_name[name] for name in found[0])


def _advice(names: list[str]) -> str:
  return (
    f'Its columns are {", ".join(names)}; say which are which with '
    '--config.data.columns (--columns of tools.predict), as text=review,label=stars, or for pairs '
    'text_a=...,text_b=...,label=...'
  )


def _asked(asked: str) -> dict[str, str]:
  """{role: column} of config.data.columns."""
  roles = {}
  for part in filter(None, asked.split(',')):
    role, equals, name = part.partition('=')
    if not equals or role.strip() not in _ROLES or not name.strip():
      raise DataError(f'data.columns={asked!r}: {part!r} is not {"=NAME, ".join(_ROLES)}=NAME')
    roles[role.strip()] = name.strip()
  if ('text_a' in roles) != ('text_b' in roles) or 'text' in roles and 'text_a' in roles:
    raise DataError(f'data.columns={asked!r}: name text, or text_a and text_b')
  return roles
