"""The plan of a run: micro-batches, attention implementation, and expected time."""

import dataclasses

from etils import epath
import jax

from configs.schema import grid
from models.attention import KERNELS
from runtime import distributed, json_file, storage
from runtime.errors import StateError
from training import budget, cost
from training.experiment import Experiment

# Share of the matmul peak that a step is expected to reach, for widths below and from _NARROW on:
# in narrow networks more of the time goes to what is not a matrix product. Choices, for an ETA
# only; BERT-base on two CPU cores was measured at 57% to 72% (docs/LOG.md, 2026-11-25, "where a
# training step ...").
_NARROW, _SHARE_NARROW, _SHARE_WIDE = 512, 0.33, 0.6


@dataclasses.dataclass(frozen=True)
class Plan:
  """What the config leaves open, decided once at the start.

  Attributes:
    accumulate: micro-batches per update.
    attention: name of the implementation used for the longest rows.
    flops_a_token: {T: training FLOPs per position}, for each sequence length of the run.
    step_seconds: {T: expected seconds per step}, from a matrix product measured at the start.
  """

  accumulate: int
  attention: str
  flops_a_token: dict[int, float]
  step_seconds: dict[int, float]

  def seconds(self, phases: tuple[tuple[int, int], ...], first: int, steps: int) -> float:
    """Returns the expected seconds of the steps from `first` to `steps`.

    Args:
      phases: (first step, T) of each phase, as in an Experiment.
    """
    ends = [start for start, _ in phases[1:]] + [steps]
    return sum(
      max(0, end - max(first, start)) * self.step_seconds[T]
      for (start, T), end in zip(phases, ends)
    )


def make_plan(experiment: Experiment, directory: epath.PathLike, parameters: int, mesh) -> Plan:
  """Chooses what the config leaves open, and writes the micro-batches to plan.json.

  A resumed run keeps its number of micro-batches, because it decides the order of sums.

  Args:
    parameters: how many the network has, of one seed.

  Raises:
    StateError: plan.json is damaged.
  """
  config, T = experiment.config, experiment.config.data.sequence_length
  attention = experiment.attention()
  teacher = experiment.teacher
  flops = {T: budget.mean_flops_per_token(config, T) for _, T in experiment.phases}
  seeds = config.finetune.seeds
  if teacher:
    flops = {T: own + teacher.flops_a_token[T] for T, own in flops.items()}
  path = epath.Path(directory) / 'plan.json'
  platform, memory = jax.default_backend(), cost.device_memory()
  memory -= teacher.bytes_a_device if teacher else 0

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
        seeds=seeds,
        average=bool(config.optimizer.average),
        flops_a_token=flops[T],
        platform=platform,
        memory=memory,
        fused=attention in KERNELS,
        period=grid.period(config),
      )
    storage.write_json(path, dict(accumulate=chosen))
    return chosen

  # The CPU devices of a process share its cores.
  devices = 1 if platform == 'cpu' else mesh.devices.size
  measured = expected_speed(experiment.model.width) * devices
  # All processes take the first one's values: the micro-batches decide what is compiled.
  chosen, speed = distributed.from_first(lambda: (accumulate(), measured))
  rows = config.batch_size * seeds
  step_seconds = {T: rows * T * each / speed for T, each in flops.items()}
  return Plan(chosen, attention, flops, step_seconds)


def _chosen_before(path: epath.Path) -> int:
  """Returns the number of micro-batches in plan.json; 0 if there is no such file."""
  return read_accumulate(path) if path.exists() else 0


def read_accumulate(path: epath.Path) -> int:
  """Returns the number of micro-batches in plan.json.

  Raises:
    StateError: the file is damaged.
  """
  plan = json_file.read_object(
    path,
    dict(accumulate=int),
    refuse=StateError,
    todo='Remove it: the micro-batches are then chosen anew, on the same machine as before.',
  )
  if plan['accumulate'] < 1:
    raise StateError(f'{path}: accumulate is {plan["accumulate"]}. Remove the file.')
  return plan['accumulate']


def expected_speed(width: int) -> float:
  """Measures the default device; returns the FLOP/s that a network of this width may reach."""
  return cost.matmul_peak() * (_SHARE_NARROW if width < _NARROW else _SHARE_WIDE)
