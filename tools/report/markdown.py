"""A sweep's report as Markdown: the same facts as the page, without its figures."""

from collections.abc import Sequence
import re
from typing import NamedTuple
from urllib.parse import quote

from tools.report import words
from tools.report.anova import Anova
from tools.report.pareto import Pareto
from tools.report.records import FinishedRun, Sweep
from tools.report.tables import Table

# what Markdown reads as more than a character; within a word an underscore is one
_SPECIAL = re.compile(r'[\\`*\[\]<>|~$&#]|(?<![^\W_])_|_(?![^\W_])')


def markdown(sweep: Sweep, tables: Sequence[Table], pareto: Pareto | None, folder: str) -> str:
  """The whole report.

  Args:
    folder: of the sweep, relative to the folder of the report; links to runs start with it.
  """
  lines = [f'# {escape(sweep.name)}', '', escape(sweep.about), '']
  lines += [f'{escape(line)}\n' for line in words.not_in_report(sweep)]
  for table in tables:
    lines += _value(sweep, table)
  if pareto:
    lines += _pareto(sweep, pareto)
  lines += _runs(sweep, tables[0], '' if folder == '.' else f'{folder}/')
  return '\n'.join(lines) + '\n'


def _value(sweep: Sweep, table: Table) -> list[str]:
  """The table of a value, its differences, its effects."""
  layout = table.layout
  lines = [f'## {escape(words.heading(table))}', '', escape(words.how_to_read(table)), '']
  head = [', '.join(sweep.fields('rows'))]
  head += [column or table.value.title for column in layout.columns]
  body = [[row, *(_cell(table, row, column) for column in layout.columns)] for row in layout.rows]
  lines += markdown_table(head, body)
  if table.differences:
    lines += ['', '### Differences within a column, paired by seed', '']
    lines += markdown_table(
      ['column', 'rows', 'difference', 'p', 'p (Holm)'],
      [[one.column, ' − '.join(one.rows), *words.difference(one)] for one in table.differences],
    )
  for anova in table.anova:
    lines += _effects(sweep, table, anova)
  if layout.why_no_anova:
    lines += ['', escape(layout.why_no_anova)]
  return [*lines, '']


def _cell(table: Table, row: str, column: str) -> str:
  score = table.layout.scores.get((row, column))
  mean = table.cells.get((row, column), '–')
  return f'{mean} ({score})' if score else str(mean)


def _effects(sweep: Sweep, table: Table, anova: Anova) -> list[str]:
  lines = ['', '### Effects', '', escape(words.analysed_part(table, anova)), '']
  lines += markdown_table(
    ['effect of', 'level', 'effect'],
    [[source, level, words.signed(mean)] for source, level, mean in words.effects(sweep, anova)],
  )
  names = words.source_names(sweep)
  shares = []
  for source in anova.sources:
    test = '' if source.p is None else f' (p {source.p:.2g})'
    shares.append(f'{names[source.name]} {source.share:.1%}{test}')
  return [*lines, '', escape(f'Of the variance: {", ".join(shares)}.')]


def _pareto(sweep: Sweep, pareto: Pareto) -> list[str]:
  lines = [
    '## Understanding against generation',
    '',
    escape(f'Understanding: {pareto.x.title}; generation: {pareto.y.title}.'),
    '',
  ]
  body = []
  for run in pareto.points:
    x, y = (axis.numbers[run.folder] for axis in (pareto.x, pareto.y))
    front = '✓' if run in pareto.front else ''
    body.append([run.folder, ' + '.join(sweep.cell(run)), f'{x:.4f}', f'{y:.4f}', front])
  lines += markdown_table(['run', 'where', 'understanding', 'generation', 'front'], body)
  return [*lines, '', *(f'- {escape(line)}' for line in words.missing_cells(sweep, pareto)), '']


def _runs(sweep: Sweep, first: Table, prefix: str) -> list[str]:
  """Every run with the value of the first table and what its certificate does not share."""
  shared, varying = words.shared_and_varying(sweep)
  facts = ', '.join(f'{name} {words.compact(value)}' for name, value in shared.items())
  lines = ['## Runs and their certificates', '', escape(f'Equal in every run: {facts}.'), '']
  body = []
  for run in sweep.runs:
    link = Link(run.folder, f'{prefix}{run.folder}')
    certificate = [words.compact(run.certificate[name]) for name in varying]
    body.append([link, _described(sweep, run), words.number(first.value.of(run)), *certificate])
  return lines + markdown_table(['run', words.axis_names(sweep), 'value', *varying], body)


def _described(sweep: Sweep, run: FinishedRun) -> str:
  parts = [*sweep.cell(run), words.other_changes(sweep, run)]
  return ' · '.join(filter(None, parts))


class Link(NamedTuple):
  """A cell of a table that leads to a file."""

  text: str
  to: str


def escape(text: str) -> str:
  """Words as Markdown that is read as these words: no emphasis, link, formula or HTML of them."""
  return _SPECIAL.sub(r'\\\g<0>', text)


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str | Link]]) -> list[str]:
  """The lines of a table of words and links."""
  return [_line(head), _line(['---'] * len(head)), *map(_line, body)]


def _line(cells: Sequence[str | Link]) -> str:
  return f'| {" | ".join(map(_cell_text, cells))} |'


def _cell_text(cell: str | Link) -> str:
  if isinstance(cell, Link):
    return f'[{escape(cell.text)}]({quote(cell.to, safe="/:")})'
  return escape(cell)
