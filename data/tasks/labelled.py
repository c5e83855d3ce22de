"""Labelled tasks that measure language understanding: a module of this folder each. It has

  KIND     text | pair | words: what an example is, which decides head, loss and metric
  CLASSES  names of the labels, by index
  FILES    {split: names of its files}; {} in a name stands for the variant
  read     (path) -> examples of one file; raises DataError with file and line
  VARIANTS what may stand behind a colon, as conll2002:ned; the first is what the name alone means.
           `degree` makes the examples' scores the labels.
  LANGUAGES  whether variants are languages of one set of classes: wikiann:en+fr+de is trained and
           validated in the first, and the test splits of the others are test_fr and test_de
  splits   (cache, variant) -> {split: examples}, in place of FILES and `read`, where the examples
           come from the package registry
  LABELS   class | number, what a label is; class unless it says so
  METRIC   the score that stands for the task, where it is not that of its kind
  TFDS_SPLITS  {split: its name in TensorFlow Datasets}, where they differ
  GLUE     where TensorFlow Datasets has the task: the features of a row that are texts

A task is read from a folder with its published files, or where GLUE has it from TensorFlow
Datasets. Where a task has no validation file, every tenth training example is set aside as one and
never trained on.
"""

from collections import Counter
import dataclasses
import importlib
from pathlib import Path
import re
from types import ModuleType

import numpy as np

from data.corpora import tfds_needs
from data.errors import DataError
from data.tasks.files import Example

# every so many training examples, one is for validation where there is no file for it
_SET_ASIDE = 10
# Kinds whose examples are a text with several others, each of which is read with it.
LISTS = ('choices', 'ranked')
_SPLITS = ('train', 'validation', 'mismatched', 'test')


@dataclasses.dataclass(frozen=True)
class Task:
  """A labelled task.

  Attributes:
    kind: 'text', 'pair' or 'words'.
    classes: names of the labels, by index; none where they are numbers.
    splits: 'train' and 'validation', and 'test' where there is one.
    labels: 'class': an example, or a word, has one; 'several': any number; 'number': a degree.
    metric: the score that stands for it; '' is that of its kind.
    notes: what people should know of how it was read.
  """

  name: str
  kind: str
  classes: tuple[str, ...]
  splits: dict[str, list[Example]]
  labels: str = 'class'
  metric: str = ''
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
  """Every published task there is: the modules of this folder that have FILES."""
  names = [
    path.stem
    for path in sorted(Path(__file__).parent.glob('*.py'))
    if re.search('^FILES = ', path.read_text(encoding='utf-8'), re.MULTILINE)
  ]
  return {name: importlib.import_module(f'data.tasks.{name}') for name in names}


TASKS = _tasks()


def load(name: str, source: str | Path) -> Task:
  """A task from files or TensorFlow Datasets.

  Args:
    name: a key of TASKS, and behind a colon a variant of it.
    source: a folder that holds `<name>/...` as published, or 'tfds'; of a task with `splits` a
      folder for downloads.

  Raises:
    DataError: an unknown task, a file that is missing or that is not what was published (file and
      line).
  """
  name, _, variant = name.partition(':')
  if name not in TASKS:
    raise DataError(f'task {name!r} is not known; these are: {", ".join(TASKS)}')
  task = TASKS[name]
  variants = getattr(task, 'VARIANTS', ('',))
  languages = (variant or variants[0]).split('+') if hasattr(task, 'LANGUAGES') else ()
  variant, *others = languages or (variant or variants[0],)
  for each in (variant, *others):
    if each not in variants:
      raise DataError(f'{name} has no variant {each!r}, only {", ".join(filter(None, variants))}')
  if len(set(languages)) < len(languages):
    raise DataError(f'{name}:{"+".join(languages)} has a language twice')
  splits = _from_tfds(name, task) if str(source) == 'tfds' else _of_variant(name, source, variant)
  for other in others:
    splits[f'test_{other}'] = _of_variant(name, source, other)['test']
  for split, examples in splits.items():
    if not examples:
      raise DataError(f'{name}: the {split} split has no examples')
  if 'validation' not in splits:
    train = splits['train']
    splits['validation'] = train[::_SET_ASIDE]
    splits['train'] = [example for index, example in enumerate(train) if index % _SET_ASIDE]
  known = [*_SPLITS, *(f'test_{other}' for other in others)]
  ordered = {split: splits[split] for split in known if split in splits}
  labels, classes = getattr(task, 'LABELS', 'class'), task.CLASSES
  if variant == 'degree':
    labels, classes = 'number', ()
    ordered = {
      split: [example._replace(label=example.score) for example in examples]
      for split, examples in ordered.items()
    }
  return Task(name, task.KIND, classes, ordered, labels, getattr(task, 'METRIC', ''))


def _of_variant(name: str, source: str | Path, variant: str) -> dict[str, list[Example]]:
  task, root = TASKS[name], Path(source).expanduser()
  if hasattr(task, 'splits'):
    return task.splits(root, variant)
  files = {
    split: tuple(file.format(variant) for file in files) for split, files in task.FILES.items()
  }
  return {split: _read_split(name, files, split, root / name) for split in files}


def _read_split(name: str, files: dict, split: str, folder: Path) -> list[Example]:
  examples = []
  for file in files[split]:
    examples += TASKS[name].read(_existing(folder / file, name, files))
  return examples


def _existing(path: Path, name: str, files: dict[str, tuple[str, ...]]) -> Path:
  if not path.is_file():
    wanted = ', '.join(f'{name}/{file}' for names in files.values() for file in names)
    raise DataError(f'{path}: no such file. The task {name} needs a folder with {wanted}')
  return path


def _from_tfds(name: str, task: ModuleType) -> dict[str, list[Example]]:
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
    number = getattr(task, 'LABELS', 'class') == 'number'
    names = () if number else builder.info.features['label'].names
    called = getattr(task, 'TFDS_SPLITS', dict(train='train', validation='validation'))
    sources = {split: builder.as_data_source(theirs) for split, theirs in called.items()}
  except Exception as error:  # TFDS raises anything here: no network, no disk, a set that moved
    raise tfds_needs.missing(f'glue/{name}', error, 'give a folder of files') from error
  if sorted(names) != sorted(task.CLASSES):
    raise DataError(f'tfds glue/{name} has the labels {names}, expected {list(task.CLASSES)}')
  index = [task.CLASSES.index(label) for label in names]

  def example(row: dict) -> Example:
    texts = tuple(_text(row[feature]) for feature in task.GLUE)
    return Example(texts, float(row['label']) if number else index[int(row['label'])])

  return {split: list(map(example, source)) for split, source in sources.items()}


def _text(value) -> str:
  return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)
