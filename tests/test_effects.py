"""Main effects and interaction: numbers made by hand come out again,
and a table with a gap is taken apart as it is.
"""

import itertools

import numpy as np
import pytest

from tools.report import anova
from tools.report.anova import Mean

ROWS, COLUMNS, SEEDS = ['bidirectional', 'prefix', 'causal'], ['mlm', 'clm'], (0, 1, 2, 3)
ROW = dict(zip(ROWS, (3.0, -1.0, -2.0)))
COLUMN = dict(zip(COLUMNS, (0.5, -0.5)))
CELL = dict(zip(itertools.product(ROWS, COLUMNS), (0.2, -0.2, -0.3, 0.3, 0.1, -0.1)))
SHIFT = (0.0, 5.0, -4.0, 7.0)  # a seed is better or worse everywhere, so no effect of the axes


def cells(interaction=1.0, noise=0.0):
  draw = np.random.default_rng(0)
  return {
    (row, column): Mean(
      tuple(
        10
        + ROW[row]
        + COLUMN[column]
        + interaction * CELL[row, column]
        + SHIFT[seed]
        + noise * draw.normal()
        for seed in SEEDS
      ),
      SEEDS,
    )
    for row, column in itertools.product(ROWS, COLUMNS)
  }


def test_what_was_put_in_comes_out():
  [found] = anova.decompose(ROWS, COLUMNS, cells())
  assert (found.rows, found.columns, found.seeds, found.left_out) == (ROWS, COLUMNS, [*SEEDS], [])
  assert found.grand.mean == pytest.approx(12)
  for effect, put in (
    (found.row_effects, ROW),
    (found.column_effects, COLUMN),
    (found.interactions, CELL),
  ):
    assert {name: mean.mean for name, mean in effect.items()} == pytest.approx(put)
    # seeds differ, but what the axes do does not
    assert all(mean.half_width < 1e-12 for mean in effect.values())
  share = {source.name: source.share for source in found.sources}
  squares = dict(
    rows=2 * 4 * (9 + 1 + 4),
    columns=3 * 4 * 0.5,
    interaction=4 * 0.28,
    seeds=6 * sum((shift - 2) ** 2 for shift in SHIFT),
    rest=0.0,
  )
  assert share == pytest.approx(
    {name: size / sum(squares.values()) for name, size in squares.items()}, abs=1e-12
  )
  # without noise there is nothing to test against
  assert [source.p for source in found.sources] == [None] * 5


def test_an_additive_table_has_no_interaction():
  [found] = anova.decompose(ROWS, COLUMNS, cells(interaction=0.0))
  assert all(abs(mean.mean) < 1e-12 for mean in found.interactions.values())
  assert {name: mean.mean for name, mean in found.row_effects.items()} == pytest.approx(ROW)


def test_with_noise_the_intervals_are_those_of_student_and_f_finds_what_is_there():
  [found] = anova.decompose(ROWS, COLUMNS, cells(interaction=0.0, noise=0.1))
  table = cells(interaction=0.0, noise=0.1)
  number = np.array(
    [[[table[row, column].values[seed] for column in COLUMNS] for row in ROWS] for seed in SEEDS]
  )
  by_hand = number[:, 0].mean(1) - number.mean((1, 2))
  assert found.row_effects['bidirectional'].mean == pytest.approx(by_hand.mean())
  assert found.row_effects['bidirectional'].half_width == pytest.approx(
    3.182446 * by_hand.std(ddof=1) / 2, rel=1e-6
  )
  p = {source.name: source.p for source in found.sources}
  assert p['rows'] < 1e-9 and p['columns'] < 1e-6 and p['interaction'] > 0.05 and p['seeds'] is None
  assert sum(source.share for source in found.sources) == pytest.approx(1)
  assert [source.freedom for source in found.sources] == [2, 1, 2, 3, 15]


def test_a_table_with_a_gap_is_taken_apart_without_its_row_and_without_its_column():
  third = {(row, 'mntp'): Mean((1.0, 2.0), (0, 1)) for row in ROWS}
  gap = cells() | third
  del gap['bidirectional', 'clm']
  one, other = anova.decompose(ROWS, ['mlm', 'clm', 'mntp'], gap)
  assert (one.rows, one.columns) == (['prefix', 'causal'], ['mlm', 'clm', 'mntp'])
  assert (other.rows, other.columns) == (ROWS, ['mlm', 'mntp'])
  assert one.seeds == other.seeds == [0, 1]  # only what every cell has
  assert one.left_out == [
    ('bidirectional', 'mlm'),
    ('bidirectional', 'clm'),
    ('bidirectional', 'mntp'),
  ]
  assert ('bidirectional', 'clm') in other.left_out and len(other.left_out) == 3


def test_where_nothing_is_complete_there_is_nothing():
  diagonal = {
    place: mean
    for place, mean in cells().items()
    if place in (('prefix', 'mlm'), ('causal', 'clm'))
  }
  assert anova.decompose(ROWS, COLUMNS, diagonal) == []
  assert anova.decompose(ROWS, COLUMNS, {place: Mean((1.0,), (0,)) for place in cells()}) == []
  apart = {place: Mean((1.0, 2.0), (0, 1) if place[1] == 'mlm' else (2, 3)) for place in cells()}
  assert anova.decompose(ROWS, COLUMNS, apart) == []  # no seed that every cell has
