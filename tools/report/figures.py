"""The figures of a sweep's report: learning curves, the Pareto front, intervals of effects."""

from html import escape

from tools.report import svg
from tools.report.anova import Anova, Mean
from tools.report.pareto import Axis, Pareto
from tools.report.records import FinishedRun, Sweep

# The largest unit that is not above the longest curve is the unit of its axis.
_TOKEN_UNITS = {'billion': 1e9, 'million': 1e6, 'thousand': 1e3, '': 1}


def legend(names: list[str], marks: bool = False) -> str:
  """Names with their colours, or with their marks if `marks`."""
  items = ''
  for i, name in enumerate(names):
    if name:
      swatch = svg.swatch(i, 'currentColor') if marks else svg.swatch(0, svg.colour(i))
      items += f'<li>{swatch}{escape(name)}</li>'
  return f'<ul class="legend">{items}</ul>' if items else ''


def described(sweep: Sweep, run: FinishedRun) -> str:
  """A run by its row, its column and its seed."""
  return ' · '.join([*filter(None, sweep.cell(run)), f'seed {run.seed}'])


def curves(sweep: Sweep) -> str:
  """Validation loss over tokens: a panel for each column, a line for each run, linked to it."""
  panels: list[str] = []
  for column in sweep.labels('columns'):
    runs = [run for run in sweep.runs if sweep.label(run, 'columns') == column and run.curve]
    if runs:
      panels.append(_curve_panel(sweep, column, runs, number=len(panels)))
  return f'{legend(sweep.labels("rows"))}<div class="panels">{"".join(panels)}</div>'


def _curve_panel(sweep: Sweep, column: str, runs: list[FinishedRun], number: int) -> str:
  """The panel of a column; only the first one names its y axis."""
  most_tokens = max(tokens for run in runs for tokens, _ in run.curve)
  unit, unit_name = _token_unit(most_tokens)
  losses = []
  for run in runs:
    # The loss of an untrained network would flatten everything after it.
    trained = run.curve[1:] if len(run.curve) > 2 else run.curve
    losses += [loss for _, loss in trained]
  panel = svg.Panel((0, most_tokens / unit), svg.span(losses), width=340, height=270, left=50)
  rows = sweep.labels('rows')
  lines = []
  for run in runs:
    colour = svg.colour(rows.index(sweep.label(run, 'rows')))
    lines.append(_curve(sweep, run, panel, unit, colour))
  clip = f'clip-{number}'
  area = (
    f'<clipPath id="{clip}"><rect x="{panel.left - 3}" y="{panel.top}" '
    f'width="{panel.width - panel.left}" '
    f'height="{panel.height - panel.top - panel.bottom + 3}"/></clipPath>'
  )
  frame = panel.frame(unit_name, '' if number else 'nats', 4)
  body = f'{frame}{area}<g clip-path="url(#{clip})">{"".join(lines)}</g>'
  title = f'<h3>{escape(column)}</h3>' if column else ''
  return f'<div>{title}{panel.svg(body, f"validation loss over tokens, {column}")}</div>'


def _curve(sweep: Sweep, run: FinishedRun, panel: svg.Panel, unit: float, colour: str) -> str:
  points = [panel.to_pixels((tokens / unit, loss)) for tokens, loss in run.curve]
  dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in points]
  line = svg.line(points, colour, 'class="curve"')
  title = f'{escape(described(sweep, run))}: {run.curve[-1][1]:.4f}'
  return _link(run, title, line + ''.join(dots))


def _link(run: FinishedRun, title: str, drawing: str) -> str:
  """A drawing that leads to its run in the list of runs; `title` is escaped already."""
  return f'<a href="#run-{escape(run.folder)}"><title>{title}</title>{drawing}</a>'


def _token_unit(most_tokens: float) -> tuple[float, str]:
  for name, size in _TOKEN_UNITS.items():
    if most_tokens >= size:
      return size, f'{name} training tokens'.strip()
  return 1, 'training tokens'


