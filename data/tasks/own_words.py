"""Tasks of one's own with a label a word: conll:PATH."""

from data.errors import DataError
from data.tasks import columns, files, own, own_files
from data.tasks.files import Example
from data.tasks.labelled import Task

KIND = 'conll'
_ENDINGS = ('.conll', '.txt', '.tsv', '.bio', '.iob', '.iob2', '.iobes', '')


def load(where: str, *, asked: str, share: float) -> Task:
  """A task of sentences whose words have tags: of entities (BIO, IOB1, IOBES), or any others.

  Args:
    where: as in `own_files.find`.
    asked: `config.data.columns`, as word=1,label=4, counted from 1; '' is the first and the last.
    share: of the sentences to train on that are set aside where there is no file for validation.

  Raises:
    DataError: file, line, and what is wrong.
  """
  word, tag = _columns(asked)
  found = {}
  for split, path in own_files.find(KIND, where, _ENDINGS).items():
    try:
      read = columns.sentences(path, files.lines(path), word=word, tag=tag)
      found[split] = list(read)
    except IndexError:
      raise DataError(f'{path} has not so many columns as data.columns={asked!r} says') from None
  classes = own.sort_names({tag for rows in found.values() for row in rows for tag in row.tags})
  if len(classes) < 2:
    raise DataError(f'data.task={KIND}:{where}: the only tag is {classes}; two are needed')
  index = {name: number for number, name in enumerate(classes)}
  splits = {
    split: [Example(row.words, tuple(index[tag] for tag in row.tags)) for row in rows]
    for split, rows in found.items()
  }
  ordered, notes = own.with_validation(splits, share)
  name = own_files.first_path(where).stem
  return Task(name or KIND, 'words', classes, ordered, notes=notes)


def _columns(asked: str) -> tuple[int, int]:
  """(column of the word, column of the tag), from 0."""
  roles = dict(word=0, label=-1)
  for part in filter(None, asked.split(',')):
    role, _, number = part.partition('=')
    if role.strip() not in roles or not number.strip().isdigit() or int(number) < 1:
      raise DataError(f'data.columns={asked!r}: expected word=1,label=4, counted from 1')
    roles[role.strip()] = int(number) - 1
  return roles['word'], roles['label']
