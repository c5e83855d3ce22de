"""Pairs of two classes: is the cosine of pairs of class 1 greater than that of pairs of class 0?

Accuracy and F1 are at the threshold that is best for each on these very pairs, as
sentence-transformers and mteb have it; average precision needs no threshold.
"""

from pathlib import Path

import numpy as np

from data.errors import DataError
from data.groups import files as group_files
from data.groups.files import Group
from evaluation.errors import TaskError
from evaluation.subject import Subject
from evaluation.vectors import common

METRIC = 'ap'
UNIT = 'average precision of the cosine'


def run(subject: Subject) -> dict[str, dict]:
  """Returns {'pairs': ...} of one file, or {'pairs': the mean, 'pairs_NAME': ...}.

  Raises:
    TaskError, DataError: there are no files, or they cannot be read.
  """
  paths = files(subject)
  return common.named(
    subject, 'pairs', UNIT, {name: _examine(subject, path) for name, path in paths.items()}
  )


def files(subject: Subject) -> dict[str, Path]:
  """{name of a set: its file}; raises TaskError or DataError where there is none."""
  return common.files(subject, 'pairs', ('.tsv', '.jsonl', '.csv'))


def _examine(subject: Subject, path: Path) -> dict:
  """The entry of one file."""
  groups = group_files.read(path)
  if all(len(set(group.texts)) == 1 for group in groups):
    raise DataError(f'{path}: sentence1 and sentence2 are needed, and all pairs are a text twice')
  label_N = np.array([_label(path, group) for group in groups])[: subject.limit or None]
  groups = groups[: subject.limit or None]
  if label_N.all() or not label_N.any():
    raise TaskError(f'pairs: all of the {len(groups)} pairs of {path} are of one class')
  vector_NxD = common.encoder(subject, f'pairs {path.name}')(
    [text for group in groups for text in group.texts]
  )
  lines = (f'{int(label)}\t{a}\t{b}' for label, (a, b) in zip(label_N, (g.texts for g in groups)))
  return common.entry(
    subject,
    METRIC,
    tabulate(common.cosines(vector_NxD[::2], vector_NxD[1::2]), label_N),
    f'{UNIT}, {len(groups):,} pairs',
    pairs=len(groups),
    positive_share=float(label_N.mean()),
    data_sha256=common.digest(lines),
  )


def _label(path: Path, group: Group) -> bool:
  if len(group.texts) != 2:
    raise DataError(f'{path}, line {group.line}: {len(group.texts)} texts, and a pair has 2')
  try:
    number = float(group.label)
  except (TypeError, ValueError):
    number = -1
  if number not in (0, 1):
    raise DataError(f'{path}, line {group.line}: the label must be 0 or 1, and is {group.label!r}')
  return bool(number)


def tabulate(cosine_N: np.ndarray, label_N: np.ndarray) -> dict[str, float]:
  """Average precision, and accuracy and F1 with the thresholds at which each is greatest.

  A pair is said to be of class 1 from the threshold on. Equal cosines are on one side of it.
  """
  order = np.argsort(-cosine_N, kind='stable')
  ranked_N = cosine_N[order]
  last_K = np.flatnonzero(np.append(ranked_N[1:] != ranked_N[:-1], True))  # of equal cosines
  said_K = last_K + 1
  hit_K = np.cumsum(label_N[order])[last_K]
  total, positive = len(label_N), int(label_N.sum())
  between_K = np.append((ranked_N[last_K[:-1]] + ranked_N[last_K[:-1] + 1]) / 2, ranked_N[-1])
  right_K = (hit_K + (total - positive) - (said_K - hit_K)) / total
  f1_K = 2 * hit_K / (said_K + positive)
  best, best_f1 = int(right_K.argmax()), int(f1_K.argmax())
  none = (total - positive) / total  # where nothing is said to be of class 1
  return dict(
    ap=float((np.diff(hit_K, prepend=0) / positive * (hit_K / said_K)).sum()),
    accuracy=float(max(right_K[best], none)),
    accuracy_threshold=float(
      between_K[best] if right_K[best] > none else np.nextafter(ranked_N[0], np.inf)
    ),
    f1=float(f1_K[best_f1]),
    f1_threshold=float(between_K[best_f1]),
    precision=float(hit_K[best_f1] / said_K[best_f1]),
    recall=float(hit_K[best_f1] / positive),
  )
