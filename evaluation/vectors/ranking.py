"""Rankings: the nearest documents of a query, exactly, and the scores of a ranked list.

The scores are those of sentence-transformers' InformationRetrievalEvaluator, and where judgements
have grades nDCG is that of trec_eval: the gain is the grade.
"""

from collections.abc import Sequence
import math

import numpy as np

_QUERIES = 512  # against one chunk at once


class Nearest:
  """The k documents with the greatest cosine for each query; of equal ones the lower id is first.

  Documents come in chunks, and a chunk is forgotten when it has been compared: memory holds the
  queries, one chunk, and its products with 512 queries. Products are summed in float64 and rounded
  to float32, so that equal vectors are equally near, wherever in a chunk they stand.

  Args:
    query_QxD: vectors of length 1.
  """

  def __init__(self, query_QxD: np.ndarray, k: int):
    self._query_QxD, self._k = query_QxD.astype(np.float64), k
    # (minus the cosine, id), so that the order of tuples is that of the ranking
    self._found: list[list[tuple[float, str]]] = [[] for _ in query_QxD]

  def add(self, ids: Sequence[str], vector_NxD: np.ndarray):
    """Compares a chunk of documents with all queries."""
    order = sorted(range(len(ids)), key=ids.__getitem__)
    vector_DxN = vector_NxD[order].astype(np.float64).T
    keep = min(self._k, len(ids))
    for start in range(0, len(self._found), _QUERIES):
      cosine_QxN = self._query_QxD[start : start + _QUERIES] @ vector_DxN
      for query, cosine_N in enumerate(cosine_QxN.astype(np.float32), start):
        least = np.partition(cosine_N, len(ids) - keep)[len(ids) - keep]
        near = np.flatnonzero(cosine_N >= least)  # in the order of ids, which a stable sort keeps
        near = near[np.argsort(-cosine_N[near], kind='stable')][:keep]
        new = [(-float(cosine_N[index]), ids[order[index]]) for index in near]
        self._found[query] = sorted(self._found[query] + new)[: self._k]

  def ranked(self) -> list[list[str]]:
    """The ids of the nearest documents of each query, the nearest first."""
    return [[id_ for _, id_ in found] for found in self._found]


def lists(gold: Sequence[Sequence[float]], said: Sequence[Sequence[float]]) -> dict[str, float]:
  """Means over queries whose texts have scores: is the first text one of the best, and nDCG@10.

  Of texts that are equally high, the worse ones come first, so that a constant ranks nothing. There
  is no nDCG where a score is negative.

  Args:
    gold: of each query the scores of its texts.
    said: what orders them, the greatest first.
  """
  ranked = []
  for scores, values in zip(gold, said):
    order = sorted(range(len(scores)), key=lambda place: (-values[place], scores[place]))
    ranked.append([scores[place] for place in order])
  hits = sum(gains[0] == max(gains) for gains in ranked)
  found = dict(accuracy=hits / len(ranked))
  if all(gain >= 0 for gains in ranked for gain in gains):
    found['ndcg@10'] = math.fsum(ndcg(gains, gains, 10) for gains in ranked) / len(ranked)
  return found


def dcg(gains: Sequence[float], k: int) -> float:
  """Discounted cumulative gain of the first k."""
  return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:k], 1))


def ndcg(gains: Sequence[float], judged: Sequence[float], k: int) -> float:
  """dcg of a ranking by that of the best one.

  Args:
    gains: of the ranked documents.
    judged: the gains of all that are relevant.
  """
  return dcg(gains, k) / dcg(sorted(judged, reverse=True), k)


def reciprocal_rank(gains: Sequence[float], k: int) -> float:
  """1 / the rank of the first relevant document among the first k, else 0."""
  return next((1 / rank for rank, gain in enumerate(gains[:k], 1) if gain > 0), 0.0)


def recall(gains: Sequence[float], relevant: int, k: int) -> float:
  """Which share of the relevant documents is among the first k."""
  return sum(gain > 0 for gain in gains[:k]) / relevant


def average_precision(gains: Sequence[float], relevant: int, k: int) -> float:
  """The mean precision at the relevant documents among the first k, of min(k, relevant)."""
  ranks = [rank for rank, gain in enumerate(gains[:k], 1) if gain > 0]
  return math.fsum(hits / rank for hits, rank in enumerate(ranks, 1)) / min(k, relevant)
