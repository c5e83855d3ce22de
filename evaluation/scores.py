"""Scores of whole splits: of classes, of several classes, of numbers, of entities.

Each is a function of gold and predicted labels that returns {name: score}; the names are those of
GLUE, scikit-learn and seqeval, and so are the values (tests/test_scores.py).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import scipy.stats


def classes(gold_N: np.ndarray, predicted_N: np.ndarray, count: int) -> dict[str, float]:
  """Accuracy, Matthews' correlation, and F1: of class 1 of two, else the mean over the classes.

  Args:
    count: of classes; a class that is neither gold nor predicted is left out of the mean.
  """
  pair_N = gold_N.astype(np.int64) * count + predicted_N
  confusion_CxC = np.bincount(pair_N, minlength=count * count).reshape(count, count)
  hit_C, gold_C, said_C = (
    confusion_CxC.diagonal(),
    confusion_CxC.sum(axis=1),
    confusion_CxC.sum(axis=0),
  )
  f1_C = [f1(*counts) for counts in zip(hit_C, gold_C, said_C)]
  there_C = (gold_C + said_C) > 0
  found = dict(accuracy=float(hit_C.sum() / max(1, len(gold_N))))
  if count == 2:
    found['f1'] = f1_C[1]
  else:
    found['macro_f1'] = float(np.mean(np.array(f1_C)[there_C]))
  return found | dict(mcc=_matthews(hit_C, gold_C, said_C))


def _matthews(hit_C, gold_C, said_C) -> float:
  """Gorodkin's R_K, which is Matthews' correlation for two classes; of a constant 0."""
  hits, total = float(hit_C.sum()), float(gold_C.sum())
  covariance = hits * total - float(gold_C @ said_C)
  gold, said = total**2 - float(gold_C @ gold_C), total**2 - float(said_C @ said_C)
  return covariance / float(np.sqrt(gold * said)) if gold * said else 0.0


def several(gold_NxC: np.ndarray, predicted_NxC: np.ndarray) -> dict[str, float]:
  """F1 over all labels (micro), its mean over the classes (macro), and share of exact rows."""
  hit_C = (gold_NxC & predicted_NxC).sum(axis=0)
  gold_C, said_C = gold_NxC.sum(axis=0), predicted_NxC.sum(axis=0)
  return dict(
    f1=f1(hit_C.sum(), gold_C.sum(), said_C.sum()),
    macro_f1=float(np.mean([f1(*counts) for counts in zip(hit_C, gold_C, said_C)])),
    accuracy=float((gold_NxC == predicted_NxC).all(axis=1).mean()),
  )


def numbers(gold_N: np.ndarray, predicted_N: np.ndarray) -> dict[str, float]:
  """Pearson's and Spearman's correlation, and the mean squared error.

  A constant has no correlation: 0.
  """
  varies = len(gold_N) > 1 and np.ptp(gold_N) > 0 and np.ptp(predicted_N) > 0
  pearson = scipy.stats.pearsonr(gold_N, predicted_N).statistic if varies else 0.0
  spearman = scipy.stats.spearmanr(gold_N, predicted_N).statistic if varies else 0.0
  return dict(
    pearson=float(pearson),
    spearman=float(spearman),
    mse=float(np.square(gold_N - predicted_N).mean()),
  )


MARKS = ('B', 'I', 'E', 'S', 'L', 'U')  # how a tag of an entity begins
_AS = dict(L='E', U='S')  # what BILOU calls what IOBES has


def entities(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, dict[str, float]]:
  """F1, precision, recall and count of gold entities of each type, and under '' of all.

  A predicted entity is a hit if its start, end and type are exact.

  Args:
    pairs: (gold tags, predicted tags) of each sentence.
  """
  counted: dict[str, np.ndarray] = {'': np.zeros(3, np.int64)}  # hits, gold, predicted
  for gold, predicted in pairs:
    gold_set, said_set = set(spans(gold)), set(spans(predicted))
    for place, group in enumerate((gold_set & said_set, gold_set, said_set)):
      for *_, type_ in group:
        counted.setdefault(type_, np.zeros(3, np.int64))[place] += 1
        counted[''][place] += 1
  return {
    type_: dict(
      f1=f1(hits, gold, said),
      precision=hits / said if said else 0.0,
      recall=hits / gold if gold else 0.0,
      entities=int(gold),
    )
    for type_, (hits, gold, said) in sorted(counted.items())
  }


def spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
  """(start, stop, type) of each entity of BIO, IOB1, IOBES or BILOU tags; stop is exclusive.

  As conlleval and seqeval (its default) read them: what continues no entity of its type begins one.
  """
  found, start, open_type, before = [], 0, '', 'O'
  for index, tag in enumerate([*tags, 'O']):
    mark, _, type_ = tag.partition('-')
    mark = _AS.get(mark, mark)
    begins = mark in ('B', 'S') or before in ('E', 'S') or type_ != open_type
    if open_type and (mark == 'O' or begins):
      found.append((start, index, open_type))
      open_type = ''
    if mark != 'O' and type_ and not open_type:
      start, open_type = index, type_
    before = mark
  return found


def f1(hits: int, gold: int, predicted: int) -> float:
  """2 P R / (P + R), from counts; 0 if there is no hit."""
  return float(2 * hits / (gold + predicted)) if hits else 0.0
