"""The figures of a report: learning curves, the plane of
both sides, intervals, shares of variance.
"""

from html import escape

from tools.report import svg
from tools.report.anova import Effects, Mean
from tools.report.pareto import Axis, Plane
from tools.report.results import Finished, Sweep
from tools.report.tables import label, labels


def legend(names: list[str], marks: bool = False) -> str:
  """Names with their colours, or with their marks."""
  items = ''
  for i, name in enumerate(names):
    if name:
      swatch = svg.swatch(i, 'currentColor') if marks else svg.swatch(0, svg.colour(i))
      items += f'<li>{swatch}{escape(name)}</li>'
  return f'<ul class="legend">{items}</ul>' if items else ''


def described(sweep: Sweep, run: Finished) -> str:
  """A run in words: where it stands, and its seed."""
  places = [label(sweep, run, side) for side in ('rows', 'columns')]
  return ' · '.join([*filter(None, places), f'seed {run.seed}'])


def curves(sweep: Sweep) -> str:
  """A panel a column: validation loss over tokens, a line a
  run, each linked to its row of the page.
  """
  rows, figures = labels(sweep, 'rows'), []
  for column in labels(sweep, 'columns'):
    runs = [run for run in sweep.runs if label(sweep, run, 'columns') == column and run.curve]
    if not runs:
      continue
    unit, name = _tokens(max(tokens for run in runs for tokens, _ in run.curve))
    # The loss of an untrained network would flatten everything after it.
    shown = [
      loss for run in runs for _, loss in (run.curve[1:] if len(run.curve) > 2 else run.curve)
    ]
    panel = svg.Panel(
      (0, max(tokens for run in runs for tokens, _ in run.curve) / unit),
      svg.span(shown),
      width=340,
      height=270,
      left=50,
    )
    lines = []
    for run in runs:
      points = [panel.place((tokens / unit, loss)) for tokens, loss in run.curve]
      paint = svg.colour(rows.index(label(sweep, run, 'rows')))
      dots = ''.join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{paint}"/>' for x, y in points
      )
      curve = svg.line(points, paint, 'class="curve"')
      lines.append(
        f'<a href="#run-{escape(run.folder)}"><title>{escape(described(sweep, run))}: '
        f'{run.curve[-1][1]:.4f}</title>{curve}{dots}</a>'
      )
    clip = f'clip-{len(figures)}'
    inside = (
      f'<clipPath id="{clip}"><rect x="{panel.left - 3}" y="{panel.top}" '
      f'width="{panel.width - panel.left}" '
      f'height="{panel.height - panel.top - panel.bottom + 3}"/></clipPath>'
    )
    inside += f'<g clip-path="url(#{clip})">{"".join(lines)}</g>'
    body = panel.frame(name, '' if figures else 'nats', 4) + inside
    title = f'<h3>{escape(column)}</h3>' if column else ''
    figures.append(f'<div>{title}{panel.svg(body, f"validation loss over tokens, {column}")}</div>')
  return f'{legend(rows)}<div class="panels">{"".join(figures)}</div>'


def _tokens(most: int) -> tuple[float, str]:
  return next(
    (size, f'{words} training tokens'.strip())
    for size, words in ((1e9, 'billion'), (1e6, 'million'), (1e3, 'thousand'), (1, ''))
    if most >= size or size == 1
  )


def plane(sweep: Sweep, found: Plane) -> str:
  """One point a run, up and right is better; colour: row,
  shape: column. The front is a dashed line.
  """
  rows, columns = labels(sweep, 'rows'), labels(sweep, 'columns')
  xs, ys = ([axis.numbers[run.folder] for run in found.points] for axis in (found.x, found.y))
  panel = svg.Panel(_range(found.x, xs), _range(found.y, ys), width=720, height=460, left=64)
  place = lambda run: panel.place((found.x.numbers[run.folder], found.y.numbers[run.folder]))
  corners = [place(run) for run in found.front]
  steps = []
  # what the front covers: to the left of and below each of its points
  for index, (x, y) in enumerate(corners):
    steps += (
      [(x, panel.height - panel.bottom)] if index == 0 else [(x, corners[index - 1][1])]
    ) + [(x, y)]
  if corners:
    steps.append((panel.left, corners[-1][1]))
  points = []
  for run in found.points:
    x, y = place(run)
    paint = svg.colour(rows.index(label(sweep, run, 'rows')))
    shape = svg.mark(x, y, columns.index(label(sweep, run, 'columns')), paint)
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" class="ring"/>' if run in found.front else ''
    words = (
      f'{described(sweep, run)}: {found.x.side} {found.x.numbers[run.folder]:.4f}, '
      f'{found.y.side} {found.y.numbers[run.folder]:.4f}'
      + (', on the front' if run in found.front else '')
    )
    points.append(
      f'<a href="#run-{escape(run.folder)}"><title>{escape(words)}</title>{ring}{shape}</a>'
    )
  frame = panel.frame(f'{found.x.side}: {found.x.title} →', f'{found.y.side}: {found.y.title} →')
  return f'<div class="legends">{legend(rows)}{legend(columns, marks=True)}</div>' + panel.svg(
    frame + svg.line(steps, 'currentColor', 'class="front"') + ''.join(points),
    'understanding against generation, a point a run',
  )


def _range(axis: Axis, numbers: list[float]) -> tuple[float, float]:
  """Better is up and right, so an axis where less is better runs the other way."""
  low, high = svg.span(numbers, 0.1)
  return (low, high) if axis.higher_is_better else (high, low)


def interval(mean: Mean, reach: float) -> str:
  """A point with its 95% interval, on a scale from -reach to reach with zero in the middle."""
  x = lambda value: 100 + value / reach * 94
  half = mean.half or 0.0
  return (
    '<svg class="interval" viewBox="0 0 200 18" width="200" height="18" aria-hidden="true"><line '
    'class="axis" x1="100" x2="100" y1="0" y2="18"/><line class="bar" '
    f'x1="{x(mean.mean - half):.1f}" x2="{x(mean.mean + half):.1f}" y1="9" y2="9"/><circle '
    f'cx="{x(mean.mean):.1f}" cy="9" r="3.6"/></svg>'
  )


def reach(effects: Effects) -> float:
  """How far from zero an interval of these effects goes."""
  every = [*effects.by_row.values(), *effects.by_column.values(), *effects.by_cell.values()]
  return max((abs(mean.mean) + (mean.half or 0.0) for mean in every), default=0.0) or 1.0


def variance(effects: Effects, names: dict[str, str]) -> str:
  """Shares of variance as one bar."""
  parts = []
  for index, source in enumerate(effects.sources):
    paint = svg.colour(index) if index < 3 else 'var(--line)'
    parts.append(
      f'<span style="flex:{max(source.share, 1e-4):.4f};background:{paint}" '
      f'title="{escape(names[source.name])}: {source.share:.1%}"></span>'
    )
  words = ', '.join(
    f'{escape(names[source.name])} {source.share:.0%}'
    + ('' if source.p is None else f' (p {_p(source.p)})')
    for source in effects.sources
  )
  return f'<div class="shares">{"".join(parts)}</div><p>Of the variance: {words}.</p>'


def _p(p: float) -> str:
  return '&lt; 0.001' if p < 0.001 else f'= {p:.3f}'
