"""The labelled task that `config.data.task` names: a file of one's own, or a published set."""

import functools
from pathlib import Path

from data.errors import DataError
from data.tasks import choices, labelled, own, own_words, ranked, squad
from data.tasks.labelled import Task


def load(data) -> Task:
  """The task of `config.data`.

  Raises:
    DataError: there is no such task, or its files cannot be read.
  """
  module = labelled.TASKS.get(data.task.partition(':')[0])
  folder = data.task_files or (data.cache if hasattr(module, 'splits') else '')
  return load_named(data.task, folder, data.columns, data.labels, data.validation_share)


@functools.lru_cache(2)  # the number of classes is asked for before the examples are
def load_named(
  name: str, folder: str, columns: str = '', labels: str = 'auto', share: float = 0.1
) -> Task:
  """The task of a name, as `config.data.task`, with the fields of `config.data` that say more."""
  kind, colon, where = name.partition(':')
  if not colon or kind in labelled.TASKS:
    return _published(name, folder)
  if kind in own.KINDS:
    return own.load(kind, where, columns=columns, labels=labels, share=share)
  if kind == own_words.KIND:
    return own_words.load(where, asked=columns, share=share)
  if kind == squad.KIND:
    return squad.load(where, share=share)
  if kind == choices.KIND:
    return choices.load(where, share=share)
  if kind == ranked.KIND:
    return ranked.load(where, share=share)
  known = ', '.join((*own.KINDS, own_words.KIND, squad.KIND, choices.KIND, ranked.KIND))
  raise DataError(f'data.task={name!r}: {kind!r} is none of {known}')


def _published(name: str, folder: str) -> Task:
  if name.partition(':')[0] not in labelled.TASKS:
    raise DataError(
      f'task {name!r} is not known; these are: {", ".join(labelled.TASKS)}; own files are named as '
      'csv:PATH, tsv:PATH, jsonl:PATH, conll:PATH, squad:PATH, choices:PATH or ranked:PATH'
    )
  if not folder:
    raise DataError(
      f'data.task={name}: where are its files? --config.data.task_files=FOLDER names the folder '
      f'that holds {name.partition(":")[0]}/, and tfds takes those of GLUE from TensorFlow Datasets'
    )
  return labelled.load(name, folder if folder == 'tfds' else Path(folder))
