"""What a run spends, in closed form: tokens, FLOPs and
predictions; and how many steps a budget buys.

Cells of the grid differ in what a token costs and in how many predictions it yields, so "the same
steps", "the same FLOPs" and "the same predictions" are three experiments.
"""

from configs.schema import check, grid
from models.config import ModelConfig
from models.masks import KINDS
from objectives.corrupt import Masking
from objectives.mix import heads_of, module_of
from training import cost

_MANY = 1_000_000  # steps, over which the shares of stages and phases come out as written


def spending(config) -> dict[str, float]:
  """Of the whole run, rows taken as full: tokens (positions),
  flops (forward and backward), predictions.
  """
  total = dict(tokens=0.0, flops=0.0, predictions=0.0)
  for first, end, T, shares in stretches(config):
    for share in shares:
      rows = (end - first) * config.batch_size * share.share / share.period
      total['tokens'] += rows * T
      total['flops'] += rows * T * flops_per_token(config, share.cell, T)
      total['predictions'] += rows * _predictions(
        config, share.cell, T, (first + end) / 2 / config.steps
      )
  return total


def flops_per_token(config, cell: grid.Cell, T: int) -> float:
  """Training FLOPs of a position of a row of T tokens, read and scored by a cell."""
  return cost.flops_per_token(
    ModelConfig(**config.model.to_dict()),
    heads_of(cell.names),
    T,
    Masking(**config.mlm.to_dict()).predictions(T),
  )


def mean_flops_per_token(config, T: int) -> float:
  """The same over the steps whose rows have T tokens, in whichever cells they are read."""
  costs = [
    ((end - first) * share.share / share.period, flops_per_token(config, share.cell, T))
    for first, end, length, shares in stretches(config)
    if length == T
    for share in shares
  ]
  return sum(weight * each for weight, each in costs) / max(1, sum(weight for weight, _ in costs))


def stretches(config) -> list[tuple[int, int, int, tuple[grid.BatchShare, ...]]]:
  """(first step, end, T, shares) of each stretch of steps in which nothing of them changes."""
  found = []
  phases = grid.phases(config)
  for (start, T), stop in zip(phases, [start for start, _ in phases[1:]] + [config.steps]):
    for stage in grid.stages(config):
      first, end = max(start, stage.first), min(stop, stage.end)
      if first < end:
        found.append((first, end, T, stage.shares))
  return found


def settle(config):
  """The config with the `steps` that its budget buys,
  checked; the same one where the budget is steps.

  Raises:
    ConfigError: the budget buys no run that makes sense.
  """
  if config.budget == 'steps':
    return config
  many = config.copy_and_resolve_references()
  many.steps = _MANY
  settled = config.copy_and_resolve_references()
  settled.steps = max(1, round(config.budget_amount * _MANY / spending(many)[config.budget]))
  check.check(settled)
  return settled.lock()


def _predictions(config, cell: grid.Cell, T: int, progress: float) -> float:
  """Of a full row: tokens that are predicted; answers about sentences are not counted."""
  masking = Masking(**config.mlm.to_dict())
  prefix = KINDS[cell.mask].prefix
  modules = map(module_of, cell.names)
  return sum(module.predictions(T, masking, progress, prefix=prefix) for module in modules)
