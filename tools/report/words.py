"""The sentences of a sweep's report, which the page and the Markdown share."""

from typing import Any

from tools.report.anova import Anova, Mean
from tools.report.differences import Difference
from tools.report.pareto import Pareto
from tools.report.records import FinishedRun, Sweep
from tools.report.tables import Table
from tools.report.values import names_without_number
from tools.sweep.runs import short


def heading(table: Table) -> str:
  """The title of a table's value, with its unit."""
  unit = table.value.unit
  return table.value.title + (f', {unit}' if unit else '')


def how_to_read(table: Table) -> str:
  """Which direction is better, how many seeds there are, and what must not be compared."""
  value, layout = table.value, table.layout
  parts = [f'{value.better.capitalize()} is better', _seeds(table)]
  if not layout.compare_rows:
    parts.append('rows are different questions, so none is marked as the best')
  elif not layout.compare_columns and len(layout.columns) > 1:
    parts.append('columns are different questions: compare down')
  if value.scores:
    meanings = ', '.join(f'{score} = {meaning}' for score, meaning in value.scores.items())
    parts.append(
      f'not every run was scored alike, which is part of what the axes do here: {meanings}'
    )
  empty = empty_cells(table)
  gaps = f' No number: {", ".join(empty)}.' if empty else ''
  return '; '.join(parts) + '.' + gaps


def _seeds(table: Table) -> str:
  counts = sorted({len(mean.seeds) for mean in table.cells.values()})
  if counts == [1]:
    return 'one seed'
  # A single count, or the lowest and the highest.
  ends = ' to '.join(map(str, sorted({counts[0], counts[-1]})))
  return f'mean of {ends} seeds ± half of the 95% interval'


def not_in_report(sweep: Sweep) -> list[str]:
  """Lines about what the sweep asks for and the report does not have."""
  lines = []
  if names := names_without_number(sweep):
    lines.append(
      f'No run has a number for {", ".join(names)}: python -m tools.sweep FILE --workdir=DIR '
      '--task_data=DIR asks for evaluations.'
    )
  if sweep.missing:
    lines.append(f'Not finished, so in no number here: {", ".join(sweep.missing)}.')
  return lines


def empty_cells(table: Table) -> list[str]:
  """The cells of a table without a number, as 'row + column'."""
  names = []
  for row in table.layout.rows:
    for column in table.layout.columns:
      if (row, column) not in table.cells:
        names.append(f'{row} + {column}'.strip(' +'))
  return names


def analysed_part(table: Table, anova: Anova) -> str:
  """Which cells an analysis of variance is of."""
  text = (
    f'{" / ".join(anova.rows)} × {" / ".join(anova.columns)}, {len(anova.seeds)} seeds, '
    f'grand mean {anova.grand}.'
  )
  left_out = [row for row in table.layout.rows if row not in anova.rows]
  left_out += [column for column in table.layout.columns if column not in anova.columns]
  if left_out:
    text += (
      f' Left out as a whole: {", ".join(left_out)}, for every cell must be there, with two seeds '
      f'or more. No number: {", ".join(empty_cells(table)) or "none"}.'
    )
  return text


def source_names(sweep: Sweep) -> dict[str, str]:
  """The sources of variance, where 'rows' and 'columns' are the sweep's config fields."""
  return dict(
    rows=', '.join(sweep.fields('rows')),
    columns=', '.join(sweep.fields('columns')),
    interaction='interaction',
    seeds='seeds',
    rest='rest',
  )


def effects(sweep: Sweep, anova: Anova) -> list[tuple[str, str, Mean]]:
  """(source, level, effect) of both axes and of their interaction."""
  names = source_names(sweep)
  found = [(names['rows'], level, mean) for level, mean in anova.row_effects.items()]
  found += [(names['columns'], level, mean) for level, mean in anova.column_effects.items()]
  for cell, mean in anova.interactions.items():
    found.append(('interaction', ' + '.join(cell), mean))
  return found


def shared_and_varying(sweep: Sweep) -> tuple[dict[str, Any], list[str]]:
  """({field of the certificates: value} that all runs share, the other fields)."""
  first, *others = [run.certificate for run in sweep.runs]
  shared = {}
  for name, value in first.items():
    if all(certificate.get(name) == value for certificate in others):
      shared[name] = value
  return shared, [name for name in first if name not in shared]


def compact(value: Any) -> str:
  """A hash as its first digits, a number in a readable form."""
  if isinstance(value, str):
    return value[:10]
  return f'{value:,}' if isinstance(value, int) else f'{value:.4g}'


def number(value: float | None) -> str:
  """With four decimals; a dash for what a run does not have."""
  return '–' if value is None else f'{value:.4f}'


def signed(mean: Mean) -> str:
  """A difference or an effect with its interval; the minus is as wide as the plus."""
  return f'{mean.mean:+.4f} ± {mean.half_width:.4f}'.replace('-', '−')


def difference(one: Difference) -> list[str]:
  """The three numbers of a difference: mean, p, p after Holm's correction."""
  return [signed(one.mean), f'{one.p:.3g}', f'{one.p_holm:.3g}']


def axis_names(sweep: Sweep) -> str:
  """The config fields of both axes."""
  return ' · '.join([*sweep.fields('rows'), *sweep.fields('columns')])


def other_changes(sweep: Sweep, run: FinishedRun) -> str:
  """The fields that vary in the sweep but are no axis of its table, as NAME=VALUE."""
  fields = sweep.varying - {*sweep.fields('rows'), *sweep.fields('columns')}
  return ' '.join(f'{name}={short(value)}' for name, value in run.changes.items() if name in fields)


def missing_cells(sweep: Sweep, pareto: Pareto) -> list[str]:
  """A line for each cell without a point, with the evaluations that it lacks."""
  lines: dict[str, None] = {}
  for run in sweep.runs:
    lacking = []
    for axis in (pareto.x, pareto.y):
      if run.folder in axis.missing:
        lacking.append(f'{axis.side} ({", ".join(axis.missing[run.folder])})')
    if lacking:
      cell = ' + '.join(filter(None, sweep.cell(run)))
      lines[f'{cell}: no number for {" and ".join(lacking)}'] = None
  return list(lines)
