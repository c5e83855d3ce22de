"""Differences between the rows of a table, paired by seed, with p values corrected by Holm."""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools

import numpy as np
from scipy import stats

from tools.report.anova import Cells, Mean


@dataclasses.dataclass(frozen=True)
class Difference:
  """A pair of rows in one column.

  Attributes:
    rows: (a, b).
    mean: of a - b over the seeds that both have.
    p: of the paired t-test.
    p_holm: the same, corrected for all differences of the table.
  """

  column: str
  rows: tuple[str, str]
  mean: Mean
  p: float
  p_holm: float

  @property
  def significant(self) -> bool:
    """At 5%, after the correction."""
    return self.p_holm < 0.05

  def as_json(self) -> dict:
    """As --json prints it; half is the half-width of the 95% interval."""
    return dict(
      column=self.column,
      rows=self.rows,
      difference=self.mean.mean,
      half=self.mean.half_width,
      p=self.p,
      seeds=len(self.mean.seeds),
      p_holm=self.p_holm,
    )


def paired_differences(
  rows: Sequence[str],
  columns: Sequence[str],
  cells: Cells,
  questions: Mapping[tuple[str, str], str],
) -> list[Difference]:
  """Every pair of rows in every column that have two seeds or more in common.

  Args:
    questions: {cell: which question validation asked}; cells with different ones are not compared.
  """
  pairs = []
  for column in columns:
    present = [row for row in rows if (row, column) in cells]
    for pair in itertools.combinations(present, 2):
      one, other = ((row, column) for row in pair)
      if questions.get(one) != questions.get(other):
        continue
      mean = _paired(cells[one], cells[other])
      if len(mean.seeds) > 1:
        pairs.append((column, pair, mean))
  p = [_p_of_zero(mean) for *_, mean in pairs]
  return [Difference(*pair, *both) for pair, both in zip(pairs, zip(p, holm(p)))]


def _paired(one: Mean, other: Mean) -> Mean:
  """The differences within each seed that both have."""
  a, b = one.by_seed, other.by_seed
  seeds = sorted(a.keys() & b.keys())
  return Mean(tuple(a[seed] - b[seed] for seed in seeds), tuple(seeds))


def _p_of_zero(mean: Mean) -> float:
  """p of a t-test against zero. Without any spread there is no test: 1 if all are zero, else 0."""
  if np.ptp(mean.values):
    return float(stats.ttest_1samp(mean.values, 0).pvalue)
  return float(mean.mean == 0)


def holm(p: Sequence[float]) -> list[float]:
  """Each p corrected for the number of tests (Holm 1979)."""
  order = sorted(range(len(p)), key=lambda index: p[index])
  scaled = [min(1.0, p[index] * (len(p) - rank)) for rank, index in enumerate(order)]
  corrected = np.maximum.accumulate(scaled)
  return [float(corrected[order.index(index)]) for index in range(len(p))]
