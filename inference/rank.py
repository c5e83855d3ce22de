"""How well lines answer a query, read together with it: a cross-encoder (Nogueira and Cho 2019)."""

from typing import NamedTuple

import numpy as np

from inference.model import Model
from inference.predict import Predictor
from runtime.errors import WeightsError


class Ranked(NamedTuple):
  """A line and its score; index counts from 0."""

  index: int
  score: float


class Ranker:
  """Scores of pairs of a query and a text.

  Of a published model with one label, and of a run that learned to rank, the score is the sigmoid
  of the output, as `CrossEncoder` of sentence-transformers has it; of a run that was trained on
  numbers it is the number; of two classes the probability of the second.

  Raises:
    WeightsError: the model has other labels.
  """

  def __init__(self, model: Model, *, max_length: int | None = None, batch_size: int = 32):
    self._predictor = Predictor(model, max_length=max_length, batch_size=batch_size)
    labels = self._predictor.labels
    self._number = labels.labels == 'number'
    # of what is published no kind is known
    self._squash = self._number and labels.kind in ('', 'ranked')
    if labels.kind not in ('', 'pair', 'ranked') or not (
      self._number or labels.labels == 'class' and len(labels.classes) == 2
    ):
      raise WeightsError(
        f'{model.source} gives {labels.kind or "texts"} {len(labels.classes)} labels '
        f'({labels.labels}): to rank, a model of pairs with one number or two classes is needed.'
      )

  def __call__(self, query: str, lines: list[str]) -> list[Ranked]:
    """Lines by score, the best first, of equal ones the earlier; without those of no token."""
    scored = [
      Ranked(index, self._score(said))
      for index, said in enumerate(self._predictor.texts([(query, line) for line in lines]))
      if said is not None
    ]
    return sorted(scored, key=lambda one: (-one.score, one.index))

  def _score(self, said) -> float:
    if not self._number:
      return said.probability[1]
    return float(1 / (1 + np.exp(-np.float64(said.label)))) if self._squash else said.label
