"""How a run will go: micro-batches, attention, and the time it will take."""

import dataclasses
import json

from etils import epath
import jax

from configs.schema import grid
from models.attention import KERNELS
from runtime import distributed
from training import budget, cost
from training.experiment import Experiment

# Of the matmul peak, what a step reaches before anything was
# tuned; small matrices leave more to the rest.
_NARROW, _SHARE_NARROW, _SHARE_WIDE = 512, 0.33, 0.6


@dataclasses.dataclass(frozen=True)
class Plan:
  """How a run will go.

  Attributes:
    accumulate: micro-batches an update.
    attention: the implementation that reads the longest rows.
    flops_a_token: of each sequence length T of the run.
    step_seconds: of each T, predicted from a matmul measured
      now; the first honest ETA there can be.
  """

  accumulate: int
  attention: str
  flops_a_token: dict[int, float]
  step_seconds: dict[int, float]

  def seconds(self, phases: tuple[tuple[int, int], ...], first: int, steps: int) -> float:
    """Predicted time of the steps from `first` on; `phases` as in an Experiment."""
    ends = [start for start, _ in phases[1:]] + [steps]
    return sum(
      max(0, end - max(first, start)) * self.step_seconds[T]
      for (start, T), end in zip(phases, ends)
    )


def make_plan(experiment: Experiment, directory: epath.PathLike, parameters: int, mesh) -> Plan:
  """Chooses what the config leaves open, once a run: a resumed run
  keeps the choice, because it orders sums.
  """
  config, T = experiment.config, experiment.config.data.sequence_length
  attention = experiment.attention()
  flops = {T: budget.mean_flops_per_token(config, T) for _, T in experiment.phases}
  path = epath.Path(directory) / 'plan.json'
  platform, memory = jax.default_backend(), cost.device_memory()

  def accumulate() -> int:
    chosen = config.accumulate or _chosen_before(path)
    if not chosen:
      chosen = cost.choose_accumulate(
        experiment.model,
        batch_size=config.batch_size,
        T=T,
        chunk=config.loss_chunk,
        devices=mesh.shape['data'] * mesh.shape['fsdp'],
        params=parameters // mesh.shape['fsdp'],
        average=bool(config.optimizer.average),
        flops_a_token=flops[T],
        platform=platform,
        memory=memory,
        fused=attention in KERNELS,
        period=grid.period(config),
      )
    path.write_text(json.dumps(dict(accumulate=chosen)))
    return chosen

  # The CPU devices of a process share its cores.
  measured = expected_speed(experiment.model.width) * (
    1 if platform == 'cpu' else mesh.devices.size
  )
  # both decide what is compiled
  chosen, speed = distributed.from_first(lambda: (accumulate(), measured))
  return Plan(
    chosen, attention, flops, {T: config.batch_size * T * each / speed for T, each in flops.items()}
  )


def _chosen_before(path: epath.Path) -> int:
  """The micro-batches that the run has had so far; 0 where it has had none."""
  return json.loads(path.read_text())['accumulate'] if path.exists() else 0


def expected_speed(width: int) -> float:
  """FLOP/s that steps of a network of this width may reach on the
  default device, from a product measured now.
  """
  return cost.matmul_peak() * (_SHARE_NARROW if width < _NARROW else _SHARE_WIDE)
