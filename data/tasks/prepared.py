"""A labelled task, tokenised: what an experiment trains on in place of a corpus."""

from collections.abc import Callable
import dataclasses

from data import cache, checks, stages
from data.rows.batches import next_multiple
from data.stages import Progress, silent
from data.tasks import open_task, packing, question_rows, rows
from data.tasks.labelled import LISTS, Task
from data.tasks.packing import LabelArray, PackedBatches, Split, StackedBatches
from data.tokens import pretrained
from data.tokens.tokenizer import Tokenizer

VERSION = 1  # of everything that decides what a batch holds: raise it and no old run resumes
_ROUND = 16  # the length of rows is rounded up to this
_SHORTEST_ROW = 64  # tokens, so that several short texts fit and rows are few: a choice


@dataclasses.dataclass(frozen=True)
class PreparedTask:
  """The examples of a task as token ids, and all that is known about them.

  Attributes:
    report: what the task holds (JSON).
    fingerprint: equal exactly when every batch would be.
    splits: by name.
    T: tokens of a row, at most config.data.sequence_length; S: the most examples in one.
  """

  task: Task
  tokenizer: Tokenizer
  report: dict
  fingerprint: str
  splits: dict[str, Split]
  T: int
  S: int

  @property
  def labels(self) -> LabelArray:
    """How labels lie in a batch."""
    task = self.task
    several = len(task.classes) if task.labels == 'several' else 0
    return LabelArray(
      words=task.kind == 'words',
      several=several,
      number=task.labels == 'number',
      span=task.labels == 'span',
      choice=task.labels == 'choice',
      ranked=task.kind == 'ranked',
    )

  def batches(
    self,
    split: str,
    *,
    batch_size: int,
    seed: int,
    shuffled: bool = True,
    multiple: int = 1,
    local_rows: Callable | None = None,
    seeds: int = 1,
  ) -> PackedBatches | StackedBatches:
    """Batches of a split: shuffled and without end, or in order.

    Args:
      seeds: orders, of `seed` and those after it, as `StackedBatches` has them.
    """
    orders = [
      PackedBatches(
        self.splits[split],
        self.tokenizer,
        self.labels,
        T=self.T,
        S=self.S,
        batch_size=batch_size,
        seed=each,
        shuffled=shuffled,
        multiple=multiple,
        local_rows=local_rows,
      )
      for each in range(seed, seed + seeds)
    ]
    return orders[0] if seeds == 1 else StackedBatches(orders, local_rows)


def prepare(data, *, vocab_size: int, progress: Progress = silent) -> PreparedTask:
  """Reads and tokenises the task of `config.data`.

  Raises:
    DataError: the task or the tokenizer cannot be used as asked.
  """
  task = open_task.load(data)
  tokenizer = _tokenizer(data, task, vocab_size, progress)
  checks.check_vocabulary(tokenizer, vocab_size)
  return of(task, tokenizer, data.sequence_length, data.stride, progress)


def of(
  task: Task,
  tokenizer: Tokenizer,
  max_length: int,
  stride: int = 128,
  progress: Progress = silent,
) -> PreparedTask:
  """A task around a tokenizer.

  Args:
    max_length: tokens of an example, or of an answer to choose; longer ones are cut.
    stride: of questions, tokens that two windows of their text share.

  Raises:
    DataError: `max_length` has no room for an example.
  """
  splits = {}
  for split, examples in task.splits.items():
    progress(f'tokenising {split}', 0, len(examples))
    splits[split] = _framed(task, examples, tokenizer, max_length, stride)
  lengths = [split.framed.lengths() for split in splits.values()]
  T = max(_SHORTEST_ROW, next_multiple(int(max(each.max() for each in lengths)), _ROUND))
  if task.kind not in LISTS:  # whose texts are segments of one row
    T = min(max_length, T)
  digests = {split: _digest(each) for split, each in splits.items()}
  fingerprint = cache.key(
    version=VERSION,
    splits=digests,
    kind=task.kind,
    classes=task.classes,
    labels=task.labels,
    tokenizer=tokenizer.sha256,
    length=T,
  )
  return PreparedTask(
    task=task,
    tokenizer=tokenizer,
    report=_report(task, splits, digests, T, tokenizer),
    fingerprint=fingerprint,
    splits=splits,
    T=T,
    S=packing.slots(splits.values(), T),
  )


