"""What a two-way table says of its axes: main effects, interaction,
and shares of variance, paired within a seed.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools
import math

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Mean:
  """A mean over seeds; half: of its 95% interval by
  Student's t, nothing where there is one value.
  """

  values: tuple[float, ...]
  seeds: tuple[int, ...]

  @property
  def mean(self) -> float:
    return float(np.mean(self.values))

  @property
  def half(self) -> float | None:
    n = len(self.values)
    return (
      float(stats.t.ppf(0.975, n - 1) * np.std(self.values, ddof=1) / n**0.5) if n > 1 else None
    )

  @property
  def by_seed(self) -> dict[int, float]:
    return dict(zip(self.seeds, self.values))

  def __str__(self) -> str:
    return f'{self.mean:.4f}' + ('' if self.half is None else f' ± {self.half:.4f}')


@dataclasses.dataclass(frozen=True)
class Source:
  """A line of the analysis of variance.

  Attributes:
    share: of the sum of squares around the grand mean.
    p: of the F test against what is left within seeds; None where there is no test.
  """

  name: str
  freedom: int
  share: float
  p: float | None


@dataclasses.dataclass(frozen=True)
class Effects:
  """A complete part of a table, taken apart: cell = grand + row + column + interaction.

  Effects are deviations, so those of an axis sum to zero. Each is worked out within a seed, which
  has the same rows and initial parameters in every cell; means and intervals are over seeds.

  Attributes:
    left_out: cells of the table that are not in this part.
  """

  rows: list[str]
  columns: list[str]
  seeds: list[int]
  left_out: list[tuple[str, str]]
  grand: Mean
  by_row: dict[str, Mean]
  by_column: dict[str, Mean]
  by_cell: dict[tuple[str, str], Mean]
  sources: list[Source]


def decompose(
  rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Mean]
) -> list[Effects]:
  """The effects on each largest complete part with two rows, two columns and two seeds or more.

  There may be several: a table with one empty cell is
  complete without its row, and without its column.
  """
  parts = _largest(rows, columns, {place for place, mean in cells.items() if len(mean.seeds) > 1})
  found = [
    _decompose(list(part_rows), list(part_columns), rows, columns, cells)
    for part_rows, part_columns in parts
  ]
  return [one for one in found if one]


def _largest(
  rows, columns, there: set[tuple[str, str]]
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
  """Every choice of rows and columns without an empty cell that has as many cells as any other."""
  choices = []
  for count in range(2, len(rows) + 1):
    for some in itertools.combinations(rows, count):
      complete = tuple(column for column in columns if all((row, column) in there for row in some))
      if len(complete) > 1:
        choices.append((some, complete))
  size = max((len(some) * len(complete) for some, complete in choices), default=0)
  return [(some, complete) for some, complete in choices if len(some) * len(complete) == size]


def _decompose(some, complete, rows, columns, cells) -> Effects | None:
  seeds = sorted(
    set.intersection(*({*cells[row, column].seeds} for row in some for column in complete))
  )
  if len(seeds) < 2:
    return None
  # Dimensions: seed, row, column.
  number = np.array(
    [[[cells[row, column].by_seed[seed] for column in complete] for row in some] for seed in seeds]
  )
  grand = number.mean((1, 2), keepdims=True)
  row, column = number.mean(2, keepdims=True) - grand, number.mean(1, keepdims=True) - grand
  cell = number - grand - row - column
  over = lambda array: Mean(tuple(array.tolist()), tuple(seeds))
  left_out = [
    place
    for place in itertools.product(rows, columns)
    if not (place[0] in some and place[1] in complete)
  ]
  return Effects(
    some,
    complete,
    seeds,
    left_out,
    over(grand[:, 0, 0]),
    {name: over(row[:, y, 0]) for y, name in enumerate(some)},
    {name: over(column[:, 0, x]) for x, name in enumerate(complete)},
    {
      (one, other): over(cell[:, y, x])
      for y, one in enumerate(some)
      for x, other in enumerate(complete)
    },
    _variance(number, grand, row, column, cell),
  )


def _variance(number, grand, row, column, cell) -> list[Source]:
  """Two-way analysis of variance with seeds as blocks:
  everything that varies within a seed is tested.
  """
  S, R, C = number.shape
  squares = lambda array: float(np.sum(np.broadcast_to(array, number.shape) ** 2))
  mean = lambda array: array.mean(0, keepdims=True)
  parts = [
    ('rows', R - 1, squares(mean(row))),
    ('columns', C - 1, squares(mean(column))),
    ('interaction', (R - 1) * (C - 1), squares(mean(cell))),
  ]
  blocks = squares(grand - mean(grand))
  total = squares(number - mean(grand))
  left = max(0.0, total - blocks - math.fsum(size for *_, size in parts))
  freedom = (R * C - 1) * (S - 1)
  share = lambda size: size / total if total else 0.0
  sources = []
  for name, own, size in parts:
    # Below this the rest is rounding: numbers without noise have no test.
    p = (
      float(stats.f.sf((size / own) / (left / freedom), own, freedom))
      if left > 1e-12 * total
      else None
    )
    sources.append(Source(name, own, share(size), p))
  return [
    *sources,
    Source('seeds', S - 1, share(blocks), None),
    Source('rest', freedom, share(left), None),
  ]
