"""From the scores of tokens to answers, and how good they are: SQuAD's own measures."""

from collections import Counter
from collections.abc import Iterable, Sequence
import heapq
import math
import re
import string
from typing import NamedTuple

import numpy as np

from data.tasks.question_rows import Window


class Candidate(NamedTuple):
  """A possible answer: its score (logits of both ends), and its characters in the context."""

  score: float
  start: int
  stop: int


class Found(NamedTuple):
  """What a model says of a question.

  Attributes:
    best: the best candidates, the best first; none where no window has one.
    null: score of there being no answer, the lowest over the windows.
  """

  best: list[Candidate]
  null: float

  @property
  def lead(self) -> float:
    """By how much no answer beats the best one."""
    return self.null - self.best[0].score if self.best else math.inf


def candidates(
  window: Window, start_T: np.ndarray, end_T: np.ndarray, *, count: int, longest: int
) -> list[Candidate]:
  """The best answers in a window.

  Args:
    start_T, end_T: scores of its tokens, from its bos on.
    count: how many first and last tokens are tried, the best ones, and how many are returned.
    longest: tokens of an answer.
  """
  size = len(window.span_Tx2)
  start_T = start_T[window.first : window.first + size]
  end_T = end_T[window.first : window.first + size]
  found = []
  ends = np.argsort(-end_T, kind='stable')[:count]
  for first in np.argsort(-start_T, kind='stable')[:count]:
    for last in ends[(ends >= first) & (ends < first + longest)]:
      score = float(start_T[first]) + float(end_T[last])
      span = int(window.span_Tx2[first, 0]), int(window.span_Tx2[last, 1])
      found.append(Candidate(score, *span))
  return heapq.nlargest(count, found)


def join(windows: Iterable[tuple[list[Candidate], float]], count: int) -> Found:
  """What the windows of a question say together: (candidates, score of no answer) of each."""
  best: dict[tuple[int, int], float] = {}
  null = math.inf
  for found, null_here in windows:
    null = min(null, null_here)
    for score, start, stop in found:
      best[start, stop] = max(score, best.get((start, stop), -math.inf))
  listed = [Candidate(score, *place) for place, score in best.items()]
  return Found(heapq.nlargest(count, listed), null)


def text_of(found: Found, context: str, threshold: float | None) -> str:
  """The answer; '' where none is said to be there.

  Args:
    threshold: by how much no answer must beat the best one; None: there always is an answer.
  """
  if not found.best or threshold is not None and found.lead > threshold:
    return ''
  return context[found.best[0].start : found.best[0].stop].strip()


def probability(found: Found, *, null: bool) -> float:
  """Of the best candidate among the best, and no answer where `null`."""
  if not found.best:
    return 1.0
  scores = [each.score for each in found.best] + ([found.null] if null else [])
  top = max(scores)
  return math.exp(found.best[0].score - top) / sum(math.exp(score - top) for score in scores)


def choose_threshold(found: Sequence[Found], f1_of: Sequence[tuple[float, float]]) -> float:
  """The lead of no answer from which it is said: the one with the highest F1.

  Args:
    f1_of: of each question (F1 of its answer, F1 of saying that there is none).
  """
  leads = sorted({each.lead for each in found if each.best})
  if not leads:
    return 0.0
  gain = dict.fromkeys(leads, 0.0)  # of answering the questions of a lead
  for each, (answered, none) in zip(found, f1_of):
    if each.best:
      gain[each.lead] += answered - none
  best, threshold, total = 0.0, leads[0] - 1.0, 0.0  # below all of them nothing is answered
  for lead in leads:
    total += gain[lead]
    if total > best:
      best, threshold = total, lead
  return threshold


def normalise(text: str) -> str:
  """Lower case without punctuation, articles and more than single spaces, as SQuAD compares."""
  text = ''.join(char for char in text.lower() if char not in set(string.punctuation))
  return ' '.join(re.sub(r'\b(a|an|the)\b', ' ', text).split())


def exact(gold: str, said: str) -> float:
  """1 where the two are the same, normalised."""
  return float(normalise(gold) == normalise(said))


def f1(gold: str, said: str) -> float:
  """F1 of the words of the two, normalised; of no words 1 where both have none."""
  gold_words, said_words = normalise(gold).split(), normalise(said).split()
  if not gold_words or not said_words:
    return float(gold_words == said_words)
  common = (Counter(gold_words) & Counter(said_words)).total()
  return 2 * common / (len(gold_words) + len(said_words)) if common else 0.0


def best_of(measure, golds: Sequence[str], said: str) -> float:
  """The measure against the gold answer that fits best; of no gold answer ''."""
  known = [gold for gold in golds if normalise(gold)] or ['']
  return max(measure(gold, said) for gold in known)


def score(golds: Sequence[Sequence[str]], said: Sequence[str]) -> dict[str, float]:
  """exact_match and f1 over all questions; of those with and without an answer where both are."""
  rows = [
    (bool(gold), best_of(exact, gold, text), best_of(f1, gold, text))
    for gold, text in zip(golds, said)
  ]
  found = dict(exact_match=_mean(row[1] for row in rows), f1=_mean(row[2] for row in rows))
  if len({row[0] for row in rows}) > 1:
    for name, has in dict(has_answer=True, no_answer=False).items():
      own = [row for row in rows if row[0] == has]
      found[f'{name}_exact_match'] = _mean(row[1] for row in own)
      found[f'{name}_f1'] = _mean(row[2] for row in own)
  return found


def _mean(values: Iterable[float]) -> float:
  values = list(values)
  return math.fsum(values) / max(1, len(values))
