"""Tasks of one's own, from tables: what their labels are, their classes, and their splits."""

from collections.abc import Callable, Sequence
import hashlib
import math
from pathlib import Path

from data.errors import DataError
from data.tasks import own_files, tables
from data.tasks.files import Example
from data.tasks.labelled import Task
from data.tasks.tables import Row

KINDS = ('csv', 'tsv', 'jsonl')
_SEPARATOR = ','  # between the labels of a row that has several


def load(kind: str, where: str, *, columns: str, labels: str, share: float) -> Task:
  """A task of rows with one text or two, and a label.

  Args:
    kind: one of KINDS.
    where: as in `own_files.find`.
    columns: `config.data.columns`.
    labels: `config.data.labels`; auto: numbers where each label is one and some have a fraction,
      several where a row of a JSON file has a list, and else classes.
    share: of the training rows that are set aside where there is no file for validation.

  Raises:
    DataError: file, line, and what is wrong.
  """
  paths = own_files.find(kind, where, (tables.ENDINGS[kind],))
  found, used = {}, None
  for split, path in paths.items():
    used_here, found[split] = tables.read(kind, path, columns, labelled=split != 'test')
    used = used or used_here
    if len(used.texts) != len(used_here.texts):
      raise DataError(f'{path} has the texts {used_here.texts}, the training file {used.texts}')
  labels = _kind_of_labels(found) if labels == 'auto' else labels
  classes = () if labels == 'number' else _classes(found, labels)
  index = {name: number for number, name in enumerate(classes)}
  splits = {
    split: [_example(paths[split], row, labels, index) for row in rows]
    for split, rows in found.items()
  }
  if labels != 'number' and len(classes) < 2:
    raise DataError(
      f'{paths["train"]}: the only label is {", ".join(map(repr, classes))}; two are needed'
    )
  ordered, notes = with_validation(splits, share)
  return Task(
    name=_name(where, kind),
    kind='pair' if len(used.texts) == 2 else 'text',
    classes=classes,
    splits=ordered,
    labels=labels,
    notes=(f'texts: {", ".join(used.texts)}; label: {used.label}', *notes),
  )


def set_aside(examples: list[Example], share: float) -> tuple[list[Example], list[Example]]:
  """(the rest, a share of the examples): chosen by a hash of their texts.

  So the order of the rows does not matter, and copies of a text come to the same side.

  Raises:
    DataError: one side would be empty.
  """
  position = [_position(example) for example in examples]
  count = max(1, round(share * len(examples)))
  limit = sorted(position)[count - 1]
  rest = [example for example, place in zip(examples, position) if place > limit]
  aside = [example for example, place in zip(examples, position) if place <= limit]
  if not rest:
    raise DataError(
      f'{len(examples):,} training rows are too few to set some aside for validation: name a file '
      'for it, as in train=FILE,validation=FILE'
    )
  return rest, aside


def with_validation(
  splits: dict[str, list],
  share: float,
  *,
  aside: Callable[[list, float], tuple[list, list]] = set_aside,
  what: str = 'training rows',
  by: str = 'their text',
) -> tuple[dict[str, list], tuple[str, ...]]:
  """(the splits in their order, of which one is for validation; what is to be said of it).

  Args:
    share: of the examples to train on that are set aside where none are for validation.
    aside: how.
    what, by: what is set aside, and by the hash of what.
  """
  notes = ()
  if 'validation' not in splits:
    rest, kept = aside(splits['train'], share)
    splits = splits | dict(train=rest, validation=kept)
    notes = (
      f'no validation file: {len(kept):,} {what} were set aside as one '
      f'(data.validation_share={share:g}), chosen by a hash of {by}',
    )
  return {split: splits[split] for split in own_files.SPLITS if split in splits}, notes


def sort_names(names: set[str]) -> tuple[str, ...]:
  """Names of classes in their order: numbers as numbers, others by their letters."""
  if all(map(_is_number, names)):
    return tuple(sorted(names, key=lambda name: (float(name), name)))
  return tuple(sorted(names))


def _position(example: Example) -> int:
  return int.from_bytes(hashlib.sha256('\0'.join(example.texts).encode()).digest()[:8], 'big')


def _kind_of_labels(found: dict[str, list[Row]]) -> str:
  labels = [row.label for rows in found.values() for row in rows if row.label is not None]
  if any(isinstance(label, list) for label in labels):
    return 'several'
  if all(map(_is_number, labels)) and any(float(label) % 1 for label in labels):
    return 'number'
  return 'class'


def _is_number(text: str) -> bool:
  try:
    return math.isfinite(float(text))
  except ValueError:
    return False


def _classes(found: dict[str, list[Row]], labels: str) -> tuple[str, ...]:
  names: set[str] = set()
  for row in (row for rows in found.values() for row in rows):
    names.update(_names(row, labels))
  return sort_names(names)


def _names(row: Row, labels: str) -> Sequence[str]:
  """The classes of a row."""
  if row.label is None:
    return ()
  if labels == 'class':
    return (row.label,) if isinstance(row.label, str) and row.label else ()
  if isinstance(row.label, list):
    return tuple(row.label)
  return tuple(name.strip() for name in row.label.split(_SEPARATOR) if name.strip())


def _example(path: Path, row: Row, labels: str, index: dict[str, int]) -> Example:
  """A row as an example; `index` has the numbers of the classes."""
  if row.label is None:
    return Example(row.texts, None)
  where = f'{path}, line {row.line}'
  if labels == 'number':
    if not isinstance(row.label, str) or not _is_number(row.label):
      raise DataError(f'{where}: the label must be a number, and is {row.label!r}')
    return Example(row.texts, float(row.label))
  named = _names(row, labels)
  if labels == 'several':
    return Example(row.texts, tuple(sorted({index[name] for name in named})))
  if len(named) != 1:
    raise DataError(f'{where}: one label is expected, found {row.label!r}')
  return Example(row.texts, index[named[0]])


def _name(where: str, kind: str) -> str:
  """What a task is called in results: its file or folder."""
  name = own_files.first_path(where).name
  return name.removesuffix('.gz').removesuffix(tables.ENDINGS[kind]) or kind
