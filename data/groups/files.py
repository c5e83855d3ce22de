"""Files of text groups: an anchor with its positive and negatives, or two sentences with a label.

Columns are found by their names: anchor (or query, question), positive (or answer, passage),
negative, negative_1, ...; or sentence1, sentence2 (or text_a, text_b; premise, hypothesis); and
score or label, or a teacher's vector. A file with one column of texts has each text twice, which
dropout tells apart.
"""

import math
from pathlib import Path
import re
from typing import NamedTuple

from data import compressed
from data.errors import DataError
from data.lines import read_lines
from data.tasks import own, own_files, tables

KINDS = {'.jsonl': 'jsonl', '.tsv': 'tsv', '.csv': 'csv'}
_PAIRS = (
  ('anchor', 'positive'),
  ('query', 'positive'),
  ('query', 'answer'),
  ('query', 'passage'),
  ('question', 'answer'),
  ('sentence1', 'sentence2'),
  ('text_a', 'text_b'),
  ('premise', 'hypothesis'),
)
_SINGLES = ('text', 'sentence', 'anchor')
_NEGATIVE = re.compile(r'(negative|neg)s?(_?\d+)?')
_LABELS = ('score', 'scores', 'label', 'labels', 'vector', 'vectors')


class Group(NamedTuple):
  """A row of a file.

  Attributes:
    line: in its file.
    texts: anchor, positive and negatives; a single text twice.
    label: as it stands there; None where the file has no column for it.
    columns: of the file, that were read.
  """

  line: int
  texts: tuple[str, ...]
  label: object
  columns: tuple[str, ...] = ()


def load(where: str) -> dict[str, list[Group]]:
  """{split: groups} of a file, a folder or files by split, as `own_files.find` takes them.

  Raises:
    DataError: file, line, and what is wrong.
  """
  paths = own_files.find('groups', where, tuple(KINDS))
  return {split: read(path) for split, path in paths.items()}


def classes(found: dict[str, list[Group]]) -> tuple[str, ...]:
  """The different labels of all splits, in the order of their numbers."""
  named = {
    str(group.label).strip()
    for groups in found.values()
    for group in groups
    if group.label is not None
  }
  return own.sort_names(named)


def scores(path: str, groups: list[Group], scale: float) -> list[float]:
  """The label of each group as a number, divided by `scale`.

  Raises:
    DataError: one is no number.
  """
  return [_number(path, group, group.label) / scale for group in groups]


def score_lists(path: str, groups: list[Group]) -> list[list[float]]:
  """The scores of a teacher for each text but the anchor.

  One number is the margin between positive and negative: it counts as (margin, 0).

  Raises:
    DataError: there are not as many as texts.
  """
  found = []
  for group in groups:
    values = group.label if isinstance(group.label, list) else [group.label, 0]
    numbers = [_number(path, group, value) for value in values]
    if len(numbers) != len(group.texts) - 1:
      raise DataError(
        f'{path}, line {group.line}: {len(numbers)} scores for {len(group.texts) - 1} texts beside '
        'the anchor; one number is the margin of a triplet'
      )
    found.append(numbers)
  return found


def vectors(path: str, groups: list[Group]) -> list[list[list[float]]]:
  """The vectors of a teacher, one for each text; one alone is that of every text.

  Raises:
    DataError: there are not as many as texts, they are no lists of numbers, or of several lengths.
  """
  found = []
  for group in groups:
    where, asked = f'{path}, line {group.line}', group.label
    listed = isinstance(asked, list) and asked and all(isinstance(one, list) for one in asked)
    each = asked if listed else [asked] * len(group.texts)
    for vector in each:
      if not isinstance(vector, list) or not vector or not all(map(_is_finite, vector)):
        raise DataError(f'{where}: a vector must be a list of numbers, and is {vector!r:.40}')
    if len(each) != len(group.texts):
      raise DataError(f'{where}: {len(each)} vectors for {len(group.texts)} texts')
    found.append(each)
    lengths = sorted({len(found[0][0]), *map(len, each)})
    if len(lengths) > 1:
      raise DataError(f'{where}: vectors of different lengths: {", ".join(map(str, lengths))}')
  return found


def _is_finite(value) -> bool:
  return type(value) in (int, float) and math.isfinite(value)


def read(path: Path) -> list[Group]:
  """The groups of one file.

  Raises:
    DataError: file, line, and what is wrong.
  """
  records = list(tables.records(_kind(path), path, read_lines(path)))
  if not records:
    raise DataError(f'{path} holds no rows')
  names = list(records[0][1])
  texts, negatives, label = _columns(path, names)
  columns = (*texts, *negatives, *filter(None, [label]))
  groups = []
  for line, cells in records:
    found = [_text(path, line, name, cells.get(name)) for name in texts]
    for name in negatives:
      found += _negatives(path, line, name, cells.get(name))
    if len(found) == 1:
      found *= 2
    if label and cells.get(label) in (None, ''):
      raise DataError(f'{path}, line {line}: no {label!r}')
    groups.append(Group(line, tuple(found), cells[label] if label else None, columns))
  return groups


def _kind(path: Path) -> str:
  packed = path.suffix in compressed.ENDINGS.values()
  ending = Path(path.stem if packed else path.name).suffix.lower()
  if ending not in KINDS:
    raise DataError(f'{path} must end in {", ".join(KINDS)}')
  return KINDS[ending]


def _columns(path: Path, names: list[str]) -> tuple[tuple[str, ...], list[str], str]:
  """(columns of one text or two, columns of negatives, column of the label or '')."""
  by_name = {name.lower(): name for name in names}
  label = next((by_name[name] for name in _LABELS if name in by_name), '')
  negatives = [name for name in names if _NEGATIVE.fullmatch(name.lower())]
  for pair in _PAIRS:
    if all(name in by_name for name in pair):
      return tuple(by_name[name] for name in pair), negatives, label
  for single in _SINGLES:
    if single in by_name and not negatives:
      return (by_name[single],), [], label
  raise DataError(
    f'{path} has the columns {", ".join(names)}; groups need anchor and positive (and negative, '
    'negative_1, ...), or sentence1 and sentence2, or text alone'
  )


def _text(path: Path, line: int, name: str, cell) -> str:
  if not isinstance(cell, str) or not cell.strip():
    raise DataError(f'{path}, line {line}: {name!r} must be a text, and is {cell!r:.40}')
  return cell


def _negatives(path: Path, line: int, name: str, cell) -> list[str]:
  """None where the cell is empty: groups may have different numbers of negatives."""
  if isinstance(cell, list):
    return [_text(path, line, name, each) for each in cell]
  return [] if cell in (None, '') else [_text(path, line, name, cell)]


def _number(path: str, group: Group, value) -> float:
  try:
    number = float(value)
  except (TypeError, ValueError):
    number = math.nan
  if not math.isfinite(number):
    raise DataError(f'{path}, line {group.line}: the score must be a number, and is {value!r:.40}')
  return number
