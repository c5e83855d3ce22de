"""What a run is at a step: data only."""

import dataclasses
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """Everything a run needs to go on; keys and batches follow from (seed, step).

  Attributes:
    step: int32 scalar, updates made so far.
    params: float32 tree of the network.
    opt_state: the optimiser's moments.
    average: exponential average of params; None unless the config asks for one.
  """

  step: jax.Array
  params: Any
  opt_state: Any
  average: Any = None


def scored_params(state: State):
  """The parameters that evaluation looks at: the average, where the run keeps one."""
  return state.params if state.average is None else state.average
