"""The argument of every task of `evaluation.tasks`: a model, and the options of its evaluation."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from inference.model import Model


class Subject(NamedTuple):
  """A model to evaluate, and the options.

  A task is a function of a Subject that returns entries of evaluations.json: {name: {'value':
  float, 'unit': str, 'higher_is_better': bool, 'side': 'understanding' or 'generation', ...}}. The
  other keys of an entry are the task's own.

  Attributes:
    folder: holds the tasks' files as <task>/...; None: they come from TensorFlow Datasets.
    limit: examples per task (pairs per paradigm, rows per split); 0 = all.
    score: kind of likelihood, of evaluation.likelihood.KINDS; None: the best that the model has.
    progress: called with (what, done, total or None).
  """

  model: Model
  folder: Path | None
  limit: int
  score: str | None
  progress: Callable[[str, int, int | None], None]
