"""What a model says of every example of a split, and how good that is."""

from collections.abc import Callable, Iterable, Iterator
import json
import math
from typing import NamedTuple

import jax
import numpy as np

from data.tasks.labelled import Task
from data.tasks.prepared import PreparedTask
from evaluation import questions, scores
from evaluation.answers import Found
from evaluation.questions import Questions
from evaluation.vectors import ranking
from objectives.mix import Objective


class Said(NamedTuple):
  """What a model says of the examples of a split, in their order.

  Attributes:
    loss: weighted sum of the objectives, nats.
    terms: {objective_kind: mean}.
    predicted: of each example an index of a class, a tuple of them, or a number; of words a tuple
      of indices, -1 for a word that was cut off; of questions `evaluation.answers.Found`.
    probability: of each example what the model gives its prediction; of several classes and of
      words a tuple, of numbers nothing.
    every: NxC, of each class; None for words and numbers.
  """

  loss: float
  terms: dict[str, float]
  predicted: list
  probability: list
  every: np.ndarray | None


def make_examiner(
  apply: Callable,
  objective: Objective,
  *,
  shard: Callable,
  to_host: Callable = jax.device_get,
  n_best: int = 20,
  longest_answer: int = 30,
) -> Callable:
  """A function (params, batches, prepared, split) -> Said, compiled once a number of rows.

  Args:
    apply: (params, batch) -> outputs of the network.
    shard: puts a batch of numpy arrays on the devices.
    to_host: whole arrays, also those that other processes hold parts of.
    n_best, longest_answer: of `config.finetune`, for questions.
  """

  @jax.jit
  def examine(params, batch):
    batch = objective.prepare(jax.random.key(0), batch, batch['id'])
    outputs = apply(params, batch)
    where = {name: batch[name] for name in ('example', 'segment')}
    return objective.scores(outputs, batch), objective.answers(outputs, batch) | where

  def examined(
    params, batches: Iterable[dict[str, np.ndarray]], prepared: PreparedTask, split: str
  ) -> Said:
    sums: dict[str, list[tuple[float, float]]] = {}
    if prepared.labels.span:
      collect = Questions(prepared, split, count=n_best, longest=longest_answer)
    else:
      kinds = dict(words=_Words, choices=_Choices, ranked=_Ranked)
      collect = kinds.get(prepared.task.kind, _Texts)(prepared, split)
    for batch in batches:
      terms, said = to_host(examine(params, shard(batch)))
      for name, kinds in terms.items():
        for kind, term in kinds.items():
          sums.setdefault(f'{name}_{kind}', []).append((float(term.total), float(term.weight)))
      collect.add(said)
    means = {}
    for name, pairs in sorted(sums.items()):
      total, weight = (math.fsum(column) for column in zip(*pairs))
      means[name] = total / max(weight, 1e-9) if weight else 0.0
    loss = sum(weight * means[f'{name}_loss'] for name, weight in objective.weights.items())
    return Said(loss, means, *collect.found())

  return examined


class _Texts:
  """Puts what is said of texts in their order."""

  def __init__(self, prepared: PreparedTask, split: str):
    self._labels = prepared.task.labels
    count, C = len(prepared.splits[split].examples), len(prepared.task.classes)
    self._said_NxC = np.zeros((count, max(1, C)), np.float32)

  def add(self, said: dict[str, np.ndarray]):
    filled = said['example'] >= 0
    of_each = said['value'][:, :, None] if self._labels == 'number' else said['probability']
    self._said_NxC[said['example'][filled]] = of_each[filled]

  def found(self) -> tuple[list, list, np.ndarray | None]:
    said_NxC = self._said_NxC
    if self._labels == 'number':
      return said_NxC[:, 0].tolist(), [], None
    if self._labels == 'several':
      chosen = [tuple(np.flatnonzero(row_C > 0.5).tolist()) for row_C in said_NxC]
      sure = [tuple(row_C[[*those]].tolist()) for row_C, those in zip(said_NxC, chosen)]
      return chosen, sure, said_NxC
    return said_NxC.argmax(axis=1).tolist(), said_NxC.max(axis=1).tolist(), said_NxC


