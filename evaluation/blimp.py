"""BLiMP (Warstadt et al. 2020): is the acceptable sentence of a minimal pair the more likely one?

Chance is 0.5. The task counts as "generation" whatever the score, because it examines the model as
a distribution over sentences; probes examine its features.

A sum over tokens favours the shorter sentence, which in some paradigms is the acceptable one. So
the accuracy of always choosing the sentence with fewer tokens is reported as a baseline.
"""

from collections.abc import Sequence
import functools
import math
import time

import numpy as np

from data.tasks.blimp import Pair, load
from evaluation import likelihood
from evaluation.subject import Subject

# Nats. Sums that differ by less count as equal: float32 rounding depends on the batch.
_TIE = 1e-4


def run(subject: Subject) -> dict[str, dict]:
  """Returns {'blimp': ...}: accuracy by paradigm, term and field, and the mean over paradigms.

  Raises:
    TaskError: the model gives no likelihood, or not of the kind in `subject.score`.
    DataError: the pairs cannot be read.
  """
  model = subject.model
  kind = likelihood.choose(subject.score, model.mask, model.objectives)
  scorer = likelihood.scorer_of(model, kind)
  path = None if subject.folder is None else subject.folder / 'blimp' / 'BLiMP.zip'
  pairs = load(path, subject.limit, subject.progress)
  progress = functools.partial(subject.progress, 'blimp')
  started = time.monotonic()
  result = examine(scorer, model.tokenizer, pairs, progress)
  return dict(blimp=result | dict(limit=subject.limit, seconds=time.monotonic() - started))


def examine(scorer: likelihood.Scorer, tokenizer, pairs: Sequence[Pair], progress=None) -> dict:
  """Scores minimal pairs; returns the entry of evaluations.json.

  With the score 'prefix' the common beginning of a pair is the prefix, read bidirectionally, and
  the rest is compared. Under a causal mask, too, only the rest makes a difference.

  Args:
    progress: called with (rows done, rows in all).
  """
  good = tokenizer.encode([pair.good for pair in pairs])
  bad = tokenizer.encode([pair.bad for pair in pairs])
  shared = [0] * len(pairs)
  if scorer.kind == 'prefix':
    shared = [_common(one, other) for one, other in zip(good, bad)]
  nats = np.array([text.sum() for text in scorer(good + bad, shared + shared, progress)])
  unknown = 0
  if tokenizer.unknown is not None:
    unknown = sum(int((text == tokenizer.unknown).sum()) for text in good + bad)
  found = tabulate(pairs, credit(nats[: len(pairs)], nats[len(pairs) :]))
  good_length_N = np.array([len(text) for text in good])
  bad_length_N = np.array([len(text) for text in bad])
  shorter = tabulate(pairs, credit(good_length_N, bad_length_N))['accuracy']
  unit = f'accuracy, mean over {len(found["paradigms"])} paradigms; {likelihood.KINDS[scorer.kind]}'
  return dict(
    value=found.pop('accuracy'),
    unit=unit,
    higher_is_better=True,
    side='generation',
    score=scorer.kind,
    baselines={'fewer tokens': shorter},
    unknown_share=unknown / max(1, sum(map(len, good + bad))),
    **found,
  )


def credit(good_N: np.ndarray, bad_N: np.ndarray) -> np.ndarray:
  """Returns 1 where the acceptable sentence has fewer nats, 0.5 for a tie, 0 elsewhere; N."""
  return np.where(np.abs(good_N - bad_N) < _TIE, 0.5, (good_N < bad_N).astype(np.float64))


def tabulate(pairs: Sequence[Pair], credit_N: np.ndarray) -> dict:
  """Returns accuracies with binomial standard errors, overall and by field, term and paradigm.

  Groups are means over paradigms, each paradigm with equal weight.
  """
  rows: dict[str, list[int]] = {}
  for index, pair in enumerate(pairs):
    rows.setdefault(pair.paradigm, []).append(index)
  paradigms = {}
  for name, members in sorted(rows.items()):
    accuracy = float(credit_N[members].mean())
    error = math.sqrt(accuracy * (1 - accuracy) / len(members))
    paradigms[name] = dict(accuracy=accuracy, standard_error=error, pairs=len(members))
  term_of = {pair.paradigm: pair.term for pair in pairs}
  field_of = {pair.paradigm: pair.field for pair in pairs}
  return dict(
    **_mean(paradigms.values()),
    ties=int((credit_N == 0.5).sum()),
    fields=_by(paradigms, field_of),
    terms=_by(paradigms, term_of),
    paradigms=paradigms,
  )


def _by(paradigms: dict[str, dict], group_of: dict[str, str]) -> dict[str, dict]:
  """Returns the mean of each group of paradigms."""
  groups = {}
  for group in sorted(set(group_of.values())):
    groups[group] = _mean([paradigms[name] for name in paradigms if group_of[name] == group])
  return groups


def _mean(parts) -> dict:
  parts = list(parts)
  return dict(
    accuracy=math.fsum(part['accuracy'] for part in parts) / len(parts),
    standard_error=math.hypot(*(part['standard_error'] for part in parts)) / len(parts),
    pairs=sum(part['pairs'] for part in parts),
  )


def _common(one: np.ndarray, other: np.ndarray) -> int:
  """Returns the length of the common beginning of two texts, in tokens."""
  length = min(len(one), len(other))
  differ = np.flatnonzero(one[:length] != other[:length])
  return int(differ[0]) if len(differ) else length
