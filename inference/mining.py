"""Hard negatives: texts that a model finds near an anchor, and that are not its positives.

The rules, their order and their defaults are those of `mine_hard_negatives` of
sentence-transformers; a margin that is relative is that of NV-Retriever (Moreira et al. 2024).
"""

from typing import NamedTuple

import numpy as np

from inference.nearest import nearest


class Rules(NamedTuple):
  """Which of the nearest texts may be negatives.

  Attributes:
    num_negatives: of each anchor.
    range_min: so many of the hardest ones are left out.
    range_max: how many of the hardest are looked at; None: num_negatives, ten times as many where a
      margin or a limit leaves some out, and range_min.
    absolute_margin: a negative's cosine is at least so much below that of the positive.
    relative_margin: the same as a share of the positive's cosine; 0.05 is NV-Retriever's.
    max_score, min_score: of a negative's cosine.
    sampling: top (the hardest) or random.
    seed: of random.
  """

  num_negatives: int = 3
  range_min: int = 0
  range_max: int | None = None
  absolute_margin: float | None = None
  relative_margin: float | None = None
  max_score: float | None = None
  min_score: float | None = None
  sampling: str = 'top'
  seed: int = 0

  def depth(self, positives: int) -> int:
    """How many of the hardest are looked at, where an anchor has at most so many positives."""
    if self.range_max is not None:
      return self.range_max
    limits = self.absolute_margin, self.relative_margin, self.max_score
    times = 10 if any(limit is not None for limit in limits) else 1
    return self.range_min + times * self.num_negatives + positives


class Mined(NamedTuple):
  """What was found.

  Attributes:
    negatives: {anchor: indices of the corpus, hardest first}; none where there are too few.
    dropped: how many candidates each rule left out, and how many anchors have too few.
  """

  negatives: dict[int, list[int]]
  dropped: dict[str, int]


def mine(
  anchor_AxD: np.ndarray, corpus_NxD: np.ndarray, positives: list[list[int]], rules: Rules
) -> Mined:
  """Negatives for each anchor.

  Args:
    positives: of each of the A anchors the indices of its positives in the corpus.
  """
  most = max(map(len, positives))
  depth = rules.depth(most)
  row_AxK, cosine_AxK = nearest(
    anchor_AxD, lambda start, stop: corpus_NxD[start:stop], len(corpus_NxD), top=depth + most
  )
  dropped = dict.fromkeys(('absolute_margin', 'relative_margin', 'max_score', 'min_score'), 0)
  random, found = np.random.default_rng(rules.seed), {}
  for anchor, (row_K, cosine_K) in enumerate(zip(row_AxK, cosine_AxK)):
    own = positives[anchor]
    least = _cosines(anchor_AxD[anchor], corpus_NxD[own]).min()
    kept_K = _kept(row_K, cosine_K, own, float(least), rules, dropped)
    chosen = row_K[kept_K][:depth][rules.range_min :]
    if len(chosen) < rules.num_negatives:
      continue
    if rules.sampling == 'random':
      chosen = chosen[np.sort(random.permutation(len(chosen))[: rules.num_negatives])]
    found[anchor] = chosen[: rules.num_negatives].tolist()
  return Mined(found, dropped | dict(too_few=len(positives) - len(found)))


def _kept(row_K, cosine_K, own: list[int], least: float, rules: Rules, dropped: dict) -> np.ndarray:
  """Which candidates no rule leaves out; each is counted where the first rule does."""
  kept_K = ~np.isin(row_K, own)
  limits = (
    ('absolute_margin', rules.absolute_margin, lambda limit: cosine_K + limit <= least),
    (
      'relative_margin',
      rules.relative_margin,
      lambda limit: cosine_K <= least - abs(least) * limit,
    ),
    ('max_score', rules.max_score, lambda limit: cosine_K <= limit),
    ('min_score', rules.min_score, lambda limit: cosine_K >= limit),
  )
  for name, limit, passes in limits:
    if limit is not None:
      passed_K = passes(np.float32(limit))
      dropped[name] += int((kept_K & ~passed_K).sum())
      kept_K &= passed_K
  return kept_K


def _cosines(anchor_D: np.ndarray, vector_MxD: np.ndarray) -> np.ndarray:
  norm_M = np.linalg.norm(vector_MxD, axis=1) * np.linalg.norm(anchor_D)
  return vector_MxD @ anchor_D / np.maximum(norm_M, 1e-12)
