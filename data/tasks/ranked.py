"""Queries, each with texts and how well they answer it: ranked:PATH.

JSON lines with `query`, `docs` and `labels`, which are two lists of one length, as
sentence-transformers names them; or a file of groups, as tools.mine writes it: the anchor is the
query, and without `scores` the positive has 1 and each negative 0.
"""

import math
from pathlib import Path

from data.errors import DataError
from data.groups import files as groups
from data.groups.files import Group
from data.lines import read_lines
from data.tasks import own, own_files, tables
from data.tasks.files import Example
from data.tasks.labelled import Task

KIND = 'ranked'


def load(where: str, *, share: float) -> Task:
  """A task of ranking; the label of an example is a tuple, a number for each text.

  Args:
    where: as in `own_files.find`.
    share: of the rows to train on that are set aside where there is no file for validation.

  Raises:
    DataError: file, line, and what is wrong.
  """
  paths = own_files.find(KIND, where, tuple(groups.KINDS))
  splits = {split: _read(path) for split, path in paths.items()}
  ordered, notes = own.with_validation(splits, share)
  return Task(own_files.name_of(where) or KIND, KIND, (), ordered, labels='number', notes=notes)


def _read(path: Path) -> list[Example]:
  kind = own_files.ending(path).removeprefix('.') or 'jsonl'
  records = list(tables.records(kind, path, read_lines(path)))
  if records and 'docs' in records[0][1]:
    found = [_listed(path, line, cells) for line, cells in records]
  else:
    found = [_of_group(path, group) for group in groups.read(path)]
  if not found:
    raise DataError(f'{path} holds no rows')
  return found


def _listed(path: Path, line: int, cells: dict) -> Example:
  """A row of query, docs and labels."""
  query, docs = cells.get('query'), cells.get('docs')
  if not isinstance(docs, list):
    raise DataError(f'{path}, line {line}: docs must be a list of texts, and is {docs!r:.40}')
  for text in (query, *docs):
    if not isinstance(text, str) or not text.strip():
      raise DataError(f'{path}, line {line}: query and docs must be texts, and one is {text!r:.40}')
  return _example(path, line, (query, *docs), cells.get('labels', cells.get('scores')))


def _of_group(path: Path, group: Group) -> Example:
  """A group of anchor, positive and negatives."""
  label = group.label
  if label is None:
    label = [1.0] + [0.0] * (len(group.texts) - 2)
  return _example(path, group.line, group.texts, label)


def _example(path: Path, line: int, texts: tuple[str, ...], labels) -> Example:
  where, count = f'{path}, line {line}', len(texts) - 1
  numbers = labels if isinstance(labels, list) else [labels]
  if not all(type(one) in (int, float) and math.isfinite(one) for one in numbers):
    raise DataError(f'{where}: the scores must be a list of numbers, and are {labels!r:.40}')
  if len(numbers) != count:
    raise DataError(f'{where}: {len(numbers)} scores for {count} texts beside the query')
  if len({*numbers}) < 2:
    raise DataError(f'{where}: all texts have one score, so there is nothing to rank; leave it out')
  return Example(texts, tuple(map(float, numbers)))
