"""Understanding against generation: a point for each run, and the Pareto front."""

import dataclasses

import numpy as np

from tools.report.records import FinishedRun, Sweep
from tools.report.values import Value, value_of

SIDES = ('understanding', 'generation')


@dataclasses.dataclass(frozen=True)
class Axis:
  """One of the two sides.

  Attributes:
    numbers: {folder of a run: number}, of the runs that have every one of `values`.
    missing: {folder of a run: names without a number}, of the others.
  """

  side: str
  values: list[Value]
  numbers: dict[str, float]
  missing: dict[str, list[str]]

  @property
  def higher_is_better(self) -> bool:
    """A mean z-score is higher for better runs, whatever its values are."""
    return len(self.values) != 1 or self.values[0].higher_is_better

  @property
  def title(self) -> str:
    """What the axis shows, with its unit."""
    if len(self.values) == 1:
      return f'{self.values[0].title} ({self.values[0].unit})'
    return f'mean z-score of {", ".join(value.title for value in self.values)}'


@dataclasses.dataclass(frozen=True)
class Pareto:
  """Runs by two numbers.

  Attributes:
    x, y: understanding and generation.
    points: the runs with a number on both axes.
    front: those that no other run dominates, best x first.
  """

  x: Axis
  y: Axis
  points: list[FinishedRun]
  front: list[FinishedRun]


def pareto(sweep: Sweep) -> Pareto | None:
  """Compares the runs by the evaluations of each side; None if a side has none.

  An evaluation says which side it belongs to, unless TABLE's plane=dict(understanding=...,
  generation=...) names those to take. If no evaluation is of generation, bits per byte of the
  validation text takes its place.
  """
  x, y = (_axis(sweep, side) for side in SIDES)
  if not x or not y:
    return None
  points = [run for run in sweep.runs if run.folder in x.numbers and run.folder in y.numbers]
  front = [run for run in points if not any(_dominates(other, run, x, y) for other in points)]
  front.sort(key=lambda run: x.numbers[run.folder], reverse=x.higher_is_better)
  return Pareto(x, y, points, front)


def _axis(sweep: Sweep, side: str) -> Axis | None:
  found = [value_of(sweep, name) for name in _names(sweep, side)]
  values = [value for value in found if value]
  if not values:
    return None
  missing = {}
  for run in sweep.runs:
    if names := [value.name for value in values if value.of(run) is None]:
      missing[run.folder] = names
  runs = [run for run in sweep.runs if run.folder not in missing]
  number_RxV = np.zeros((len(runs), len(values)))
  for r, run in enumerate(runs):
    number_RxV[r] = [value.of(run) for value in values]
  if len(values) > 1 and runs:
    number_RxV = _z_scores(number_RxV, values)
  numbers = {run.folder: float(number_V.mean()) for run, number_V in zip(runs, number_RxV)}
  return Axis(side, values, numbers, missing)


def _names(sweep: Sweep, side: str) -> list[str]:
  """The names of the values of a side."""
  names = sweep.table.get('plane', {}).get(side)
  if names is not None:
    return names
  found = set()
  for run in sweep.runs:
    found |= {name for name, entry in run.evaluations.items() if entry.get('side') == side}
  if not found and side == 'generation':
    return ['bits_per_byte']
  return sorted(found)


def _z_scores(number_RxV: np.ndarray, values: list[Value]) -> np.ndarray:
  """Each value on one scale over the runs: mean 0, deviation 1, higher is better."""
  sign_V = np.array([1 if value.higher_is_better else -1 for value in values])
  spread_V = number_RxV.std(0)
  centred_RxV = sign_V * (number_RxV - number_RxV.mean(0))
  # A value that is the same for every run moves none of them.
  return np.where(spread_V > 0, centred_RxV / np.where(spread_V > 0, spread_V, 1), 0.0)


def _dominates(one: FinishedRun, other: FinishedRun, *axes: Axis) -> bool:
  """Whether a run is at least as good on both axes, and better on one."""
  gains = []
  for axis in axes:
    gain = axis.numbers[one.folder] - axis.numbers[other.folder]
    gains.append(gain if axis.higher_is_better else -gain)
  return min(gains) >= 0 and max(gains) > 0
