"""Labelled tasks that measure language understanding: a module of this folder each. It has

  KIND     text | pair | words: what an example is, which decides head, loss and metric
  CLASSES  names of the labels, by index
  FILES    {split: names of its files}
  read     (path) -> examples of one file; raises DataError with file and line
  GLUE     where TensorFlow Datasets has the task: the features of a row that are texts

A task is read from a folder with its published files, or where GLUE has it from TensorFlow
Datasets. Where a task has no validation file, every tenth training example is set aside as one and
never trained on.
"""

from collections import Counter
import dataclasses
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np

from data.corpora import tfds_needs
from data.errors import DataError
from data.tasks.files import Example

# every so many training examples, one is for validation where there is no file for it
_SET_ASIDE = 10
_SPLITS = ('train', 'validation', 'test')


@dataclasses.dataclass(frozen=True)
class Task:
  """A labelled task.

  Attributes:
    kind: 'text', 'pair' or 'words'.
    classes: names of the labels, by index; none where they are numbers.
    splits: 'train' and 'validation', and 'test' where there is one.
    labels: 'class': an example, or a word, has one; 'several': any number; 'number': a degree.
    notes: what people should know of how it was read.
  """

  name: str
  kind: str
  classes: tuple[str, ...]
  splits: dict[str, list[Example]]
  labels: str = 'class'
  notes: tuple[str, ...] = ()

  def limited(self, limit: int, seed: int = 0) -> 'Task':
    """The same task with at most `limit` examples a split, drawn once by the seed; 0 = all."""
    if not limit:
      return self
    splits = {split: _draw(examples, limit, seed) for split, examples in self.splits.items()}
    return dataclasses.replace(self, splits=splits)

  def counts(self, split: str) -> dict[str, int]:
    """How many examples of a split, or of their words, have each class: {class: count}."""
    found: Counter = Counter()
    for example in self.splits[split]:
      label = example.label
      found.update(label if isinstance(label, tuple) else [] if label is None else [label])
    return {name: found[index] for index, name in enumerate(self.classes)}


def _draw(examples: list[Example], limit: int, seed: int) -> list[Example]:
  order = np.random.default_rng(seed).permutation(len(examples))
  return [examples[index] for index in order[:limit]]


def _tasks() -> dict[str, ModuleType]:
  """Every task there is: the modules of this folder that have a KIND."""
  names = sorted(path.stem for path in Path(__file__).parent.glob('*.py'))
  modules = {
    name: importlib.import_module(f'data.tasks.{name}')
    for name in names
    if name not in ('__init__', 'labelled')
  }
  return {name: module for name, module in modules.items() if hasattr(module, 'KIND')}


TASKS = _tasks()


def load(name: str, source: str | Path) -> Task:
  """A task from files or TensorFlow Datasets.

  Args:
    name: a key of TASKS.
    source: a folder that holds `<name>/...` as published, or 'tfds'.

  Raises:
    DataError: an unknown task, a file that is missing or that is not what was published (file and
      line).
  """
  if name not in TASKS:
    raise DataError(f'task {name!r} is not known; these are: {", ".join(TASKS)}')
  task = TASKS[name]
  if str(source) == 'tfds':
    splits = _from_tfds(name, task.CLASSES)
  else:
    folder = Path(source).expanduser() / name
    splits = {split: _read_split(name, split, folder) for split in task.FILES}
  for split, examples in splits.items():
    if not examples:
      raise DataError(f'{name}: the {split} split has no examples')
  if 'validation' not in splits:
    train = splits['train']
    splits['validation'] = train[::_SET_ASIDE]
    splits['train'] = [example for index, example in enumerate(train) if index % _SET_ASIDE]
  ordered = {split: splits[split] for split in _SPLITS if split in splits}
  return Task(name, task.KIND, task.CLASSES, ordered)


def _read_split(name: str, split: str, folder: Path) -> list[Example]:
  task = TASKS[name]
  examples = []
  for file in task.FILES[split]:
    examples += task.read(_existing(folder / file, name, task.FILES))
  return examples


def _existing(path: Path, name: str, files: dict[str, tuple[str, ...]]) -> Path:
  if not path.is_file():
    wanted = ', '.join(f'{name}/{file}' for names in files.values() for file in names)
    raise DataError(f'{path}: no such file. The task {name} needs a folder with {wanted}')
  return path


def _from_tfds(name: str, classes: tuple[str, ...]) -> dict[str, list[Example]]:
  """train and validation of a GLUE task; the labels of its test split are not public."""
  there = [other for other, module in TASKS.items() if hasattr(module, 'GLUE')]
  if name not in there:
    raise DataError(
      f'{name} is not in TensorFlow Datasets (only {", ".join(there)} are): give a folder of files'
    )
  tfds_needs.check_installed(f'--task_data=tfds, for {name},')
  import tensorflow_datasets as tfds  # takes seconds, and most uses read files

  try:
    # without TensorFlow it is not found by its name alone
    importlib.import_module('tensorflow_datasets.text.glue')
    builder = tfds.builder(f'glue/{name}', file_format='array_record')
    builder.download_and_prepare()
    names = builder.info.features['label'].names
    sources = {split: builder.as_data_source(split) for split in ('train', 'validation')}
  except Exception as error:  # TFDS raises anything here: no network, no disk, a set that moved
    raise tfds_needs.missing(f'glue/{name}', error, 'give a folder of files') from error
  if sorted(names) != sorted(classes):
    raise DataError(f'tfds glue/{name} has the labels {names}, expected {list(classes)}')
  index = [classes.index(label) for label in names]

  def example(row: dict) -> Example:
    texts = tuple(_text(row[feature]) for feature in TASKS[name].GLUE)
    return Example(texts, index[int(row['label'])])

  return {split: list(map(example, source)) for split, source in sources.items()}


def _text(value) -> str:
  return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)