def _framed(task: Task, examples: list, tokenizer: Tokenizer, T: int, stride: int) -> Split:
  """Examples as token ids; of questions, a window each part of their context."""
  if task.kind == 'question':
    return Split(*question_rows.frame(examples, tokenizer, max_length=T, stride=stride))
  return Split(examples, rows.frame(task.kind, examples, tokenizer, max_length=T))


def _tokenizer(data, task: Task, size: int, progress: Progress) -> Tokenizer:
  """The tokenizer of `data.tokenizer`: from its path, or trained on the texts to train on."""
  if data.tokenizer not in stages.TRAINERS:
    return pretrained.load(data.tokenizer, data.lowercase)
  progress(f'training the {data.tokenizer} vocabulary', 0, None)
  options = dict(lowercase=data.lowercase) if data.tokenizer in stages.LOWERCASED else {}
  texts = [' '.join(example.texts) for example in task.splits['train']]
  return stages.TRAINERS[data.tokenizer](texts, size, **options)


def _digest(split: Split) -> str:
  """What a split holds, for comparing."""
  ids = [[part.tolist() for part in parts] for parts in split.framed.parts]
  return cache.key(ids=ids, labels=[example.label for example in split.examples])


def _report(task: Task, splits: dict[str, Split], digests: dict, T: int, tokenizer) -> dict:
  """What a reader may ask about the task; `format_report` lays it out."""
  report = dict(
    task=task.name,
    kind=task.kind,
    labels=task.labels,
    classes=list(task.classes),
    notes=list(task.notes),
    length=T,
    splits=list(splits),
  )
  for name, split in splits.items():
    tokens = int(split.framed.lengths().sum())
    unknown = sum(int((ids == tokenizer.unknown).sum()) for ids in _texts(split))
    report[name] = dict(
      examples=len(task.splits[name]),
      rows=len(split.examples),
      tokens=tokens,
      unknown_share=unknown / max(1, tokens),
      cut=split.framed.cut,
      sha256=digests[name],
    )
    if task.classes:
      report[name]['classes'] = task.counts(name)
  return report


def _texts(split: Split):
  return (ids for parts in split.framed.parts for ids in parts)


def describe(prepared: PreparedTask, data, *, pooling: str, objective: str) -> dict:
  """What labels.json says: what a prediction and an export need to know of the task.

  Args:
    data: `config.data`.
    pooling: which token states a classifier of texts reads.
    objective: what the head was trained with.
  """
  task = prepared.task
  return dict(
    task=task.name,
    objective=objective,
    kind=task.kind,
    labels=task.labels,
    classes=list(task.classes),
    pooling=pooling,
    max_length=data.sequence_length,
    train=task.counts('train') if task.classes else {},
  )


_KINDS = dict(
  text='texts',
  pair='pairs of texts',
  words='sentences of labelled words',
  question='questions about a text',
  choices='questions with answers to choose from',
  ranked='queries with texts to rank',
)


def format_report(report: dict) -> str:
  """The report of a task as aligned lines for a console."""
  labels = dict(
    number='a number each',
    span='the words of the answer',
    choice='the number of the right answer',
    several=f'any of {len(report["classes"])} classes',
    **{'class': ''},
  )[report['labels']]
  lines = [
    ('task', f'{report["task"]}: {_KINDS[report["kind"]]}; labels: {labels or _names(report)}'),
    *((name, _split(report[name])) for name in report['splits']),
    *(('', note) for note in report['notes']),
  ]
  width = max(len(name) for name, _ in lines)
  return '\n'.join(f'{name:<{width}}  {text}' for name, text in lines)


def _names(report: dict) -> str:
  shown = ', '.join(report['classes'][:8])
  more = len(report['classes']) - 8
  return shown + (f' and {more} more' if more > 0 else '')


def _split(split: dict) -> str:
  return (
    f'{split["examples"]:,} examples, {split["tokens"] / split["rows"]:.1f} tokens each, '
    f'{split["cut"]:,} cut, {split["unknown_share"]:.2%} unknown tokens'
  )
