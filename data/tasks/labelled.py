"""Labelled tasks that tell understanding: SST-2, MRPC, RTE, SICK
and CoNLL-2000 chunking, as they are published.

A task is read from a folder with its published files, or where GLUE has it from TensorFlow
Datasets. Where a task has no validation file, every tenth training
example is set aside as one and never trained on.
"""

from collections.abc import Callable, Iterator
import dataclasses
import gzip
import importlib
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat
import zlib

import numpy as np

from data.errors import DataError

# every so many training examples, one is for validation where there is no file for it
_SET_ASIDE = 10
_SPLITS = ('train', 'validation', 'test')


class Example(NamedTuple):
  """One labelled text, pair of texts, or sentence of labelled words.

  Attributes:
    texts: one text, two, or for chunking the words.
    label: index of a class; for chunking a tuple of them, one a word.
    score: SICK's relatedness, 1 to 5.
  """

  texts: tuple[str, ...]
  label: int | tuple[int, ...]
  score: float | None = None


@dataclasses.dataclass(frozen=True)
class Task:
  """A labelled task.

  Attributes:
    kind: 'text', 'pair' or 'words'.
    classes: names of the labels, by index.
    splits: 'train' and 'validation', and 'test' where its labels are public.
  """

  name: str
  kind: str
  classes: tuple[str, ...]
  splits: dict[str, list[Example]]

  def limited(self, limit: int, seed: int = 0) -> 'Task':
    """The same task with at most `limit` examples a split, drawn once by the seed; 0 = all."""
    draw = lambda examples: [
      examples[i] for i in np.random.default_rng(seed).permutation(len(examples))[:limit]
    ]
    return (
      self
      if not limit
      else dataclasses.replace(self, splits={k: draw(v) for k, v in self.splits.items()})
    )


def load(name: str, source: str | Path) -> Task:
  """A task from a folder that holds `<name>/...` as published, or
  from TensorFlow Datasets with source='tfds'.

  Raises:
    DataError: an unknown task, a file that is missing or that
      is not what was published (file and line).
  """
  if name not in TASKS:
    raise DataError(f'task {name!r} is not known; these are: {", ".join(TASKS)}')
  kind, classes, files, read = TASKS[name]
  if str(source) == 'tfds':
    splits = _from_tfds(name, classes)
  else:
    folder = Path(source).expanduser() / name
    splits = {
      split: [
        example for file in files[split] for example in read(_existing(folder / file, name, files))
      ]
      for split in files
    }
  for split, examples in splits.items():
    if not examples:
      raise DataError(f'{name}: the {split} split has no examples')
  if 'validation' not in splits:
    train = splits['train']
    splits['validation'] = train[::_SET_ASIDE]
    splits['train'] = [example for index, example in enumerate(train) if index % _SET_ASIDE]
  return Task(name, kind, classes, {split: splits[split] for split in _SPLITS if split in splits})


def _existing(path: Path, name: str, files: dict[str, tuple[str, ...]]) -> Path:
  if not path.is_file():
    wanted = ', '.join(f'{name}/{file}' for names in files.values() for file in names)
    raise DataError(f'{path}: no such file. The task {name} needs a folder with {wanted}')
  return path


def _lines(path: Path) -> Iterator[tuple[int, str]]:
  """(number, line) of a text file, .gz too, without line ends and byte order mark."""
  try:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == '.gz' else data).decode('utf-8-sig')
  except (EOFError, zlib.error, gzip.BadGzipFile) as error:
    raise DataError(f'{path} is cut short or damaged: {error}') from error
  except UnicodeDecodeError as error:
    line = error.object[: error.start].count(b'\n') + 1
    raise DataError(f'{path}, line {line}: not UTF-8 ({error.reason})') from error
  # Not splitlines: it also breaks at characters that stand inside a sentence.
  for number, line in enumerate(text.removesuffix('\n').split('\n'), 1):
    yield number, line.removesuffix('\r')


