"""A sweep's report as one self-contained page, light and dark, every number linked to its runs."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from tools.report import figures, markup, words
from tools.report.pareto import Pareto
from tools.report.records import Sweep
from tools.report.run_list import run_section
from tools.report.tables import Table
from tools.report.value_section import value_section


def page(
  sweep: Sweep, tables: Sequence[Table], pareto: Pareto | None, directory: Path, out: Path
) -> str:
  """The page.

  Args:
    directory: of the sweep.
    out: the folder of the page, from which it links to the files of runs.
  """
  parts = [_title(sweep), _contents(tables, pareto)]
  parts += [f'<p class="gap">{escape(line)}</p>' for line in words.not_in_report(sweep)]
  for index, table in enumerate(tables):
    parts.append(value_section(sweep, table, first=index == 0))
  if pareto:
    parts.append(_pareto_section(sweep, pareto))
  parts.append(
    '<section id="curves"><h2>Learning curves</h2><p>Validation loss over training tokens; a line '
    'is a run, and leads to it. The untrained network, at 0, may lie above the figure.</p>'
    f'{figures.curves(sweep)}</section>'
  )
  parts.append(run_section(sweep, tables, directory, out))
  return markup.page(sweep.name, '\n'.join(parts))


def _title(sweep: Sweep) -> str:
  about = ''.join(f'<p class="about">{escape(part)}</p>' for part in sweep.about.split('\n\n'))
  counts = [
    _count(len(sweep.runs), 'run'),
    _count(len({sweep.cell(run) for run in sweep.runs}), 'cell'),
    _count(len({run.seed for run in sweep.runs}), 'seed'),
  ]
  return (
    f'<h1>{escape(sweep.name)}</h1>{about}\n'
    f'<p class="facts">{" · ".join(counts)} · what the table holds equal was '
    '<a href="#runs">found equal</a></p>'
  )


def _count(number: int, word: str) -> str:
  return f'{number} {word}' + ('s' if number != 1 else '')


def _contents(tables: Sequence[Table], pareto: Pareto | None) -> str:
  """Links to the sections of the page."""
  titles = {f'value-{table.value.name}': table.value.title for table in tables}
  if pareto:
    titles['plane'] = 'Understanding against generation'
  titles |= dict(curves='Curves', runs='Runs')
  links = [f'<a href="#{escape(name)}">{escape(title)}</a>' for name, title in titles.items()]
  return f'<nav>{"".join(links)}</nav>'


def _pareto_section(sweep: Sweep, pareto: Pareto) -> str:
  text = (
    'One point a run; up and right is better on both. Ringed runs are on the Pareto front: no '
    'other run is better in one and at least as good in the other. A point leads to its run.'
  )
  if any(len(axis.values) > 1 for axis in (pareto.x, pareto.y)):
    text += (
      ' Where a side has several evaluations, each is put on one scale (its mean over the runs is '
      '0, its deviation 1, more is better), and a point is their mean, so that none counts more '
      'for its unit.'
    )
  if pareto.points:
    figure = figures.pareto_front(sweep, pareto)
  else:
    figure = '<p class="gap">No run has a number on both sides.</p>'
  items = ''.join(f'<li>{escape(line)}</li>' for line in words.missing_cells(sweep, pareto))
  missing = f'<p>Not in the figure:</p><ul class="absent">{items}</ul>' if items else ''
  return (
    f'<section id="plane"><h2>Understanding against generation</h2><p>{escape(text)}</p>'
    f'{figure}{missing}</section>'
  )
