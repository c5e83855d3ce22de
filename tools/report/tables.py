"""A sweep as tables: one for each value, with means over seeds, paired differences and effects."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np
from scipy import stats

from runtime.errors import StateError
from tools.report import anova
from tools.report.anova import Effects, Mean
from tools.report.results import Finished, Sweep
from tools.sweep.runs import short

_UNITS = {
  'loss': 'nats a prediction',
  'accuracy': 'share of predictions',
  'perplexity': 'perplexity',
  'bits_per_byte': 'bits a byte of text',
}
_ASKS = {'objectives'}  # fields that change what the loss is a loss of
Cells = dict[tuple[str, str], Mean]


@dataclasses.dataclass(frozen=True)
class Value:
  """A number that runs are compared by.

  Attributes:
    side: 'understanding' or 'generation' where it is an evaluation of one of them.
    one_question: every run was asked the same, whatever its objective: numbers compare across the
      whole table.
    scores: {score: in words}, where runs were not all scored alike.
  """

  name: str
  unit: str
  higher_is_better: bool
  side: str | None
  one_question: bool
  scores: dict[str, str] = dataclasses.field(default_factory=dict)

  def of(self, run: Finished) -> float | None:
    found = (
      run.evaluations[self.name]['value']
      if self.name in run.evaluations
      else run.validation.get(self.name)
    )
    return None if found is None else float(found)

  @property
  def title(self) -> str:
    kind, _, task = self.name.partition('_')
    if kind in ('probe', 'finetune') and task:
      return f'{dict(probe="Probe", finetune="Fine-tuning")[kind]} on {task.upper()}'
    return dict(loss='Validation loss', bits_per_byte='Bits per byte', blimp='BLiMP').get(
      self.name, self.name.replace('_', ' ')
    )

  @property
  def better(self) -> str:
    return 'higher' if self.higher_is_better else 'lower'


@dataclasses.dataclass(frozen=True)
class Table:
  """One value of a sweep.

  Attributes:
    scores: how the runs of a cell were scored, where that is not the same everywhere.
    down, across: whether its cells compare within a column, within a row.
    effects: of the axes, on each largest part of the table that is complete.
    silence: why there are none.
    asked: what validation asked of a cell, where losses of a column are of different questions.
  """

  value: Value
  rows: list[str]
  columns: list[str]
  cells: Cells
  scores: dict[tuple[str, str], str]
  down: bool
  across: bool
  differences: list[dict[str, Any]]
  effects: list[Effects]
  silence: str
  asked: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)

  def best(self, column: str) -> tuple[str | None, bool]:
    """(the row with the best mean of a column, whether it beats every
    other row: p < 0.05 after Holm's correction).
    """
    there = [row for row in self.rows if (row, column) in self.cells]
    if not self.down or len(there) < 2 or len({self.asked.get((row, column)) for row in there}) > 1:
      return None, False
    sign = -1 if self.value.higher_is_better else 1
    if len({self.cells[one, column].mean for one in there}) == 1:
      return None, False
    row = min(there, key=lambda row: sign * self.cells[row, column].mean)
    beaten = [
      one
      for one in self.differences
      if one['column'] == column and row in one['rows'] and one['p_holm'] < 0.05
    ]
    return row, len(beaten) == len(there) - 1


def axis(sweep: Sweep, side: str) -> list[str]:
  """The fields whose values make the table's 'rows' or 'columns'; a table may have no columns."""
  names = sweep.table.get(side) or ()
  return [names] if isinstance(names, str) else list(names)


def label(sweep: Sweep, run: Finished, side: str) -> str:
  """The row or column that a run stands in."""
  return ', '.join(short(run.changes.get(name)) for name in axis(sweep, side))


def labels(sweep: Sweep, side: str) -> list[str]:
  return list(dict.fromkeys(label(sweep, run, side) for run in sweep.runs))


def values(sweep: Sweep) -> tuple[list[Value], list[str]]:
  """What the table asks for, or else its value and every
  evaluation there is; and the names that no run has.
  """
  there = sorted({name for run in sweep.runs for name in run.evaluations})
  names = list(dict.fromkeys([sweep.table['value'], *sweep.table.get('also', there)]))
  found = [value for name in names if (value := value_of(sweep, name))] or [value_of(sweep, 'loss')]
  return found, [name for name in names if name not in {value.name for value in found}]


def value_of(sweep: Sweep, name: str) -> Value | None:
  for run in sweep.runs:
    if name in run.evaluations:
      entries = [one.evaluations[name] for one in sweep.runs if name in one.evaluations]
      entry = entries[0]
      scores = {
        one['score']: one.get('unit', '').partition(';')[2].strip()
        for one in entries
        if 'score' in one
      }
      unit = entry.get('unit', '')
      return Value(
        name,
        unit.partition(';')[0] if len(scores) > 1 else unit,
        entry.get('higher_is_better', True),
        entry.get('side'),
        True,
        scores if len(scores) > 1 else {},
      )
    if isinstance(run.validation.get(name), int | float):
      unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), '')
      return Value(
        name,
        unit,
        name.endswith('accuracy'),
        'generation' if name == 'bits_per_byte' else None,
        name != 'loss',
      )
  return None