class _Choices:
  """Puts the probabilities of the answers to each question together."""

  def __init__(self, prepared: PreparedTask, split: str):
    self._said: list[list[float]] = [[] for _ in prepared.splits[split].examples]

  def add(self, said: dict[str, np.ndarray]):
    for row, slot in np.argwhere(said['example'] >= 0):  # in the order of the answers
      self._said[said['example'][row, slot]].append(float(said['probability'][row, slot]))

  def found(self) -> tuple[list, list, None]:
    return [int(np.argmax(each)) for each in self._said], [max(each) for each in self._said], None


class _Ranked:
  """Puts what is said of the texts of each query together."""

  def __init__(self, prepared: PreparedTask, split: str):
    self._said: list[list[float]] = [[] for _ in prepared.splits[split].examples]

  def add(self, said: dict[str, np.ndarray]):
    for row, slot in np.argwhere(said['example'] >= 0):  # in the order of the texts
      self._said[said['example'][row, slot]].append(float(said['value'][row, slot]))

  def found(self) -> tuple[list, list, None]:
    return list(map(tuple, self._said)), [], None


class _Words:
  """Puts what is said of tokens together as words."""

  def __init__(self, prepared: PreparedTask, split: str):
    self._start = prepared.splits[split].framed.word_start
    self._predicted: list = [None] * len(self._start)
    self._sure: list = [None] * len(self._start)

  def add(self, said: dict[str, np.ndarray]):
    for row, slot in np.argwhere(said['example'] >= 0):
      number = said['example'][row, slot]
      first = int((said['segment'][row] == slot + 1).argmax())
      start = self._start[number]
      position = np.where(start > 0, first + start, 0)
      best = np.where(start > 0, said['best'][row, position], -1)
      self._predicted[number] = tuple(best.tolist())
      sure = np.where(start > 0, said['probability'][row, position], 0.0)
      self._sure[number] = tuple(sure.tolist())

  def found(self) -> tuple[list, list, None]:
    return self._predicted, self._sure, None


def score(
  task: Task, split: str, predicted: list, threshold: float | None = None
) -> dict[str, float]:
  """Scores of what is predicted of a split, that of `headline` among them; {} without labels.

  Args:
    threshold: of questions, by how much no answer must lead to be said; None: never.
  """
  if task.kind == 'question':
    return questions.score(task, split, predicted, threshold)
  gold, predicted = _labelled(task, split, predicted)
  if not gold:
    return {}
  if task.kind == 'words':
    return _score_words(task, gold, predicted)
  if task.kind == 'ranked':
    return ranking.lists(gold, predicted)
  if task.kind == 'choices':
    return dict(accuracy=float(np.mean(np.asarray(gold) == np.asarray(predicted))))
  if task.labels == 'number':
    return scores.numbers(np.asarray(gold, np.float64), np.asarray(predicted, np.float64))
  if task.labels == 'several':
    return scores.several(_flags(task, gold), _flags(task, predicted))
  return scores.classes(np.asarray(gold), np.asarray(predicted), len(task.classes))


def headline(task: Task) -> str:
  """The score that stands for a task."""
  if task.metric:
    return task.metric
  if task.kind == 'words':
    return 'f1' if has_entities(task) else 'accuracy'
  if task.kind == 'ranked':
    return 'accuracy'
  return dict(number='pearson', several='f1', span='f1').get(task.labels, 'accuracy')


def has_entities(task: Task) -> bool:
  """Whether the classes of words are those of entities, as B-PER."""
  others = [name for name in task.classes if name != 'O']
  return bool(others) and all(name[:1] in scores.MARKS and name[1:2] == '-' for name in others)


