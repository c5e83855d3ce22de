"""A sweep's report in words: what the page and the Markdown say alike, and the Markdown itself."""

from collections.abc import Sequence
from typing import Any

from tools.report.anova import Effects
from tools.report.pareto import Plane
from tools.report.results import Finished, Sweep
from tools.report.tables import Table, axis, label, values
from tools.sweep.runs import short

FILES = ('result.json', 'certificate.json', 'evaluations.json', 'metrics.jsonl', 'curves.png')


def heading(table: Table) -> str:
  return table.value.title + (f', {table.value.unit}' if table.value.unit else '')


def explained(table: Table) -> str:
  """How to read a table."""
  seeds = sorted({len(mean.seeds) for mean in table.cells.values()})
  words = [f'{table.value.better.capitalize()} is better']
  words.append(
    'one seed'
    if seeds == [1]
    else f'mean of {" to ".join(map(str, sorted({seeds[0], seeds[-1]})))} seeds ± half of '
    'the 95% interval'
  )
  if not table.down:
    words.append('rows are different questions, so none is marked as the best')
  elif not table.across and len(table.columns) > 1:
    words.append('columns are different questions: compare down')
  if table.value.scores:
    words.append(
      'not every run was scored alike, which is part of what the axes do here: '
      + ', '.join(f'{score} = {meaning}' for score, meaning in table.value.scores.items())
    )
  gaps = f' No number: {", ".join(empty(table))}.' if empty(table) else ''
  return '; '.join(words) + '.' + gaps


def absent(sweep: Sweep) -> list[str]:
  """What the table asks for and what is not there."""
  lines = []
  if missing := values(sweep)[1]:
    lines.append(
      f'No run has a number for {", ".join(missing)}: python -m tools.sweep FILE --workdir=DIR '
      '--task_data=DIR asks for evaluations.'
    )
  if sweep.missing:
    lines.append(f'Not finished, so in no number here: {", ".join(sweep.missing)}.')
  return lines


def empty(table: Table) -> list[str]:
  """The cells of a table without a number, by name."""
  return [
    f'{row} + {column}'.strip(' +')
    for row in table.rows
    for column in table.columns
    if (row, column) not in table.cells
  ]


def part(table: Table, effects: Effects) -> str:
  """Which cells a decomposition is of."""
  words = (
    f'{" / ".join(effects.rows)} × {" / ".join(effects.columns)}, {len(effects.seeds)} seeds, '
    f'grand mean {effects.grand}.'
  )
  whole = [
    *(row for row in table.rows if row not in effects.rows),
    *(column for column in table.columns if column not in effects.columns),
  ]
  if whole:
    words += (
      f' Left out as a whole: {", ".join(whole)}, for every cell must be there, with two seeds or '
      f'more. No number: {", ".join(empty(table)) or "none"}.'
    )
  return words


def sources(sweep: Sweep) -> dict[str, str]:
  """The lines of an analysis of variance, as the sweep calls them."""
  return dict(
    rows=', '.join(axis(sweep, 'rows')),
    columns=', '.join(axis(sweep, 'columns')),
    interaction='interaction',
    seeds='seeds',
    rest='rest',
  )


def certificates(sweep: Sweep) -> tuple[dict[str, Any], list[str]]:
  """({field: value} that every run shares, the fields in which runs differ)."""
  first = sweep.runs[0].certificate
  shared = {
    name: value
    for name, value in first.items()
    if all(run.certificate.get(name) == value for run in sweep.runs)
  }
  return shared, [name for name in first if name not in shared]


def compact(value: Any) -> str:
  """A hash as its beginning, a number as it is read."""
  if isinstance(value, str):
    return value[:10]
  return f'{value:,}' if isinstance(value, int) else f'{value:.4g}'


def difference(one: dict[str, Any]) -> list[str]:
  return [signed(one['difference'], one['half']), f'{one["p"]:.3g}', f'{one["p_holm"]:.3g}']


def signed(difference: float, half: float) -> str:
  """With a minus as long as the plus."""
  return f'{difference:+.4f} ± {half:.4f}'.replace('-', '−')


def beside(sweep: Sweep, run: Finished) -> str:
  """What tells a run from others besides its place in the table."""
  placed = {*axis(sweep, 'rows'), *axis(sweep, 'columns')}
  return ' '.join(
    f'{name}={short(value)}'
    for name, value in run.changes.items()
    if name in sweep.axes and name not in placed
  )


