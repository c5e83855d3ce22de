"""A sweep's report as one self-contained page: no network, light
and dark, every number linked to its runs.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from runtime import storage
from tools.report import figures
from tools.report import markdown as text
from tools.report.anova import Effects
from tools.report.pareto import Plane
from tools.report.results import Finished, Sweep
from tools.report.tables import Table, axis, label, labels

_STYLE = Path(__file__).parent / 'report.css'


def page(
  sweep: Sweep, tables: Sequence[Table], plane: Plane | None, directory: Path, out: Path
) -> str:
  """The page.

  Args:
    directory: of the sweep.
    out: the folder in which the page will lie, from which it links to the files of runs.
  """
  seeds = len({run.seed for run in sweep.runs})
  cells = len({(label(sweep, run, 'rows'), label(sweep, run, 'columns')) for run in sweep.runs})
  count = lambda number, word: f'{number} {word}' + ('s' if number != 1 else '')
  about = ''.join(f'<p class="about">{escape(part)}</p>' for part in sweep.about.split('\n\n'))
  parts = [
    f'<h1>{escape(sweep.name)}</h1>{about}',
    f'<p class="facts">{count(len(sweep.runs), "run")} · {count(cells, "cell")} · '
    f'{count(seeds, "seed")} · what the table holds equal was <a href="#runs">found equal</a></p>',
  ]
  contents = {f'value-{table.value.name}': table.value.title for table in tables}
  contents |= ({'plane': 'Understanding against generation'} if plane else {}) | {
    'curves': 'Curves',
    'runs': 'Runs',
  }
  links = ''.join(f'<a href="#{escape(to)}">{escape(words)}</a>' for to, words in contents.items())
  parts.append(f'<nav>{links}</nav>')
  parts += [f'<p class="gap">{escape(line)}</p>' for line in text.absent(sweep)]
  for number, table in enumerate(tables):
    parts.append(_section(sweep, table, first=number == 0))
  if plane:
    parts.append(_plane(sweep, plane))
  parts.append(
    '<section id="curves"><h2>Learning curves</h2><p>Validation loss over training tokens; a line '
    'is a run, and leads to it. The untrained network, at 0, may lie above the figure.</p>'
    f'{figures.curves(sweep)}</section>'
  )
  parts.append(_runs(sweep, tables, directory, out))
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    f'<title>{escape(sweep.name)}</title><style>{_STYLE.read_text()}</style></head><body><main>'
    + '\n'.join(parts)
    + '</main></body></html>\n'
  )


def _section(sweep: Sweep, table: Table, *, first: bool) -> str:
  """A value: its table, what differs, and what the axes do."""
  head = [
    ', '.join(axis(sweep, 'rows')),
    *(column or table.value.title for column in table.columns),
  ]
  best = {column: table.best(column) for column in table.columns}
  marks = (
    ' The best mean of a column is framed, and filled where it beats every other row (p '
    'below 0.05).'
    if any(row for row, _ in best.values())
    else ''
  )
  most = max((len(mean.seeds) for mean in table.cells.values()), default=0)
  body = []
  for row in table.rows:
    line = [f'<th>{escape(row)}</th>']
    for column in table.columns:
      mean = table.cells.get((row, column))
      if mean is None:
        line.append('<td class="none">–</td>')
        continue
      few = f' <small>n={len(mean.seeds)}</small>' if len(mean.seeds) < most else ''
      half = '' if mean.half is None else f' <span class="half">± {mean.half:.4f}</span>'
      score = table.scores.get((row, column))
      few += f' <small>{escape(score)}</small>' if score else ''
      mark = (
        ''
        if best[column][0] != row
        else ' class="best sure"'
        if best[column][1]
        else ' class="best"'
      )
      line.append(
        f'<td{mark}><a href="#{_anchor(sweep, row, column)}">{mean.mean:.4f}{half}</a>{few}</td>'
      )
    body.append(line)
  parts = [
    f'<section id="value-{escape(table.value.name)}"><h2>{escape(text.heading(table))}</h2>'
    f'<p>{escape(text.explained(table))}{marks}</p>',
    _html(head, body),
  ]
  if table.differences:
    rows = [
      [
        f'<td>{escape(one["column"])}</td>',
        '<td>'
        + ' − '.join(
          f'<a href="#{_anchor(sweep, row, one["column"])}">{escape(row)}</a>'
          for row in one['rows']
        )
        + '</td>',
        *(
          f'<td class="{"sure" if one["p_holm"] < 0.05 else ""}">{escape(cell)}</td>'
          for cell in text.difference(one)
        ),
      ]
      for one in table.differences
    ]
    parts.append(
      f'<details{" open" if first else ""}><summary>Differences within a column</summary><p>Paired '
      'by seed: the same rows in the same order. 95% intervals, p of a paired t-test, and p after '
      f'Holm’s correction for all {len(rows)} of them; bold where that is below 0.05.</p>'
      + _html(['column', 'rows', 'difference', 'p', 'p (Holm)'], rows)
      + '</details>'
    )
  parts += [_effects(sweep, table, effects) for effects in table.effects]
  if table.silence:
    parts.append(f'<p class="gap">{escape(table.silence)}</p>')
  return ''.join(parts) + '</section>'


def _effects(sweep: Sweep, table: Table, effects: Effects) -> str:
  """Main effects and interaction, each with its interval, on one scale."""
  reach = figures.reach(effects)
  rows = []
  for name, group in text.groups(sweep, effects):
    title = f'effect of {name}' if name != 'interaction' else name
    for index, (level, mean) in enumerate(group.items()):
      words = ' + '.join(level) if isinstance(level, tuple) else level
      sure = abs(mean.mean) > (mean.half or 0.0)
      rows.append(
        [
          f'<td>{escape(title) if index == 0 else ""}</td><td>{escape(words)}</td>'
          f'<td class="{"sure" if sure else ""}">{text.signed(mean.mean, mean.half)}</td>'
          f'<td>{figures.interval(mean, reach)}</td>'
        ]
      )
  return (
    f'<div class="effects"><h3>What the axes do</h3><p>{escape(text.part(table, effects))} Effects '
    'are deviations from the grand mean, worked out within a seed; those of an axis sum to zero. '
    'Bold where the 95% interval over seeds leaves out zero.</p>'
    + _html(['', 'level', 'effect', ''], rows)
    + figures.variance(effects, text.sources(sweep))
    + '</div>'
  )


def _plane(sweep: Sweep, plane: Plane) -> str:
  several = any(len(axis.values) > 1 for axis in (plane.x, plane.y))
  words = (
    'One point a run; up and right is better on both. Ringed runs are on the Pareto front: no '
    'other run is better in one and at least as good in the other. A point leads to its run.'
  )
  if several:
    words += (
      ' Where a side has several evaluations, each is put on one scale (its mean over the runs is '
      '0, its deviation 1, more is better), and a point is their mean, so that none counts more '
      'for its unit.'
    )
  absent = ''.join(f'<li>{escape(line)}</li>' for line in text.beyond(sweep, plane))
  drawn = (
    figures.plane(sweep, plane)
    if plane.points
    else '<p class="gap">No run has a number on both sides.</p>'
  )
  return (
    f'<section id="plane"><h2>Understanding against generation</h2><p>{escape(words)}</p>{drawn}'
    + (f'<p>Not in the figure:</p><ul class="absent">{absent}</ul>' if absent else '')
    + '</section>'
  )


def _runs(sweep: Sweep, tables: Sequence[Table], directory: Path, out: Path) -> str:
  """Every run with its numbers, its certificate and its files; the runs of a cell are one group."""
  shared, apart = text.certificates(sweep)
  facts = ''.join(
    f'<div><dt>{escape(name)}</dt><dd '
    f'title="{escape(str(value))}">{escape(text.compact(value))}</dd></div>'
    for name, value in shared.items()
  )
  head = [
    'run',
    text.axis_names(sweep),
    'besides',
    *apart,
    *(table.value.title for table in tables),
  ]
  bodies = []
  for row in labels(sweep, 'rows'):
    for column in labels(sweep, 'columns'):
      runs = [
        run
        for run in sweep.runs
        if (label(sweep, run, 'rows'), label(sweep, run, 'columns')) == (row, column)
      ]
      if runs:
        lines = ''.join(_run(sweep, run, tables, apart, directory, out) for run in runs)
        bodies.append(f'<tbody id="{_anchor(sweep, row, column)}">{lines}</tbody>')
  origin = (
    'Each run wrote its certificate.'
    if sweep.certified
    else 'Worked out from the logs of the runs, for not every run wrote a certificate.'
  )
  return (
    f'<section id="runs"><h2>Runs and their certificates</h2><p>{origin} Within a seed, runs that '
    'no axis of this sweep tells apart were found to agree; where they do not, this page is '
    f'refused. Equal in every run:</p><dl>{facts}</dl><p>Different between runs, by seed or by an '
    'axis:</p><table '
    f'class="runs"><thead><tr>{"".join(f"<th>{escape(name)}</th>" for name in head)}</tr></thead>'
    f'{"".join(bodies)}</table></section>'
  )


def _run(
  sweep: Sweep, run: Finished, tables: Sequence[Table], apart: list[str], directory: Path, out: Path
) -> str:
  place = ' · '.join(filter(None, (label(sweep, run, 'rows'), label(sweep, run, 'columns'))))
  href = lambda name: quote(storage.link(directory / run.folder / name, out))
  there = [name for name in text.FILES if (directory / run.folder / name).is_file()]
  links = ' '.join(f'<a href="{href(name)}">{name.partition(".")[0]}</a>' for name in there)
  numbers = [table.value.of(run) for table in tables]
  hashes = ''.join(
    f'<td title="{escape(str(value))}"><code>{escape(text.compact(value))}</code></td>'
    for value in map(run.certificate.get, apart)
  )
  answers = ''.join(f'<td>{"–" if number is None else f"{number:.4f}"}</td>' for number in numbers)
  name = (
    f'<a href="{href("")}">{escape(run.folder)}</a>'
    if (directory / run.folder).is_dir()
    else escape(run.folder)
  )
  return (
    f'<tr id="run-{escape(run.folder)}"><td>{name}<div '
    f'class="files">{links}</div></td><td>{escape(place)}</td>'
    f'<td>{escape(text.beside(sweep, run))}</td>{hashes}{answers}</tr>'
  )


def _anchor(sweep: Sweep, row: str, column: str) -> str:
  return f'cell-{labels(sweep, "rows").index(row)}-{labels(sweep, "columns").index(column)}'


def _html(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
  """A table; cells of the body are HTML already."""
  return (
    '<table><thead><tr>'
    + ''.join(f'<th>{escape(name)}</th>' for name in head)
    + '</tr></thead><tbody>'
    + ''.join(f'<tr>{"".join(row)}</tr>' for row in body)
    + '</tbody></table>'
  )
