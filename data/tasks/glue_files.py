"""The files of GLUE: tab-separated, with a header, quotes are characters like any other."""

from collections.abc import Callable, Iterator
from pathlib import Path

from data.errors import DataError
from data.tasks.files import Example, lines


def rows(path: Path, texts: tuple[str, ...], label: str, parse: Callable) -> Iterator[Example]:
  """The examples of a file.

  Args:
    texts, label: names of columns.
    parse: the label as it stands there -> as an example has it; ValueError where it is none.

  Raises:
    DataError: with file and line.
  """
  names: list[str] = []
  for number, line in lines(path):
    cells = line.split('\t')
    if not names:
      names = cells
      missing = [name for name in (*texts, label) if name not in names]
      if missing:
        raise DataError(f'{path}, line 1: no column {missing[0]!r} in the header {line[:80]!r}')
      continue
    row = dict(zip(names, cells))
    try:
      yield Example(tuple(row[name] for name in texts), parse(row[label]))
    except (KeyError, ValueError):
      raise DataError(
        f'{path}, line {number}: expected {len(names)} columns with a {label!r}, found '
        f'{line[:60]!r}'
      ) from None
