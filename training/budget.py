"""The cost of a run in closed form (tokens, FLOPs, predictions), and the steps that a budget buys.

Mask x objective pairs (cells) differ in FLOPs per token and in predictions per token. So runs of
equal steps, of equal FLOPs and of equal predictions are three different experiments.
"""

from collections.abc import Callable

from configs.schema import check, grid
from models.config import ModelConfig
from models.masks import KINDS
from objectives.corrupt import Masking
from objectives.mix import heads_of, optional
from training import cost

_LONG_RUN = 1_000_000  # steps; so many that rounding a stage to whole steps does not matter


def spending(config, flops_of: Callable | None = None) -> dict[str, float]:
  """Returns the cost of the whole run, with every row counted as full.

  Args:
    flops_of: (config, cell, T) -> FLOPs per position; those of training, `flops_per_token`.

  Returns:
    {'tokens': positions, 'flops': forward and backward, 'predictions': predicted tokens}.
  """
  flops_of = flops_of or flops_per_token
  total = dict(tokens=0.0, flops=0.0, predictions=0.0)
  for first, end, T, shares in stretches(config):
    middle = (first + end) / 2 / config.steps  # a masking rate may fall over the steps
    for share in shares:
      rows = (end - first) * config.batch_size * share.share / share.period
      total['tokens'] += rows * T
      total['flops'] += rows * T * flops_of(config, share.cell, T)
      total['predictions'] += rows * _predictions(config, share.cell, T, middle)
  return total


def flops_per_token(config, cell: grid.Cell, T: int) -> float:
  """Returns the training FLOPs per position, for rows of T tokens under one cell."""
  return cost.flops_per_token(
    ModelConfig(**config.model.to_dict()),
    heads_of(cell.names),
    T,
    Masking(**config.mlm.to_dict()).predictions(T),
  )


def mean_flops_per_token(config, T: int, flops_of: Callable | None = None) -> float:
  """Returns the mean FLOPs per position over all steps whose rows have T tokens.

  Args:
    flops_of: as in `spending`.
  """
  flops_of, steps, flops = flops_of or flops_per_token, [], []
  for first, end, length, shares in stretches(config):
    if length != T:
      continue
    for share in shares:
      steps_of_cell = (end - first) * share.share / share.period
      steps.append(steps_of_cell)
      flops.append(steps_of_cell * flops_of(config, share.cell, T))
  return sum(flops) / max(1, sum(steps))


def stretches(config) -> list[tuple[int, int, int, tuple[grid.BatchShare, ...]]]:
  """Returns (first step, end, T, shares) of each stretch of steps with one T and one schedule."""
  found = []
  phases = grid.phases(config)
  ends = [start for start, _ in phases[1:]] + [config.steps]
  for (start, T), stop in zip(phases, ends):
    for stage in grid.stages(config):
      first, end = max(start, stage.first), min(stop, stage.end)
      if first < end:
        found.append((first, end, T, stage.shares))
  return found


def settle(config):
  """Returns the config with `steps` set to what its budget buys, checked and locked.

  With `budget='steps'` the config is returned as it is.

  Raises:
    ConfigError: the number of steps does not fit the rest of the config.
  """
  if config.budget == 'steps':
    return config
  long_run = config.copy_and_resolve_references()
  long_run.steps = _LONG_RUN
  settled = config.copy_and_resolve_references()
  cost_of_long_run = spending(long_run)[config.budget]
  settled.steps = max(1, round(config.budget_amount * _LONG_RUN / cost_of_long_run))
  check.check(settled)
  return settled.lock()


def _predictions(config, cell: grid.Cell, T: int, progress: float) -> float:
  """Returns the predicted tokens of a full row; sentence classifications (NSP, SOP) do not count.

  Args:
    progress: share of the steps that are done, 0 to 1.
  """
  masking = Masking(**config.mlm.to_dict())
  prefix = KINDS[cell.mask].prefix
  counts = filter(None, (optional(name, 'predictions') for name in cell.names))
  return sum(count(T, masking, progress, prefix=prefix) for count in counts)
