"""The step of a config without its data: for planning and timing."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from configs.schema import grid
from objectives.term import Vocabulary
from training.experiment import build, make_run_state
from training.step import jit_step


class BareStep(NamedTuple):
  """What `train.py` would jit, with nothing read from a disk: for planning and timing.

  Attributes:
    abstract: the state at step 0 as ShapeDtypeStructs with shardings.
    make: makes that state.
    step: jitted and donating, (state, batch) -> (state, metrics).
    batch: one global batch of random ordinary tokens, no padding, as numpy arrays.
  """

  abstract: Any
  make: Callable[[], Any]
  step: Callable
  batch: dict[str, np.ndarray]


def build_step(config, mesh) -> BareStep:
  """The first stage of a config's run at its full sequence length, without its corpus.

  Args:
    config: checked by `configs.schema.check`; `accumulate` 0 counts as 1.
    mesh: its devices need not be there (jax.experimental.topologies), unless something is made or
      run.
  """
  T, V = config.data.sequence_length, config.model.vocab_size
  B = config.batch_size * config.finetune.seeds
  experiment = build(config, Vocabulary.any_of(V))
  abstract, make, tx, schedule = make_run_state(config, experiment.network, mesh)
  step = experiment.train_step(
    grid.stages(config)[0], tx, schedule, accumulate=max(1, config.accumulate)
  )
  batch = dict(
    token=np.random.default_rng(0).integers(0, V, (B, T), np.int32),
    segment=np.ones((B, T), np.int32),
    type=np.zeros((B, T), np.int32),
    label=np.zeros(B, np.int32),
    id=np.arange(B, dtype=np.int32),
    epoch=np.zeros(B, np.int32),
  )
  return BareStep(abstract, make, jit_step(step, mesh), batch)
