"""Reranking: queries, each with texts that answer it and texts that do not, a JSON object a line.

The names are those of sentence-transformers: query, positive, negative; a text or a list of texts.
"""

from pathlib import Path
from typing import NamedTuple

from data.errors import DataError
from data.lines import read_lines
from data.tasks import tables


class Candidates(NamedTuple):
  """A query, and the texts that are ranked for it."""

  query: str
  positive: tuple[str, ...]
  negative: tuple[str, ...]


def read(path: Path) -> list[Candidates]:
  """The queries of a file; `positive` or `negative` may be empty.

  Raises:
    DataError: with file and line.
  """
  found = []
  for number, record in tables.records('jsonl', path, read_lines(path)):
    where = f'{path}, line {number}'
    (query,), positive, negative = (_texts(where, record, name) for name in Candidates._fields)
    found.append(Candidates(query, positive, negative))
  if not found:
    raise DataError(f'{path} holds no queries')
  return found


def _texts(where: str, record: dict, name: str) -> tuple[str, ...]:
  if name not in record:
    raise DataError(f'{where}: no {name!r}; it has {", ".join(record)[:80]}')
  value = record[name]
  texts = value if isinstance(value, list) and name != 'query' else [value]
  for text in texts:
    if not isinstance(text, str) or not text.strip():
      raise DataError(f'{where}: {name!r} must be a text, and is {text!r:.40}')
  return tuple(texts)
