"""Retrieval: are the relevant documents of a corpus the nearest ones of a query? BEIR's layout."""

from collections.abc import Iterable
import hashlib
import itertools
import math
from pathlib import Path

from data.errors import DataError
from data.tasks import beir
from evaluation.subject import Subject
from evaluation.vectors import common
from evaluation.vectors.ranking import (
  Nearest,
  average_precision,
  ndcg,
  recall,
  reciprocal_rank,
)

METRIC = 'ndcg@10'
UNIT = 'nDCG@10 of the cosine'
_CHUNK = 8192  # documents whose vectors are held at once
_DEPTH = 100  # of a ranking


def run(subject: Subject) -> dict[str, dict]:
  """Returns {'retrieval': ...} of one corpus, or {'retrieval': the mean, 'retrieval_NAME': ...}.

  With a limit the first queries are asked, and the whole corpus is searched.

  Raises:
    TaskError, DataError: there are no files, or they cannot be read.
  """
  return common.named(
    subject,
    'retrieval',
    UNIT,
    {name: _examine(subject, path) for name, path in files(subject).items()},
  )


def files(subject: Subject) -> dict[str, Path]:
  """{name of a set: its folder}; '' for the folder itself.

  Raises:
    TaskError, DataError: there is none.
  """
  where = common.folder(subject, 'retrieval')
  sets = {path.name: path for path in sorted(where.iterdir()) if _is_set(path)}
  if _is_set(where):
    sets = {'': where}
  if not sets:
    raise DataError(
      f'{where} has no {beir.CORPUS}, and no folder in it has one: a set is a folder with '
      f'{beir.CORPUS}, {beir.QUERIES} and {beir.JUDGEMENTS}'
    )
  return sets


def _is_set(path: Path) -> bool:
  return path.is_dir() and any(path.glob(f'{beir.CORPUS}*'))


def _examine(subject: Subject, folder: Path) -> dict:
  """The entry of one corpus."""
  judged, queries, notes = _asked(folder, subject.limit)
  encode = common.encoder(subject, f'retrieval {folder.name}')
  nearest = Nearest(encode(list(queries.values()), 'query'), _DEPTH)
  ids, sha256 = set(), hashlib.sha256()
  for chunk in _chunks(beir.documents(folder)):
    nearest.add([id_ for id_, _ in chunk], encode([text for _, text in chunk], 'document'))
    ids.update(id_ for id_, _ in chunk)
    sha256.update(common.digest(f'{id_}\t{text}' for id_, text in chunk).encode())
  if not ids:
    raise DataError(f'{folder / beir.CORPUS} holds no documents')
  lost = sum(document not in ids for grades in judged.values() for document in grades)
  if lost:
    notes.append(f'{lost:,} relevant documents are not in the corpus: they count as not found')
  if both := len(ids & queries.keys()):
    notes.append(f'{both:,} ids are those of a query and of a document, which may find itself')
  asked = (f'{query}\t{text}\t{judged[query]}' for query, text in queries.items())
  sha256.update(common.digest(asked).encode())
  return common.entry(
    subject,
    METRIC,
    tabulate(dict(zip(queries, nearest.ranked())), judged),
    f'{UNIT}, mean over {len(queries):,} {"query" if len(queries) == 1 else "queries"}, '
    f'{len(ids):,} documents',
    queries=len(queries),
    documents=len(ids),
    data_sha256=sha256.hexdigest(),
    notes=notes,
  )


def _asked(folder: Path, limit: int) -> tuple[dict[str, dict[str, int]], dict[str, str], list[str]]:
  """(relevant documents with their grades, texts, notes) of the queries that have relevant ones."""
  texts, judged = beir.queries(folder), {}
  found = beir.judgements(folder)
  for query, grades in found.items():
    if query not in texts:
      raise DataError(f'{folder / beir.JUDGEMENTS} judges {query!r}, which is no query')
    if relevant := {id_: grade for id_, grade in grades.items() if grade > 0}:
      judged[query] = relevant
  if not judged:
    raise DataError(f'{folder / beir.JUDGEMENTS}: no document is relevant to any query')
  notes = []
  if left := len(texts) - len(judged):
    notes.append(f'queries without a relevant document, left out: {left:,} of {len(texts):,}')
  kept = [query for query in texts if query in judged][: limit or None]
  return {query: judged[query] for query in kept}, {query: texts[query] for query in kept}, notes


def _chunks(documents: Iterable[tuple[str, str]]):
  documents = iter(documents)
  return iter(lambda: list(itertools.islice(documents, _CHUNK)), [])


def tabulate(ranked: dict[str, list[str]], judged: dict[str, dict[str, int]]) -> dict[str, float]:
  """The mean over the queries of each score.

  Args:
    ranked: the nearest documents of each query, 100 of them if there are as many.
    judged: the relevant documents of each query, with their grades.
  """
  rows = []
  for query, documents in ranked.items():
    grades = judged[query]
    gains = [grades.get(document, 0) for document in documents]
    rows.append(
      {
        METRIC: ndcg(gains, list(grades.values()), 10),
        'mrr@10': reciprocal_rank(gains, 10),
        'recall@10': recall(gains, len(grades), 10),
        'recall@100': recall(gains, len(grades), 100),
        'map@100': average_precision(gains, len(grades), 100),
      }
    )
  return {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}
