"""Two-way analysis of variance with seeds as blocks: main effects, interaction, shares of variance.

Source: Montgomery, Design and Analysis of Experiments, the randomized complete block design with
two factors. Axes of arrays: S seeds, R rows, C columns; 1 where an axis is averaged.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Mean:
  """A mean over seeds.

  Attributes:
    values: one for each of `seeds`.
  """

  values: tuple[float, ...]
  seeds: tuple[int, ...]

  @property
  def mean(self) -> float:
    return float(np.mean(self.values))

  @property
  def half_width(self) -> float | None:
    """Of the 95% confidence interval by Student's t; None for a single value."""
    n = len(self.values)
    if n < 2:
      return None
    return float(stats.t.ppf(0.975, n - 1) * np.std(self.values, ddof=1) / n**0.5)

  @property
  def by_seed(self) -> dict[int, float]:
    """{seed: value}."""
    return dict(zip(self.seeds, self.values))

  def __str__(self) -> str:
    interval = '' if self.half_width is None else f' ± {self.half_width:.4f}'
    return f'{self.mean:.4f}{interval}'


Cells = Mapping[tuple[str, str], Mean]  # {(row, column): mean over seeds}


@dataclasses.dataclass(frozen=True)
class Source:
  """A source of variance: a line of the table of an analysis of variance.

  Attributes:
    name: 'rows', 'columns', 'interaction', 'seeds' or 'rest', the residual within seeds.
    freedom: degrees of freedom.
    share: of the total sum of squares around the grand mean.
    p: of the F test against the residual; None where there is no test.
  """

  name: str
  freedom: int
  share: float
  p: float | None


@dataclasses.dataclass(frozen=True)
class Anova:
  """The analysis of a complete part of a table: cell = grand + row + column + interaction.

  Effects are deviations, so those of an axis sum to zero. They are computed within each seed, which
  has the same rows and the same initial parameters in every cell, then averaged over seeds.

  Attributes:
    rows, columns: the part of the table.
    seeds: those that every cell of the part has.
    left_out: the cells of the table that are not in the part.
    grand: the grand mean.
    row_effects, column_effects, interactions: {level: effect}.
    sources: of variance, 'rows' first and the residual last.
  """

  rows: list[str]
  columns: list[str]
  seeds: list[int]
  left_out: list[tuple[str, str]]
  grand: Mean
  row_effects: dict[str, Mean]
  column_effects: dict[str, Mean]
  interactions: dict[tuple[str, str], Mean]
  sources: list[Source]


class _Part(NamedTuple):
  """Rows and columns of a table such that no cell is empty."""

  rows: tuple[str, ...]
  columns: tuple[str, ...]

  @property
  def cells(self) -> list[tuple[str, str]]:
    return list(itertools.product(self.rows, self.columns))


def decompose(rows: Sequence[str], columns: Sequence[str], cells: Cells) -> list[Anova]:
  """Analyses each largest complete part with two rows, two columns and two seeds or more.

  There may be several parts: a table with one empty cell is complete without its row, and without
  its column. [] if no part is complete.
  """
  filled = {cell for cell, mean in cells.items() if len(mean.seeds) > 1}
  analysed = [
    _analyse(part, rows, columns, cells) for part in _largest_parts(rows, columns, filled)
  ]
  return [anova for anova in analysed if anova]


def _largest_parts(rows, columns, filled: set[tuple[str, str]]) -> list[_Part]:
  """Every complete part that has as many cells as any other."""
  parts = []
  for count in range(2, len(rows) + 1):
    for some in itertools.combinations(rows, count):
      complete = tuple(column for column in columns if _is_filled(some, column, filled))
      if len(complete) > 1:
        parts.append(_Part(some, complete))
  size = max((len(part.cells) for part in parts), default=0)
  return [part for part in parts if len(part.cells) == size]


def _is_filled(rows, column: str, filled: set[tuple[str, str]]) -> bool:
  return all((row, column) in filled for row in rows)