def entity_pairs(task: Task, split: str, predicted: list) -> Iterator[tuple[list, list]]:
  """(gold tags, predicted tags) of each sentence, by name; words that were cut off are outside."""
  names = [*task.classes, 'O']  # -1 is the last one
  for example, guess in zip(task.splits[split], predicted):
    yield [names[index] for index in example.label], [names[index] for index in guess]


def baseline(task: Task, split: str) -> dict[str, float]:
  """Scores of saying the most frequent label of the training examples, or their mean.

  Of questions it is that of no answer.
  """
  if task.kind == 'question':
    none = [Found([], 0.0)] * len(task.splits[split])
    return questions.score(task, split, none, 0.0)
  train = [example.label for example in task.splits['train'] if example.label is not None]
  examples = task.splits[split]
  if task.kind == 'ranked':
    return score(task, split, [(0.0,) * len(example.label) for example in examples])
  if task.labels == 'number':
    return score(task, split, [float(np.mean(train))] * len(examples))
  if task.kind == 'choices':
    most = int(np.bincount(train).argmax())
    return score(task, split, [most] * len(examples))
  counts = task.counts('train')
  most = max(range(len(task.classes)), key=lambda index: (counts[task.classes[index]], -index))
  if task.kind == 'words':
    return score(task, split, [(most,) * len(example.texts) for example in examples])
  return score(task, split, [(most,) if task.labels == 'several' else most] * len(examples))


def json_lines(task: Task, split: str, said: Said, threshold: float | None = None) -> Iterator[str]:
  """A line an example: its texts, gold label, prediction and probability."""
  if task.kind == 'question':
    found = zip(task.splits[split], said.predicted, said.probability)
    yield from (questions.json_line(*each, threshold) for each in found)
    return
  for number, example in enumerate(task.splits[split]):
    texts = _texts_of(task, example.texts)
    line = texts | dict(
      gold=_named(task, example.label), prediction=_named(task, said.predicted[number])
    )
    if said.probability:
      line['probability'] = said.probability[number]
    if said.every is not None:
      line['probabilities'] = dict(zip(task.classes, said.every[number].tolist()))
    yield json.dumps(line, ensure_ascii=False) + '\n'


def _texts_of(task: Task, texts: tuple[str, ...]) -> dict:
  if task.kind == 'words':
    return dict(words=list(texts))
  if task.kind == 'choices':
    return dict(context=texts[0], choices=list(texts[1:]))
  if task.kind == 'ranked':
    return dict(query=texts[0], docs=list(texts[1:]))
  return dict(text=texts[0]) if task.kind == 'text' else dict(text_a=texts[0], text_b=texts[1])


def _named(task: Task, label):
  if isinstance(label, tuple) and task.kind == 'ranked':
    return list(label)
  if isinstance(label, tuple):
    return [task.classes[index] if index >= 0 else None for index in label]
  return label if label is None or not task.classes else task.classes[label]


def _labelled(task: Task, split: str, predicted: list) -> tuple[list, list]:
  """(gold, predicted) of the examples whose label is known."""
  pairs = [
    (example.label, said)
    for example, said in zip(task.splits[split], predicted)
    if example.label is not None
  ]
  return [gold for gold, _ in pairs], [said for _, said in pairs]


def _score_words(task: Task, gold: list, predicted: list) -> dict[str, float]:
  words = sum(map(len, gold))
  hits = sum(one == other for row, said in zip(gold, predicted) for one, other in zip(row, said))
  found = dict(accuracy=hits / words)
  if has_entities(task):
    names = [*task.classes, 'O']  # -1, a word that was cut off, is the last one
    pairs = [
      ([names[index] for index in row], [names[index] for index in said])
      for row, said in zip(gold, predicted)
    ]
    whole = scores.entities(pairs)['']
    found = {name: whole[name] for name in ('f1', 'precision', 'recall')} | found
  return found


def _flags(task: Task, labels: list) -> np.ndarray:
  """Tuples of classes as bool NxC."""
  flag_NxC = np.zeros((len(labels), len(task.classes)), bool)
  for row, label in enumerate(labels):
    flag_NxC[row, [*label]] = True
  return flag_NxC
