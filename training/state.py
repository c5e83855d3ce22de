"""The state of a run between two steps: data only, no methods."""

import dataclasses
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """Everything a run needs to continue; random keys and batches follow from (seed, step).

  Attributes:
    step: int32 scalar, number of updates so far.
    params: parameters of the network, float32.
    opt_state: state of the optimiser, as optax has it.
    average: exponential moving average of params; None unless config.optimizer.average is set.
    spikes: `training.spikes.Spikes`; None unless config.optimizer.skip_sigmas is set.
  """

  step: jax.Array
  params: Any
  opt_state: Any
  average: Any = None
  spikes: Any = None


def scored_params(state: State):
  """Returns the parameters to evaluate: the moving average if the run keeps one."""
  return state.params if state.average is None else state.average
