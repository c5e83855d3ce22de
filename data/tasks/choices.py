"""Questions with several answers to choose from, one of them right: choices:PATH.

A row is `context` (or `question`, `sent1`), the answers, and `label`, the number of the right one
from 0. JSON lines have a list `choices` (`options`, `endings`); tables have columns `choice0`,
`choice1` and so on (`ending0`, as SWAG). `sent2`, where there is one, begins each answer (Zellers
et al. 2018).
"""

from pathlib import Path
import re

from data.errors import DataError
from data.lines import read_lines
from data.tasks import own, own_files, tables
from data.tasks.files import Example
from data.tasks.labelled import Task

KIND = 'choices'
_ENDINGS = ('.jsonl', '.csv', '.tsv')
_CONTEXTS = ('context', 'question', 'sent1')
_LISTS = ('choices', 'options', 'endings')
_NUMBERED = re.compile(r'(?:choice|option|ending)_?(\d+)')


def load(where: str, *, share: float) -> Task:
  """A task of choices.

  Args:
    where: as in `own_files.find`.
    share: of the rows to train on that are set aside where there is no file for validation.

  Raises:
    DataError: file, line, and what is wrong.
  """
  paths = own_files.find(KIND, where, _ENDINGS)
  splits = {split: _read(path) for split, path in paths.items()}
  ordered, notes = own.with_validation(splits, share)
  return Task(
    own_files.name_of(where) or KIND, 'choices', (), ordered, labels='choice', notes=notes
  )


def _read(path: Path) -> list[Example]:
  kind = own_files.ending(path).removeprefix('.') or 'jsonl'
  examples = []
  for line, cells in tables.records(kind, path, read_lines(path)):
    try:
      examples.append(example(cells))
    except DataError as error:
      raise DataError(f'{path}, line {line}: {error}') from error
  if not examples:
    raise DataError(f'{path} holds no rows')
  return examples


def example(cells: dict) -> Example:
  """The question and the answers of a row, and which is right where that is known.

  Raises:
    DataError: what is wrong with the row.
  """
  context = next((cells[name] for name in _CONTEXTS if name in cells), None)
  answers = next((cells[name] for name in _LISTS if name in cells), None)
  if answers is None:
    numbered = {_NUMBERED.fullmatch(name): name for name in cells}
    places = sorted((int(match[1]), name) for match, name in numbered.items() if match)
    answers = [cells[name] for _, name in places]
  if not isinstance(context, str) or not context.strip():
    raise DataError(f'no {" or ".join(_CONTEXTS)}, which is a text')
  if not isinstance(answers, list) or len(answers) < 2:
    raise DataError('two answers are needed at least, in a list `choices` or as choice0, choice1')
  begin = f'{cells["sent2"]} ' if cells.get('sent2') else ''
  answers = tuple(f'{begin}{answer}' for answer in answers)
  if not all(answer.strip() for answer in answers):
    raise DataError('an answer is empty')
  label = cells.get('label', cells.get('answer'))
  if label is None:
    return Example((context, *answers), None)
  if not str(label).isdigit() or int(label) >= len(answers):
    raise DataError(f'the label must be a number from 0 to {len(answers) - 1}, and is {label!r}')
  return Example((context, *answers), int(label))
