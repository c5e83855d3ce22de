"""What a task of `evaluation.tasks` is given: a model, and how it is to be examined."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from inference.model import Model


class Subject(NamedTuple):
  """A model under examination.

  A task is a function of this that returns {name: {'value': float, 'unit': str, 'higher_is_better':
  bool, 'side': 'understanding' or 'generation', ...}}, as
  evaluations.json keeps it; what else it holds is the task's.

  Attributes:
    folder: holds the files of the tasks, <task>/...; None = TensorFlow Datasets has them.
    limit: examples of a task (pairs of each paradigm, rows of each split); 0 = all.
    score: the kind of likelihood, a name of evaluation.likelihood.KINDS; None = the one that fits
      the model.
    progress: called with (what, done, total or None).
  """

  model: Model
  folder: Path | None
  limit: int
  score: str | None
  progress: Callable[[str, int, int | None], None]
