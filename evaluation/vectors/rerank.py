"""Reranking: of a few texts for a query, are those that answer it nearer than the others?

Of texts that are equally near, those that do not answer come first in a ranking, so that a model
that finds all alike earns nothing; average precision takes them together, as scikit-learn does.
"""

import json
import math
from pathlib import Path

import numpy as np

from data.tasks import candidates
from data.tasks.candidates import Candidates
from evaluation.errors import TaskError
from evaluation.subject import Subject
from evaluation.vectors import common, pairs
from evaluation.vectors.ranking import ndcg, reciprocal_rank

METRIC = 'map'
UNIT = 'mean average precision of the cosine'


def run(subject: Subject) -> dict[str, dict]:
  """Returns {'rerank': ...} of one file, or {'rerank': the mean, 'rerank_NAME': ...}.

  Raises:
    TaskError, DataError: there are no files, or they cannot be read.
  """
  paths = files(subject)
  return common.named(
    subject, 'rerank', UNIT, {name: _examine(subject, path) for name, path in paths.items()}
  )


def files(subject: Subject) -> dict[str, Path]:
  """{name of a set: its file}; raises TaskError or DataError where there is none."""
  return common.files(subject, 'rerank', ('.jsonl',))


def _examine(subject: Subject, path: Path) -> dict:
  """The entry of one file."""
  written = candidates.read(path)
  kept = [one for one in written if one.positive and one.negative]
  notes = []
  if left := len(written) - len(kept):
    notes.append(f'queries without positive or negative, left out: {left:,} of {len(written):,}')
  kept = kept[: subject.limit or None]
  if not kept:
    raise TaskError(f'rerank: no query of {path} has both positive and negative texts')
  encode = common.encoder(subject, f'rerank {path.name}')
  query_QxD = encode([one.query for one in kept], 'query')
  vector_NxD = encode([text for one in kept for text in _texts(one)], 'document')
  rows, start = [], 0
  for one, query_D in zip(kept, query_QxD):
    part_NxD = vector_NxD[start : (start := start + len(_texts(one)))]
    cosine_N = common.cosines(part_NxD, np.broadcast_to(query_D, part_NxD.shape))
    rows.append(tabulate(cosine_N, len(one.positive)))
  return common.entry(
    subject,
    METRIC,
    {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]},
    f'{UNIT}, {len(kept):,} {"query" if len(kept) == 1 else "queries"}',
    queries=len(kept),
    data_sha256=common.digest(json.dumps(one) for one in kept),
    notes=notes,
  )


def _texts(one: Candidates) -> tuple[str, ...]:
  return one.positive + one.negative


def tabulate(cosine_N: np.ndarray, positive: int) -> dict[str, float]:
  """The scores of one query.

  Args:
    cosine_N: of the texts; the first `positive` of them answer the query.
  """
  label_N = np.arange(len(cosine_N)) < positive
  gains = label_N[np.lexsort((label_N, -cosine_N))].tolist()
  return {
    METRIC: pairs.tabulate(cosine_N, label_N)['ap'],
    'mrr@10': reciprocal_rank(gains, 10),
    'ndcg@10': ndcg(gains, [1] * positive, 10),
  }
