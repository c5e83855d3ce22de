"""The section of a report's page about one value: its table, its differences, its effects."""

from html import escape

from tools.report import figures, markup, words
from tools.report.anova import Anova, Mean
from tools.report.differences import Difference
from tools.report.records import Sweep
from tools.report.tables import Table


def value_section(sweep: Sweep, table: Table, *, first: bool) -> str:
  """The section as HTML; the first one of a page shows its differences unfolded."""
  best = {column: table.best(column) for column in table.layout.columns}
  marks = ''
  if any(row for row, _ in best.values()):
    marks = (
      ' The best mean of a column is framed, and filled where it beats every other row (p '
      'below 0.05).'
    )
  parts = [
    f'<section id="value-{escape(table.value.name)}"><h2>{escape(words.heading(table))}</h2>'
    f'<p>{escape(words.how_to_read(table))}{marks}</p>',
    _means(sweep, table, best),
  ]
  if table.differences:
    parts.append(_differences(sweep, table.differences, unfolded=first))
  parts += [_effects(sweep, table, anova) for anova in table.anova]
  if table.layout.why_no_anova:
    parts.append(f'<p class="gap">{escape(table.layout.why_no_anova)}</p>')
  return ''.join(parts) + '</section>'


def cell_anchor(sweep: Sweep, row: str, column: str) -> str:
  """The id of the runs of a cell in the list of runs."""
  return f'cell-{sweep.labels("rows").index(row)}-{sweep.labels("columns").index(column)}'


def _means(sweep: Sweep, table: Table, best: dict[str, tuple[str | None, bool]]) -> str:
  """The table of means; each links to the runs of its cell."""
  layout = table.layout
  most_seeds = max((len(mean.seeds) for mean in table.cells.values()), default=0)
  body = []
  for row in layout.rows:
    line = [f'<th>{escape(row)}</th>']
    for column in layout.columns:
      mean = table.cells.get((row, column))
      if mean is None:
        line.append('<td class="none">–</td>')
        continue
      notes = [f'n={len(mean.seeds)}'] if len(mean.seeds) < most_seeds else []
      if score := layout.scores.get((row, column)):
        notes.append(score)
      mark = _mark(row, best[column])
      link = f'<a href="#{cell_anchor(sweep, row, column)}">{_mean(mean)}</a>'
      line.append(f'<td{mark}>{link}{"".join(map(_note, notes))}</td>')
    body.append(line)
  head = [', '.join(sweep.fields('rows'))]
  head += [column or table.value.title for column in layout.columns]
  return markup.table(head, body)


def _mark(row: str, best: tuple[str | None, bool]) -> str:
  """The class of a cell: `best` is what `Table.best` says of its column."""
  best_row, significant = best
  if row != best_row:
    return ''
  return ' class="best sure"' if significant else ' class="best"'


def _mean(mean: Mean) -> str:
  if mean.half_width is None:
    return f'{mean.mean:.4f}'
  return f'{mean.mean:.4f} <span class="half">± {mean.half_width:.4f}</span>'


def _note(text: str) -> str:
  return f' <small>{escape(text)}</small>'


def _differences(sweep: Sweep, differences: list[Difference], *, unfolded: bool) -> str:
  body = []
  for one in differences:
    links = [
      f'<a href="#{cell_anchor(sweep, row, one.column)}">{escape(row)}</a>' for row in one.rows
    ]
    css = f' class="{"sure" if one.significant else ""}"'
    numbers = [markup.cell(text, css) for text in words.difference(one)]
    body.append([markup.cell(one.column), f'<td>{" − ".join(links)}</td>', *numbers])
  return (
    f'<details{" open" if unfolded else ""}><summary>Differences within a column</summary><p>'
    'Paired by seed: the same rows in the same order. 95% intervals, p of a paired t-test, and p '
    f'after Holm’s correction for all {len(body)} of them; bold where that is below 0.05.</p>'
    + markup.table(['column', 'rows', 'difference', 'p', 'p (Holm)'], body)
    + '</details>'
  )


def _effects(sweep: Sweep, table: Table, anova: Anova) -> str:
  """Main effects and interaction, each with its interval, on one scale."""
  reach = figures.reach(anova)
  body, previous = [], None
  for source, level, mean in words.effects(sweep, anova):
    title = source if source == 'interaction' else f'effect of {source}'
    # The interval leaves out zero.
    sure = abs(mean.mean) > (mean.half_width or 0.0)
    body.append(
      [
        markup.cell('' if source == previous else title),
        markup.cell(level),
        f'<td class="{"sure" if sure else ""}">{words.signed(mean)}</td>',
        f'<td>{figures.interval(mean, reach)}</td>',
      ]
    )
    previous = source
  return (
    '<div class="effects"><h3>What the axes do</h3>'
    f'<p>{escape(words.analysed_part(table, anova))} Effects '
    'are deviations from the grand mean, worked out within a seed; those of an axis sum to zero. '
    'Bold where the 95% interval over seeds leaves out zero.</p>'
    + markup.table(['', 'level', 'effect', ''], body)
    + figures.variance(anova, words.source_names(sweep))
    + '</div>'
  )
