"""The best checkpoint of a run by a metric of its validation, beside the last one; early stop.

What was best before is read from the rows of metrics.jsonl, so a resumed run goes on as if nothing
had been.
"""

import dataclasses
import math
from typing import Any

import jax

from configs.schema.check import ConfigError
from evaluation import examples
from training import checkpoint, metrics
from training.certificate import RunDigest
from training.saver import Saver
from training.session import Session
from training.start import Started
from training.state import State

_LOWER = ('loss', 'mse', 'perplexity', 'bits_per_byte')  # ends of names of what is better if lower


class Best:
  """Keeps the parameters of the best validation; nothing where the config asks for none.

  Attributes:
    metric: name of what is compared; '' = nothing is.
    step, value: of the best validation so far; None where there was none.
  """

  def __init__(self, session: Session, started: Started):
    config = session.config
    self._session, self._since = session, 0
    self.metric, self.step, self.value = config.checkpoint.best, None, None
    if not self.metric:
      return
    if self.metric == 'metric' and session.experiment.labelled:
      self.metric = examples.headline(session.experiment.prepared.task)
    self._saver = Saver(session.directory / checkpoint.BEST, keep=1)
    for row in metrics.read(session.directory):
      if row['step'] < started.first and f'val/{self.metric}' in row:
        self._compare(row['step'], float(row[f'val/{self.metric}']))

  def note(self, step: int, state: State, row: dict[str, Any], digest: RunDigest) -> bool:
    """Keeps the state if its validation is the best one; returns whether the run shall end here.

    Raises:
      ConfigError: the validation has no such metric.
    """
    if not self.metric:
      return False
    name = f'val/{self.metric}'
    if name not in row:
      known = ', '.join(key.removeprefix('val/') for key in row if key.startswith('val/'))
      raise ConfigError(
        f'config.checkpoint.best={self.metric!r}: the validation of this run has {known}.'
      )
    if self._compare(step, float(row[name])):
      self._session.console.status('saving the best parameters')
      extra = dict(step=step, trail=dataclasses.asdict(digest), **{self.metric: self.value})
      with self._session.clock.set_aside('saving'):
        self._saver.save(step, state, extra)
        self._saver.finish()
      self._session.console.status('training')
    patience = self._session.config.validation.patience
    return bool(patience) and self._since >= patience

  def state(self, state: State) -> State:
    """The best state; the given one, the last, where none was kept."""
    if not self.metric:
      return state
    abstract = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )
    restored, _ = checkpoint.restore(self._session.directory / checkpoint.BEST, self.step, abstract)
    return restored

  def said(self) -> dict:
    """What result.json has of it."""
    return (
      dict(best=dict(metric=self.metric, step=self.step, value=self.value)) if self.metric else {}
    )

  def close(self):
    """Waits for what is being written."""
    if self.metric:
      self._saver.close()

  def _compare(self, step: int, value: float) -> bool:
    """Whether a validation is better than all before; NaN never is."""
    lower = self.metric.endswith(_LOWER)
    better = self.value is None or (value < self.value if lower else value > self.value)
    if better and not math.isnan(value):
      self.step, self.value, self._since = step, value, 0
      return True
    self._since += 1
    return False
