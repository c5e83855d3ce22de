"""How documents stand in a text file: plain text, JSON lines, tables; said by the file's ending."""

from collections.abc import Callable, Iterator
import csv
import itertools
import json
from pathlib import Path
import re

from data import compressed, lines
from data.errors import DataError

PLAIN = ('.txt', '.text', '.md', '')
JSON_LINES = ('.jsonl', '.ndjson', '.json')
TABLES = ('.csv', '.tsv')
_UNSURE = ('', '.json', *TABLES)  # endings that many files have which are no corpus
_RETURNS = re.compile('[^\r]*\r|[^\r]+')

# (lines with their ends, the file) -> documents
Parse = Callable[[Iterator[str], Path], Iterator[str]]


def ending(file: Path) -> str:
  """The ending that says what is in a file, under that of a compression."""
  compressed_as = file.suffix.lower() in compressed.ENDINGS.values()
  return (Path(file.stem) if compressed_as else file).suffix.lower()


def promises_text(file: Path) -> bool:
  """Whether a file with this ending that holds no documents is a mistake."""
  return ending(file) not in _UNSURE


def parser(file: Path, *, whole: bool = False) -> Parse:
  """What reads the documents of a file with this ending; any unknown one is plain text.

  Args:
    whole: a plain file is one document.
  """
  found = ending(file)
  if found in JSON_LINES:
    return json_lines
  if found in TABLES:
    return table
  return _whole if whole else paragraphs


def check(file: Path):
  """Looks at the beginning of a file.

  Raises:
    DataError: it is no text, or its ending says another format than it has.
  """
  with open(file, 'rb') as raw:
    rows = lines.split(lines.decoded(compressed.blocks(raw, file), file))
    first = next((row for row in rows if not lines.is_blank(row)), '')
  found = ending(file)
  if found == '.json' and not _has_text(first):
    raise DataError(
      f'{file} is JSON, but its first line is no object with a string named "text". A line a '
      "document is needed: jq -c '.[]' OLD.json >NEW.jsonl makes lines of a list"
    )
  if found not in JSON_LINES + TABLES and _has_text(first):
    raise DataError(f'{file} holds JSON lines: name it so, as {file.stem.partition(".")[0]}.jsonl')
  if found in TABLES:
    for _ in table(iter([first]), file):
      pass


def _has_text(line: str) -> bool:
  try:
    entry = json.loads(line.lstrip('\ufeff'))
  except (ValueError, RecursionError):
    return False
  return isinstance(entry, dict) and isinstance(entry.get('text'), str)


def _whole(rows: Iterator[str], file: Path) -> Iterator[str]:
  yield ''.join(rows)


def paragraphs(rows: Iterator[str], file: Path) -> Iterator[str]:
  """Documents of plain text, which end at blank lines; line ends stay as they are.

  A carriage return that no newline follows ends a line too, as cleaning makes a newline of it.
  """
  document = []
  for row in rows:
    for line in _at_returns(row) if '\r' in row else [row]:
      if not lines.is_blank(line):
        document.append(line)
      elif document:
        yield ''.join(document)
        document = []
  if document:
    yield ''.join(document)


def _at_returns(row: str) -> list[str]:
  text = row.rstrip('\r\n')
  *others, last = _RETURNS.findall(text) or ['']
  return [*others, last + row[len(text) :]]


def json_lines(rows: Iterator[str], file: Path) -> Iterator[str]:
  """The strings named "text" of JSON lines; each line is a document."""
  for number, line in enumerate(rows, 1):
    if lines.is_blank(line):
      continue
    where = f'{file}, line {number}'
    try:
      entry = json.loads(line.lstrip('\ufeff'))
    except RecursionError as error:
      raise DataError(f'{where}: JSON that is nested too deeply') from error
    except ValueError as error:
      hint = '; plain text ends in .txt' if number == 1 else ''
      raise DataError(f'{where}: not JSON ({error}){hint}') from error
    if not isinstance(entry, dict) or not isinstance(entry.get('text'), str):
      raise DataError(f'{where}: not an object with a string named "text"')
    yield entry['text']


def table(rows: Iterator[str], file: Path) -> Iterator[str]:
  """The column "text" of a table with a header: CSV as RFC 4180 has it, or cells between tabs.

  Between tabs a quote is a character like any other, as in the tables of tasks.
  """
  csv.field_size_limit(1 << 30)
  tabs = dict(delimiter='\t', quoting=csv.QUOTE_NONE) if ending(file) == '.tsv' else {}
  first = next(rows, '').removeprefix('\ufeff')
  reader = csv.reader(itertools.chain([first], rows), strict=True, **tabs)
  column, width = None, 0
  while True:
    try:
      cells = next(reader, None)
    except csv.Error as error:
      raise DataError(f'{file}, line {reader.line_num}: no row of a table ({error})') from error
    if cells is None:
      return
    if not cells:
      continue
    if column is None:
      names = [cell.strip() for cell in cells]
      if names.count('text') != 1:
        raise DataError(
          f'{file}, line {reader.line_num}: a table needs a header with one column "text", and '
          f'this one has {", ".join(names)[:80]}'
        )
      column, width = names.index('text'), len(names)
    elif len(cells) != width:
      raise DataError(
        f'{file}, line {reader.line_num}: {len(cells)} cells where the header has {width}'
      )
    else:
      yield cells[column]
