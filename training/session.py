"""What one process of a run shares between its parts, from the data being there to the result."""

import contextlib
import time
from typing import Any, NamedTuple

from etils import epath

from runtime.console import Console
from runtime.distributed import StepConsensus
from runtime.watchdog import Watchdog
from training.experiment import Experiment


class Clock:
  """The time of steps: what is spent on evaluating and saving is no part of it.

  Attributes:
    aside: {what was done instead of steps: seconds that it took the last time}.
  """

  def __init__(self):
    self._mark = time.monotonic()
    self.aside: dict[str, float] = {}

  @contextlib.contextmanager
  def set_aside(self, what: str):
    """What is done inside is not counted as a step's."""
    start = time.monotonic()
    try:
      yield
    finally:
      seconds = time.monotonic() - start
      self.aside[what] = seconds
      self._mark += seconds

  def lap(self) -> float:
    """Seconds of steps since the last lap."""
    now = time.monotonic()
    seconds, self._mark = max(now - self._mark, 1e-9), now
    return seconds


class Session(NamedTuple):
  """What the hooks of one process share."""

  experiment: Experiment
  directory: epath.Path
  mesh: Any
  console: Console
  watchdog: Watchdog
  consensus: StepConsensus
  clock: Clock

  @property
  def config(self):
    return self.experiment.config