def pareto_front(sweep: Sweep, pareto: Pareto) -> str:
  """A point for each run; up and right is better. Colour: row, shape: column, dashed: the front."""
  xs, ys = ([axis.numbers[run.folder] for run in pareto.points] for axis in (pareto.x, pareto.y))
  panel = svg.Panel(_range(pareto.x, xs), _range(pareto.y, ys), width=720, height=460, left=64)
  points = [_point(sweep, pareto, run, panel) for run in pareto.points]
  frame = panel.frame(*(f'{axis.side}: {axis.title} →' for axis in (pareto.x, pareto.y)))
  front = svg.line(_staircase(pareto, panel), 'currentColor', 'class="front"')
  figure = panel.svg(
    frame + front + ''.join(points), 'understanding against generation, a point a run'
  )
  rows, columns = legend(sweep.labels('rows')), legend(sweep.labels('columns'), marks=True)
  return f'<div class="legends">{rows}{columns}</div>{figure}'


def _position(pareto: Pareto, run: FinishedRun, panel: svg.Panel) -> tuple[float, float]:
  return panel.to_pixels((pareto.x.numbers[run.folder], pareto.y.numbers[run.folder]))


def _point(sweep: Sweep, pareto: Pareto, run: FinishedRun, panel: svg.Panel) -> str:
  x, y = _position(pareto, run, panel)
  row, column = sweep.cell(run)
  colour = svg.colour(sweep.labels('rows').index(row))
  shape = svg.mark(x, y, sweep.labels('columns').index(column), colour)
  numbers = [f'{axis.side} {axis.numbers[run.folder]:.4f}' for axis in (pareto.x, pareto.y)]
  title, ring = f'{described(sweep, run)}: {", ".join(numbers)}', ''
  if run in pareto.front:
    title += ', on the front'
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" class="ring"/>'
  return _link(run, escape(title), ring + shape)


def _staircase(pareto: Pareto, panel: svg.Panel) -> list[tuple[float, float]]:
  """The border of what the front dominates: to the left of and below each of its points."""
  corners = [_position(pareto, run, panel) for run in pareto.front]
  if not corners:
    return []
  steps = []
  below = panel.height - panel.bottom
  for x, y in corners:
    steps += [(x, below), (x, y)]
    below = y
  return [*steps, (panel.left, below)]


def _range(axis: Axis, numbers: list[float]) -> tuple[float, float]:
  """Better is up and right, so an axis where less is better runs the other way."""
  low, high = svg.span(numbers, 0.1)
  return (low, high) if axis.higher_is_better else (high, low)


def interval(mean: Mean, reach: float) -> str:
  """A point with its 95% interval, on a scale from -reach to reach with zero in the middle."""

  def x(value: float) -> float:
    return 100 + value / reach * 94

  half = mean.half_width or 0.0
  low, middle, high = x(mean.mean - half), x(mean.mean), x(mean.mean + half)
  return (
    '<svg class="interval" viewBox="0 0 200 18" width="200" height="18" aria-hidden="true">'
    '<line class="axis" x1="100" x2="100" y1="0" y2="18"/>'
    f'<line class="bar" x1="{low:.1f}" x2="{high:.1f}" y1="9" y2="9"/>'
    f'<circle cx="{middle:.1f}" cy="9" r="3.6"/></svg>'
  )


def reach(anova: Anova) -> float:
  """The largest distance from zero of any effect's interval."""
  effects = [
    *anova.row_effects.values(),
    *anova.column_effects.values(),
    *anova.interactions.values(),
  ]
  distances = [abs(effect.mean) + (effect.half_width or 0.0) for effect in effects]
  return max(distances, default=0.0) or 1.0


def variance(anova: Anova, names: dict[str, str]) -> str:
  """Shares of variance as one bar. `names`: {source: its name in this sweep}."""
  bars, shares = [], []
  for index, source in enumerate(anova.sources):
    name = escape(names[source.name])
    colour = svg.colour(index) if index < 3 else 'var(--line)'
    bars.append(
      f'<span style="flex:{max(source.share, 1e-4):.4f};background:{colour}" '
      f'title="{name}: {source.share:.1%}"></span>'
    )
    test = '' if source.p is None else f' (p {_p(source.p)})'
    shares.append(f'{name} {source.share:.0%}{test}')
  return f'<div class="shares">{"".join(bars)}</div><p>Of the variance: {", ".join(shares)}.</p>'


def _p(p: float) -> str:
  return '&lt; 0.001' if p < 0.001 else f'= {p:.3f}'
