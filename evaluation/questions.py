"""What a model answers to the questions of a split: its windows together, scores, lines."""

import json

import numpy as np

from data.tasks.labelled import Task
from data.tasks.prepared import PreparedTask
from evaluation import answers
from evaluation.answers import Candidate, Found


class Questions:
  """Puts what is said of the windows of a split together, as `evaluation.examples` asks for it.

  Args:
    count: answers that are kept of a question, and first and last tokens that are tried.
    longest: tokens of an answer.
  """

  def __init__(self, prepared: PreparedTask, split: str, *, count: int, longest: int):
    self._windows, self._count, self._longest = prepared.splits[split].examples, count, longest
    self._said: list[list[tuple[list[Candidate], float]]] = [
      [] for _ in prepared.task.splits[split]
    ]
    self._null = may_be_null(prepared.task)

  def add(self, said: dict[str, np.ndarray]):
    """Takes the scores of the tokens of a batch."""
    for row, slot in np.argwhere(said['example'] >= 0):
      window = self._windows[said['example'][row, slot]]
      bos = int((said['segment'][row] == slot + 1).argmax())
      start_T, end_T = said['start'][row, bos:], said['end'][row, bos:]
      found = answers.candidates(window, start_T, end_T, count=self._count, longest=self._longest)
      self._said[window.owner].append((found, float(start_T[0] + end_T[0])))

  def found(self) -> tuple[list[Found], list[float], None]:
    """(what is said of each question, the probability of its best answer, nothing)."""
    joined = [answers.join(windows, self._count) for windows in self._said]
    return joined, [answers.probability(each, null=self._null) for each in joined], None


def may_be_null(task: Task) -> bool:
  """Whether some question to train on has no answer, as in SQuAD 2.0."""
  return any(each.label is not None and not each.label.texts for each in task.splits['train'])


def score(task: Task, split: str, found: list[Found], threshold: float | None) -> dict[str, float]:
  """SQuAD's scores; {} where no answers are known.

  Args:
    threshold: as in `answers.text_of`.
  """
  pairs = [
    (question.label.texts, answers.text_of(each, question.texts[1], threshold))
    for question, each in zip(task.splits[split], found)
    if question.label is not None
  ]
  return answers.score([gold for gold, _ in pairs], [said for _, said in pairs]) if pairs else {}


def choose_threshold(task: Task, split: str, found: list[Found]) -> float:
  """The lead from which "no answer" is said that gives the highest F1 on a split."""
  pairs = [
    (question, each)
    for question, each in zip(task.splits[split], found)
    if question.label is not None
  ]
  f1_of = []
  for question, each in pairs:
    text = answers.text_of(each, question.texts[1], None)
    measured = (answers.best_of(answers.f1, question.label.texts, said) for said in (text, ''))
    f1_of.append(tuple(measured))
  return answers.choose_threshold([each for _, each in pairs], f1_of)


def json_line(question, found: Found, probability: float, threshold: float | None) -> str:
  """A line about a question: gold answers, the answer with its characters, and the best ones."""
  context = question.texts[1]
  text = answers.text_of(found, context, threshold)
  best = found.best[0] if text else None
  line = dict(
    id=question.id,
    question=question.texts[0],
    gold=None if question.label is None else list(question.label.texts),
    prediction=text,
    start=best.start if best else None,
    end=best.stop if best else None,
    probability=probability,
    score=best.score if best else found.null,
    null_lead=found.lead if found.best else None,
    n_best=[dict(text=context[each.start : each.stop], score=each.score) for each in found.best],
  )
  return json.dumps(line, ensure_ascii=False) + '\n'