def pivot(sweep: Sweep, value: Value) -> Cells:
  """{(row, column): mean over seeds}.

  Raises:
    StateError: two runs of one seed stand in one cell, so
      the table leaves out what tells them apart.
  """
  cells: dict[tuple[str, str], dict[int, float]] = {}
  stood: dict[tuple, Finished] = {}
  for run in sorted(sweep.runs, key=lambda run: run.seed):
    place = label(sweep, run, 'rows'), label(sweep, run, 'columns')
    if other := stood.get((*place, run.seed)):
      apart = sorted(
        name for name in sweep.axes if run.changes.get(name) != other.changes.get(name)
      )
      raise StateError(
        f'{other.folder} and {run.folder} stand in one cell of the table with one seed: name '
        f'{", ".join(apart)} in the rows or columns of TABLE.'
      )
    stood[(*place, run.seed)] = run
    if (number := value.of(run)) is not None:
      cells.setdefault(place, {})[run.seed] = number
  return {place: Mean(tuple(found.values()), tuple(found)) for place, found in cells.items()}


def tables(sweep: Sweep) -> list[Table]:
  """One for each value that a run has."""
  rows, columns = labels(sweep, 'rows'), labels(sweep, 'columns')
  made = []
  for value in values(sweep)[0]:
    cells = pivot(sweep, value)
    down, across = (
      value.one_question or not {*axis(sweep, side)} & _ASKS for side in ('rows', 'columns')
    )
    found, silence = [], _silence(sweep, value, down and across, rows, columns)
    if not silence:
      found = anova.decompose(rows, columns, cells)
      silence = (
        ''
        if found
        else (
          'No two rows and two columns are complete, with two seeds or more in each cell: nothing '
          'to decompose.'
        )
      )
    scores = {
      (label(sweep, run, 'rows'), label(sweep, run, 'columns')): run.evaluations[value.name][
        'score'
      ]
      for run in sweep.runs
      if value.scores and 'score' in run.evaluations.get(value.name, {})
    }
    asked = {} if value.one_question else _questions(sweep)
    if apart := [
      column for column in columns if len({asked.get((row, column)) for row in rows} - {None}) > 1
    ]:
      silence += (
        f' In {", ".join(apart)} not all rows are asked the same either: behind a prefix fewer '
        'tokens are predicted. Their losses are not compared.'
      )
    made.append(
      Table(
        value,
        rows,
        columns,
        cells,
        scores,
        down,
        across,
        differences(rows, columns, cells, asked) if down else [],
        found,
        silence.strip(),
        asked,
      )
    )
  return made


def _questions(sweep: Sweep) -> dict[tuple[str, str], str]:
  """What clm was spared in a cell: the prefixes of validation, in its
  first seed. Elsewhere '', all are asked alike.
  """
  return {
    (label(sweep, run, 'rows'), label(sweep, run, 'columns')): run.certificate.get(
      'validation_masks_sha256', ''
    )
    if 'clm_loss' in run.validation
    else ''
    for run in sorted(sweep.runs, key=lambda run: -run.seed)
  }


def _silence(
  sweep: Sweep, value: Value, comparable: bool, rows: Sequence[str], columns: Sequence[str]
) -> str:
  """Why there can be no decomposition of a value."""
  if len(rows) < 2 or len(columns) < 2:
    return 'The table has one axis, so there is nothing to decompose.'
  if not comparable:
    return (
      'Each objective asks its own question, and its loss is in nats of that question. A '
      'difference between the losses of two objectives is no effect, so it is not decomposed. An '
      'evaluation is, for it asks every run the same.'
    )
  return ''


def differences(
  rows: Sequence[str], columns: Sequence[str], cells: Cells, asked: dict[tuple[str, str], str]
) -> list[dict[str, Any]]:
  """Every pair of rows in every column, over the seeds that both have.

  Each: mean difference, half of its 95% interval, p of a paired
    t-test, and p after Holm's correction for all of them.
  """
  found = []
  for column in columns:
    there = [row for row in rows if (row, column) in cells]
    for index, one in enumerate(there):
      for other in there[index + 1 :]:
        if asked.get((one, column)) != asked.get((other, column)):
          continue
        a, b = cells[one, column].by_seed, cells[other, column].by_seed
        seeds = sorted(a.keys() & b.keys())
        if len(seeds) > 1:
          mean = Mean(tuple(a[seed] - b[seed] for seed in seeds), tuple(seeds))
          p = (
            float(stats.ttest_1samp(mean.values, 0).pvalue)
            if np.ptp(mean.values)
            else float(mean.mean == 0)
          )
          found.append(
            dict(
              column=column,
              rows=(one, other),
              difference=mean.mean,
              half=mean.half,
              p=p,
              seeds=len(seeds),
            )
          )
  for one, corrected in zip(found, holm([one['p'] for one in found])):
    one['p_holm'] = corrected
  return found


def holm(p: Sequence[float]) -> list[float]:
  """Each p corrected for the number of tests (Holm 1979)."""
  order = sorted(range(len(p)), key=lambda index: p[index])
  steps = np.maximum.accumulate(
    [min(1.0, p[index] * (len(p) - rank)) for rank, index in enumerate(order)]
  )
  return [float(steps[order.index(index)]) for index in range(len(p))]
