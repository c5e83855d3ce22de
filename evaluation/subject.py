"""What a task of `evaluation.tasks` gets to know of the model that it examines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from data.tokenizer import Tokenizer
from models.config import ModelConfig
from models.network import Network


class Subject(NamedTuple):
  """A trained model, and how it is to be asked.

  A task is a function of this that returns {name: {'value': float, 'unit': str, 'higher_is_better': bool,
  'side': 'understanding' or 'generation', ...}}, as evaluations.json keeps it; what else it holds is the task's.

  Attributes:
    network: with the mask and the heads of its training, rows not packed.
    mask: 'bidirectional', 'causal' or 'prefix'.
    objectives: what it was trained with, names of the package `objectives`.
    framed: in training, texts began with the tokenizer's `begin`.
    max_length: the most tokens a row can have, special ones counted.
    source: where the model is from, for people.
    folder: holds the files of the tasks, <task>/...; None = TensorFlow Datasets has them.
    limit: examples of a task (pairs of each paradigm, rows of each split); 0 = all.
    score: the kind of likelihood, a name of evaluation.likelihood.KINDS; None = the one that fits the model.
    progress: called with (what, done, total or None).
  """

  network: Network
  params: Any
  config: ModelConfig
  tokenizer: Tokenizer
  mask: str
  objectives: tuple[str, ...]
  framed: bool
  max_length: int
  source: str
  folder: Path | None
  limit: int
  score: str | None
  progress: Callable[[str, int, int | None], None]