def beyond(sweep: Sweep, plane: Plane) -> list[str]:
  """A line for each cell without a number on a side of the plane, with what is missing."""
  lines: dict[str, None] = {}
  for run in sweep.runs:
    missing = [
      f'{axis.side} ({", ".join(axis.absent[run.folder])})'
      for axis in (plane.x, plane.y)
      if run.folder in axis.absent
    ]
    if missing:
      place = ' + '.join(filter(None, (label(sweep, run, 'rows'), label(sweep, run, 'columns'))))
      lines[f'{place}: no number for {" and ".join(missing)}'] = None
  return list(lines)


def markdown(sweep: Sweep, tables: Sequence[Table], plane: Plane | None, folder: str) -> str:
  """The same facts as the page, without its figures.

  Args:
    folder: of the sweep, as seen from where this text will lie.
  """
  lines = [f'# {sweep.name}', '', sweep.about, '', *(f'{line}\n' for line in absent(sweep))]
  for table in tables:
    lines += [f'## {heading(table)}', '', explained(table), '']
    columns = [column or table.value.title for column in table.columns]
    lines += _table(
      [', '.join(axis(sweep, 'rows')), *columns],
      [[row, *(_cell(table, row, column) for column in table.columns)] for row in table.rows],
    )
    if table.differences:
      lines += ['', '### Differences within a column, paired by seed', '']
      lines += _table(
        ['column', 'rows', 'difference', 'p', 'p (Holm)'],
        [[one['column'], ' − '.join(one['rows']), *difference(one)] for one in table.differences],
      )
    for effects in table.effects:
      lines += ['', '### Effects', '', part(table, effects), '']
      lines += _table(
        ['effect of', 'level', 'effect'],
        [
          [
            name,
            ' + '.join(level) if isinstance(level, tuple) else level,
            signed(mean.mean, mean.half),
          ]
          for name, group in groups(sweep, effects)
          for level, mean in group.items()
        ],
      )
      names = sources(sweep)
      lines += [
        '',
        'Of the variance: '
        + ', '.join(
          f'{names[one.name]} {one.share:.1%}' + ('' if one.p is None else f' (p {one.p:.2g})')
          for one in effects.sources
        )
        + '.',
      ]
    if table.silence:
      lines += ['', table.silence]
    lines += ['']
  if plane:
    lines += [
      '## Understanding against generation',
      '',
      f'Understanding: {plane.x.title}; generation: {plane.y.title}.',
      '',
    ]
    lines += _table(
      ['run', 'where', 'understanding', 'generation', 'front'],
      [
        [
          run.folder,
          ' + '.join((label(sweep, run, 'rows'), label(sweep, run, 'columns'))),
          f'{plane.x.numbers[run.folder]:.4f}',
          f'{plane.y.numbers[run.folder]:.4f}',
          '✓' if run in plane.front else '',
        ]
        for run in plane.points
      ],
    )
    lines += ['', *(f'- {line}' for line in beyond(sweep, plane)), '']
  shared, apart = certificates(sweep)
  lines += [
    '## Runs and their certificates',
    '',
    'Equal in every run: '
    + ', '.join(f'{name} {compact(value)}' for name, value in shared.items())
    + '.',
    '',
  ]
  where = '' if folder == '.' else f'{folder}/'
  lines += _table(
    ['run', axis_names(sweep), 'value', *apart],
    [
      [
        f'[{run.folder}]({where}{run.folder})',
        ' · '.join(
          filter(
            None, (label(sweep, run, 'rows'), label(sweep, run, 'columns'), beside(sweep, run))
          )
        ),
        _number(tables[0].value.of(run)),
        *(compact(run.certificate[name]) for name in apart),
      ]
      for run in sweep.runs
    ],
  )
  return '\n'.join(lines) + '\n'


def _cell(table: Table, row: str, column: str) -> str:
  score = table.scores.get((row, column))
  return str(table.cells.get((row, column), '–')) + (f' ({score})' if score else '')


def groups(sweep: Sweep, effects: Effects) -> list[tuple[str, dict]]:
  """(name, {level: effect}) of both axes and of their interaction."""
  names = sources(sweep)
  return [
    (names['rows'], effects.by_row),
    (names['columns'], effects.by_column),
    ('interaction', effects.by_cell),
  ]


def axis_names(sweep: Sweep) -> str:
  return ' · '.join([*axis(sweep, 'rows'), *axis(sweep, 'columns')])


def _number(value: float | None) -> str:
  return '–' if value is None else f'{value:.4f}'


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
  row = lambda cells: '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'
  return [row(head), row(['---'] * len(head)), *(row(cells) for cells in body)]