def _sst2(path: Path) -> Iterator[Example]:
  """`label text`: 0 negative, 1 positive; tokenised, lower case."""
  for number, line in _lines(path):
    label, _, text = line.partition(' ')
    if label not in ('0', '1') or not text.strip():
      raise DataError(f'{path}, line {number}: expected "0 text" or "1 text", found {line[:60]!r}')
    yield Example((text,), int(label))


def _table(path: Path, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
  """(number, cells) below the header of a TSV file; a quote is a character like any other."""
  for number, line in _lines(path):
    cells = line.split('\t')
    if number == 1 and tuple(cells) != names:
      raise DataError(f'{path}, line 1: expected the header {names}, found {line[:80]!r}')
    if len(cells) != len(names):
      raise DataError(
        f'{path}, line {number}: expected {len(names)} columns, found {len(cells)}: {line[:60]!r}'
      )
    if number > 1:
      yield number, cells


def _mrpc(path: Path) -> Iterator[Example]:
  for number, (label, _, _, first, second) in _table(
    path, ('Quality', '#1 ID', '#2 ID', '#1 String', '#2 String')
  ):
    if label not in ('0', '1'):
      raise DataError(f'{path}, line {number}: Quality is 0 or 1, found {label!r}')
    yield Example((first, second), int(label))


def _sick(path: Path) -> Iterator[Example]:
  header = 'pair_ID', 'sentence_A', 'sentence_B', 'relatedness_score', 'entailment_judgment'
  for number, (_, first, second, score, judgment) in _table(path, header):
    try:
      yield Example((first, second), _SICK.index(judgment), float(score))
    except ValueError:
      raise DataError(
        f'{path}, line {number}: expected a score and one of {", ".join(_SICK)}, found {score!r} '
        f'and {judgment!r}'
      ) from None


# What the years of the challenge called each class; the order is GLUE's.
_RTE_LABELS = dict(YES=0, TRUE=0, NO=1, FALSE=1)


def _rte(path: Path) -> Iterator[Example]:
  """XML pairs of a text <t> and a hypothesis <h>; the label is
  `value` in RTE-1 and `entailment` later.
  """
  parser = expat.ParserCreate()
  found, pair, inside = [], {}, None
  where = lambda: f'{path}, line {parser.CurrentLineNumber}'

  def start(tag, attributes):
    nonlocal pair, inside
    if tag == 'pair':
      value = attributes.get('entailment', attributes.get('value'))
      if value not in _RTE_LABELS:
        raise DataError(
          f'{where()}: a pair needs entailment="YES|NO" or value="TRUE|FALSE", found {value!r}'
        )
      pair = dict(label=_RTE_LABELS[value], t='', h='')
    inside = tag if tag in ('t', 'h') and pair else None

  def text(data):
    if inside:
      pair[inside] += data

  def end(tag):
    nonlocal pair, inside
    inside = None
    if tag == 'pair':
      texts = tuple(' '.join(pair[part].split()) for part in ('t', 'h'))
      if not all(texts):
        raise DataError(f'{where()}: a pair without a text <t> or a hypothesis <h>')
      found.append(Example(texts, pair['label']))
      pair = {}

  def entity(name, *_):
    raise DataError(
      f'{where()}: declares the entity {name!r}; no published file does, so it is not read'
    )

  parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = (
    start,
    end,
    text,
  )
  parser.EntityDeclHandler = entity
  try:
    parser.Parse(path.read_bytes(), True)
  except expat.ExpatError as error:
    raise DataError(
      f'{path}, line {error.lineno}: not XML ({expat.ErrorString(error.code)})'
    ) from error
  yield from found


def _conll2000(path: Path) -> Iterator[Example]:
  """`word pos chunk`, a word a line, a blank line between sentences."""
  words, tags = [], []
  for number, line in _lines(path):
    if line.strip():
      parts = line.split()
      if len(parts) != 3 or parts[2] not in _TAGS:
        raise DataError(
          f'{path}, line {number}: expected "word pos chunk" with a chunk tag like B-NP, found '
          f'{line[:60]!r}'
        )
      words.append(parts[0])
      tags.append(_TAGS[parts[2]])
    elif words:
      yield Example(tuple(words), tuple(tags))
      words, tags = [], []
  if words:
    yield Example(tuple(words), tuple(tags))


_SICK = ('NEUTRAL', 'ENTAILMENT', 'CONTRADICTION')
_CHUNKS = ('ADJP', 'ADVP', 'CONJP', 'INTJ', 'LST', 'NP', 'PP', 'PRT', 'SBAR', 'UCP', 'VP')
CHUNK_TAGS = ('O', *(f'{place}-{chunk}' for chunk in _CHUNKS for place in 'BI'))
_TAGS = {tag: index for index, tag in enumerate(CHUNK_TAGS)}

# name: (kind, classes, files of each split, how a file is read)
TASKS: dict[
  str, tuple[str, tuple[str, ...], dict[str, tuple[str, ...]], Callable[[Path], Iterator[Example]]]
] = dict(
  sst2=(
    'text',
    ('negative', 'positive'),
    dict(train=('train.txt',), validation=('dev.txt',), test=('test.txt',)),
    _sst2,
  ),
  mrpc=(
    'pair',
    ('not_equivalent', 'equivalent'),
    dict(train=('train.tsv',), validation=('val.tsv',), test=('test.tsv',)),
    _mrpc,
  ),
  rte=(
    'pair',
    ('entailment', 'not_entailment'),
    dict(
      train=('rte1_dev.xml', 'rte2_dev.xml', 'rte3_dev.xml'),
      test=('rte1_test.xml', 'rte2_test.xml', 'rte3_test.xml'),
    ),
    _rte,
  ),
  sick=(
    'pair',
    _SICK,
    dict(
      train=('SICK_train.txt',), validation=('SICK_trial.txt',), test=('SICK_test_annotated.txt',)
    ),
    _sick,
  ),
  conll2000=('words', CHUNK_TAGS, dict(train=('train.txt.gz',), test=('test.txt.gz',)), _conll2000),
)
_GLUE = dict(sst2=('sentence',), mrpc=('sentence1', 'sentence2'), rte=('sentence1', 'sentence2'))


def _from_tfds(name: str, classes: tuple[str, ...]) -> dict[str, list[Example]]:
  """train and validation of a GLUE task; the labels of its test split are not public."""
  if name not in _GLUE:
    raise DataError(
      f'{name} is not in TensorFlow Datasets (only {", ".join(_GLUE)} are): give a folder of files'
    )
  import tensorflow_datasets as tfds  # takes seconds, and most uses read files

  try:
    # without TensorFlow it is not found by its name alone
    importlib.import_module('tensorflow_datasets.text.glue')
    builder = tfds.builder(f'glue/{name}', file_format='array_record')
    builder.download_and_prepare()
    names = builder.info.features['label'].names
    sources = {split: builder.as_data_source(split) for split in ('train', 'validation')}
  except Exception as error:  # TFDS raises anything here: no network, no disk, a set that moved
    raise DataError(
      f'tfds glue/{name} could not be prepared ({type(error).__name__}: '
      f'{str(error).strip()[:200]}). Prepare it where there is a network and set TFDS_DATA_DIR, or '
      'give a folder of files'
    ) from error
  if sorted(names) != sorted(classes):
    raise DataError(f'tfds glue/{name} has the labels {names}, expected {list(classes)}')
  index = [classes.index(label) for label in names]
  return {
    split: [
      Example(tuple(_text(row[feature]) for feature in _GLUE[name]), index[int(row['label'])])
      for row in source
    ]
    for split, source in sources.items()
  }


def _text(value) -> str:
  return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)