def _analyse(part: _Part, rows, columns, cells: Cells) -> Anova | None:
  """The analysis of a part of a table of these rows and columns; None without two common seeds."""
  seeds = sorted(set.intersection(*({*cells[cell].seeds} for cell in part.cells)))
  if len(seeds) < 2:
    return None
  value_SxRxC = _values(part, seeds, cells)
  grand_Sx1x1 = value_SxRxC.mean((1, 2), keepdims=True)
  row_SxRx1 = value_SxRxC.mean(2, keepdims=True) - grand_Sx1x1
  column_Sx1xC = value_SxRxC.mean(1, keepdims=True) - grand_Sx1x1
  interaction_SxRxC = value_SxRxC - grand_Sx1x1 - row_SxRx1 - column_Sx1xC

  def over_seeds(value_S) -> Mean:
    return Mean(tuple(value_S.tolist()), tuple(seeds))

  interactions = {}
  for r, row in enumerate(part.rows):
    for c, column in enumerate(part.columns):
      interactions[row, column] = over_seeds(interaction_SxRxC[:, r, c])
  return Anova(
    rows=list(part.rows),
    columns=list(part.columns),
    seeds=seeds,
    left_out=[cell for cell in itertools.product(rows, columns) if cell not in part.cells],
    grand=over_seeds(grand_Sx1x1[:, 0, 0]),
    row_effects={row: over_seeds(row_SxRx1[:, r, 0]) for r, row in enumerate(part.rows)},
    column_effects={
      column: over_seeds(column_Sx1xC[:, 0, c]) for c, column in enumerate(part.columns)
    },
    interactions=interactions,
    sources=_sources(value_SxRxC, grand_Sx1x1, row_SxRx1, column_Sx1xC, interaction_SxRxC),
  )


def _values(part: _Part, seeds: Sequence[int], cells: Cells) -> np.ndarray:
  """The numbers of a part as an array SxRxC."""
  value_SxRxC = np.empty((len(seeds), len(part.rows), len(part.columns)))
  for r, row in enumerate(part.rows):
    for c, column in enumerate(part.columns):
      by_seed = cells[row, column].by_seed
      value_SxRxC[:, r, c] = [by_seed[seed] for seed in seeds]
  return value_SxRxC


def _sources(value_SxRxC, grand_Sx1x1, row_SxRx1, column_Sx1xC, interaction_SxRxC) -> list[Source]:
  """Sums of squares and F tests. Seeds are blocks: what varies within a seed is tested."""
  S, R, C = value_SxRxC.shape

  def mean(effect):
    return effect.mean(0, keepdims=True)

  def squares(effect) -> float:
    return float(np.sum(np.broadcast_to(effect, value_SxRxC.shape) ** 2))

  # name: (degrees of freedom, sum of squares)
  tested = dict(
    rows=(R - 1, squares(mean(row_SxRx1))),
    columns=(C - 1, squares(mean(column_Sx1xC))),
    interaction=((R - 1) * (C - 1), squares(mean(interaction_SxRxC))),
  )
  blocks = squares(grand_Sx1x1 - mean(grand_Sx1x1))
  total = squares(value_SxRxC - mean(grand_Sx1x1))
  explained = math.fsum(size for _, size in tested.values())
  residual = max(0.0, total - blocks - explained)
  residual_freedom = (R * C - 1) * (S - 1)
  # Below this the residual is rounding: numbers without noise have no test.
  testable = residual > 1e-12 * total

  def share(size: float) -> float:
    return size / total if total else 0.0

  def p(freedom: int, size: float) -> float:
    f = (size / freedom) / (residual / residual_freedom)
    return float(stats.f.sf(f, freedom, residual_freedom))

  return [
    *(
      Source(name, freedom, share(size), p(freedom, size) if testable else None)
      for name, (freedom, size) in tested.items()
    ),
    Source('seeds', S - 1, share(blocks), None),
    Source('rest', residual_freedom, share(residual), None),
  ]
