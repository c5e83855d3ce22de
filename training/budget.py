"""What a run spends, in closed form: tokens, FLOPs and
predictions; and how many steps a budget buys.

Cells of the grid differ in what a token costs and in how many predictions it yields, so "the same
steps", "the same FLOPs" and "the same predictions" are three experiments.
"""

from configs.schema import check, grid
from models.config import ModelConfig
from objectives.corrupt import Masking
from objectives.mix import heads_of
from training import cost

_MANY = 1_000_000  # steps, over which the shares of stages and phases come out as written


def spending(config) -> dict[str, float]:
  """Of the whole run, rows taken as full: tokens (positions),
  flops (forward and backward), predictions.
  """
  total = dict(tokens=0.0, flops=0.0, predictions=0.0)
  for first, end, T, parts in stretches(config):
    for part in parts:
      rows = (end - first) * config.batch_size * part.share / part.period
      total['tokens'] += rows * T
      total['flops'] += rows * T * flops_per_token(config, part.cell, T)
      total['predictions'] += rows * _predictions(
        config, part.cell, T, (first + end) / 2 / config.steps
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
    ((end - first) * part.share / part.period, flops_per_token(config, part.cell, T))
    for first, end, length, parts in stretches(config)
    if length == T
    for part in parts
  ]
  return sum(weight * each for weight, each in costs) / max(1, sum(weight for weight, _ in costs))


def stretches(config) -> list[tuple[int, int, int, tuple[grid.Part, ...]]]:
  """(first step, end, T, parts) of each stretch of steps in which nothing of them changes."""
  found = []
  phases = phases_of(config)
  for (start, T), stop in zip(phases, [start for start, _ in phases[1:]] + [config.steps]):
    for stage in grid.stages(config):
      first, end = max(start, stage.first), min(stop, stage.end)
      if first < end:
        found.append((first, end, T, stage.parts))
  return found


def phases_of(config) -> tuple[tuple[int, int], ...]:
  """(first step, T) of each phase: BERT trains at a short length before the full one."""
  switch = round(config.data.short_share * config.steps) if config.data.short_length else 0
  full = (switch, config.data.sequence_length)
  return ((0, config.data.short_length), full) if switch else (full,)


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
  if 'clm' in cell.names:
    # a prefix has 0 to T - 1 tokens, each as often
    return (T - 1) * (0.5 + 1 / T if cell.mask == 'prefix' else 1.0)
  return float(
    {'mlm', 'mntp'} & {*cell.names} and round(Masking(**config.mlm.to_dict()).rate_at(progress) * T)
  )
