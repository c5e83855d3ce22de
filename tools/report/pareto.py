"""Understanding against generation: one point a run, and the runs that no other beats in both."""

import dataclasses

import numpy as np

from tools.report.results import Finished, Sweep
from tools.report.tables import Value, value_of

SIDES = ('understanding', 'generation')


@dataclasses.dataclass(frozen=True)
class Axis:
  """One side of the plane.

  Attributes:
    numbers: {folder of a run: number}, of the runs that have every one of `values`.
    absent: {folder: names without a number}, of the others.
  """

  side: str
  values: list[Value]
  numbers: dict[str, float]
  absent: dict[str, list[str]]

  @property
  def higher_is_better(self) -> bool:
    return len(self.values) != 1 or self.values[0].higher_is_better

  @property
  def title(self) -> str:
    """What the axis shows, with its unit."""
    if len(self.values) == 1:
      return f'{self.values[0].title} ({self.values[0].unit})'
    return f'mean z-score of {", ".join(value.title for value in self.values)}'


@dataclasses.dataclass(frozen=True)
class Plane:
  """Attributes: points are the runs with a number on both sides;
  front those that no other beats, best x first.
  """

  x: Axis
  y: Axis
  points: list[Finished]
  front: list[Finished]


def plane(sweep: Sweep) -> Plane | None:
  """Of the evaluations that say which side they are on, or that TABLE's
  plane=dict(understanding=..., ...) names.

  Where no evaluation is of generation, bits a byte of the validation
  text stands for it. None if a side has nothing.
  """
  x, y = (_axis(sweep, side) for side in SIDES)
  if not x or not y:
    return None
  points = [run for run in sweep.runs if run.folder in x.numbers and run.folder in y.numbers]
  front = [run for run in points if not any(_beats(other, run, x, y) for other in points)]
  sign = 1 if x.higher_is_better else -1
  return Plane(x, y, points, sorted(front, key=lambda run: -sign * x.numbers[run.folder]))


def _axis(sweep: Sweep, side: str) -> Axis | None:
  names = sweep.table.get('plane', {}).get(side)
  if names is None:
    names = sorted(
      {
        name
        for run in sweep.runs
        for name, entry in run.evaluations.items()
        if entry.get('side') == side
      }
    )
    if not names and side == 'generation':
      names = ['bits_per_byte']
  values = [value for name in names if (value := value_of(sweep, name))]
  if not values:
    return None
  absent = {
    run.folder: missing
    for run in sweep.runs
    if (missing := [value.name for value in values if value.of(run) is None])
  }
  runs = [run for run in sweep.runs if run.folder not in absent]
  table = np.array([[value.of(run) for value in values] for run in runs]).reshape(
    len(runs), len(values)
  )
  if len(values) > 1 and runs:
    signs = np.array([1 if value.higher_is_better else -1 for value in values])
    spread = table.std(0)
    # An evaluation that says the same of every run moves none of them.
    table = np.where(
      spread > 0, signs * (table - table.mean(0)) / np.where(spread > 0, spread, 1), 0.0
    )
  numbers = {run.folder: float(row.mean()) for run, row in zip(runs, table)}
  return Axis(side, values, numbers, absent)


def _beats(one: Finished, other: Finished, *axes: Axis) -> bool:
  """Whether a run is at least as good in both, and better in one."""
  gains = [
    (1 if axis.higher_is_better else -1) * (axis.numbers[one.folder] - axis.numbers[other.folder])
    for axis in axes
  ]
  return min(gains) >= 0 and max(gains) > 0
