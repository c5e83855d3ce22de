"""A sweep as tables: one for each value, with means over seeds, paired differences and effects."""

from collections.abc import Mapping
import dataclasses

from runtime.errors import StateError
from tools.report import anova
from tools.report.anova import Anova, Cells, Mean
from tools.report.differences import Difference, paired_differences
from tools.report.records import FinishedRun, Sweep
from tools.report.values import Value, values

# Config fields that change which question the loss is an answer to.
_QUESTION_FIELDS = {'objectives'}
_NO_COMPLETE_PART = (
  'No two rows and two columns are complete, with two seeds or more in each cell: nothing '
  'to decompose.'
)
_ONE_AXIS = 'The table has one axis, so there is nothing to decompose.'
_OWN_QUESTIONS = (
  'Each objective asks its own question, and its loss is in nats of that question. A '
  'difference between the losses of two objectives is no effect, so it is not decomposed. An '
  'evaluation is, for it asks every run the same.'
)


@dataclasses.dataclass(frozen=True)
class Layout:
  """How a table is laid out, and which of its cells compare.

  Attributes:
    rows, columns: labels, in order.
    compare_rows: the cells of a column answer one question.
    compare_columns: the cells of a row answer one question.
    questions: {cell: hash of the prefixes that validation did not ask clm about}; {} if the value
      asks every run the same.
    scores: {cell: kind of score}, if the runs were not all scored by one kind.
    why_no_anova: why some cells or all are not decomposed; '' if nothing is to be said.
  """

  rows: list[str]
  columns: list[str]
  compare_rows: bool
  compare_columns: bool
  questions: Mapping[tuple[str, str], str]
  scores: Mapping[tuple[str, str], str]
  why_no_anova: str


@dataclasses.dataclass(frozen=True)
class Table:
  """One value of a sweep.

  Attributes:
    anova: of each largest part of the table that is complete.
  """

  value: Value
  cells: Cells
  differences: list[Difference]
  anova: list[Anova]
  layout: Layout

  def best(self, column: str) -> tuple[str | None, bool]:
    """(the row with the best mean of a column, whether it beats every other row significantly).

    The row is None if the rows do not compare, are one, or are all equal.
    """
    layout = self.layout
    present = [row for row in layout.rows if (row, column) in self.cells]
    questions = {layout.questions.get((row, column)) for row in present}
    if not layout.compare_rows or len(present) < 2 or len(questions) > 1:
      return None, False
    means = {row: self.cells[row, column].mean for row in present}
    if len({*means.values()}) == 1:
      return None, False
    row = (max if self.value.higher_is_better else min)(means, key=means.get)
    beaten = [
      one
      for one in self.differences
      if one.column == column and row in one.rows and one.significant
    ]
    return row, len(beaten) == len(present) - 1


def tables(sweep: Sweep) -> list[Table]:
  """A table for each value that a run has.

  Raises:
    StateError: see `pivot`.
  """
  return [_table(sweep, value) for value in values(sweep)]


def _table(sweep: Sweep, value: Value) -> Table:
  cells = pivot(sweep, value)
  rows, columns = sweep.labels('rows'), sweep.labels('columns')
  compare_rows, compare_columns = (
    value.one_question or not _QUESTION_FIELDS & {*sweep.fields(side)}
    for side in ('rows', 'columns')
  )
  questions = {} if value.one_question else _questions(sweep)
  reason = ''
  if len(rows) < 2 or len(columns) < 2:
    reason = _ONE_AXIS
  elif not (compare_rows and compare_columns):
    reason = _OWN_QUESTIONS
  analyses = [] if reason else anova.decompose(rows, columns, cells)
  if not analyses and not reason:
    reason = _NO_COMPLETE_PART
  layout = Layout(
    rows=rows,
    columns=columns,
    compare_rows=compare_rows,
    compare_columns=compare_columns,
    questions=questions,
    scores=_scores(sweep, value),
    why_no_anova=(reason + _unlike_columns(rows, columns, questions)).strip(),
  )
  differences = paired_differences(rows, columns, cells, questions) if compare_rows else []
  return Table(value, cells, differences, analyses, layout)


def pivot(sweep: Sweep, value: Value) -> dict[tuple[str, str], Mean]:
  """{(row, column): mean over seeds}.

  Raises:
    StateError: a cell has two runs of one seed, so the rows and columns of the table leave out the
      field that tells them apart.
  """
  cells: dict[tuple[str, str], dict[int, float]] = {}
  taken: dict[tuple[tuple[str, str], int], FinishedRun] = {}
  for run in sorted(sweep.runs, key=lambda run: run.seed):
    cell = sweep.cell(run)
    if other := taken.get((cell, run.seed)):
      fields = sorted(
        name for name in sweep.varying if run.changes.get(name) != other.changes.get(name)
      )
      raise StateError(
        f'{other.folder} and {run.folder} stand in one cell of the table with one seed: name '
        f'{", ".join(fields)} in the rows or columns of TABLE.'
      )
    taken[cell, run.seed] = run
    number = value.of(run)
    if number is not None:
      cells.setdefault(cell, {})[run.seed] = number
  return {cell: Mean(tuple(found.values()), tuple(found)) for cell, found in cells.items()}


def _scores(sweep: Sweep, value: Value) -> dict[tuple[str, str], str]:
  if not value.scores:
    return {}
  scores = {}
  for run in sweep.runs:
    entry = run.evaluations.get(value.name, {})
    if 'score' in entry:
      scores[sweep.cell(run)] = entry['score']
  return scores


def _questions(sweep: Sweep) -> dict[tuple[str, str], str]:
  """{cell: hash of the prefixes of its validation}, by its first seed.

  Under a prefix mask clm does not predict the tokens of the prefix. '' for other objectives, which
  are all asked alike.
  """
  questions = {}
  for run in sorted(sweep.runs, key=lambda run: -run.seed):  # the first seed is written last
    masks = run.certificate.get('validation_masks_sha256', '')
    questions[sweep.cell(run)] = masks if 'clm_loss' in run.validation else ''
  return questions


def _unlike_columns(rows, columns, questions: Mapping[tuple[str, str], str]) -> str:
  """A sentence that names the columns whose rows are not all asked alike; '' if there are none."""
  unlike = []
  for column in columns:
    asked = {questions[row, column] for row in rows if (row, column) in questions}
    if len(asked) > 1:
      unlike.append(column)
  if not unlike:
    return ''
  return (
    f' In {", ".join(unlike)} not all rows are asked the same either: behind a prefix fewer '
    'tokens are predicted. Their losses are not compared.'
  )
