"""Drawings as SVG text. Their colours are variables of the page, so they follow its light or dark
scheme, which matplotlib's cannot.
"""

from collections.abc import Sequence
import dataclasses
from html import escape
import math

COLOURS = 7  # --c0 to --c6 of page.html
# Paths of about 11 units around (0, 0): circle, square, two triangles, diamond, cross.
_MARKS = (
  'M-5,0 a5,5 0 1,0 10,0 a5,5 0 1,0 -10,0z',
  'M-4.5,-4.5 h9 v9 h-9z',
  'M0,-6 L5.6,4.4 H-5.6z',
  'M0,-6 L6,0 L0,6 L-6,0z',
  'M0,6 L5.6,-4.4 H-5.6z',
  'M-1.8,-5.5 h3.6 v3.7 h3.7 v3.6 h-3.7 v3.7 h-3.6 v-3.7 h-3.7 v-3.6 h3.7z',
)


def colour(index: int) -> str:
  """The colour of a category; colours repeat after `COLOURS`."""
  return f'var(--c{index % COLOURS})'


def mark(x: float, y: float, index: int, paint: str) -> str:
  """The shape of a category at a point, in pixels; shapes repeat, like colours."""
  return (
    f'<path d="{_MARKS[index % len(_MARKS)]}" transform="translate({x:.1f},{y:.1f}) scale(1.15)" '
    f'class="mark" fill="{paint}"/>'
  )


def swatch(index: int, paint: str) -> str:
  """A mark for a legend, as a drawing of its own."""
  return (
    '<svg class="swatch" viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true">'
    f'{mark(0, 0, index, paint)}</svg>'
  )


def line(points: Sequence[tuple[float, float]], paint: str, attributes: str = '') -> str:
  """Straight lines between points, in pixels. `attributes` are SVG, as in 'class="curve"'."""
  path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
  return f'<polyline points="{path}" fill="none" stroke="{paint}" {attributes}/>'


def ticks(low: float, high: float, about: int = 5) -> list[float]:
  """Round numbers from low to high, `about` so many: steps of 1, 2 or 5 times a power of ten."""
  if not high > low:
    return [low]
  wanted = (high - low) / about
  power = 10.0 ** math.floor(math.log10(wanted))
  step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(step - wanted))
  # The slack keeps a tick that lies on an end of the axis.
  first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
  return [round(index * step, 12) for index in range(first, last + 1)]


def number(value: float, ticks: Sequence[float]) -> str:
  """A tick with as many decimals as the ticks of its axis need."""
  step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(value) or 1.0
  decimals = max(0, -math.floor(math.log10(step) + 1e-9))
  return f'{value:.{decimals}f}'


@dataclasses.dataclass(frozen=True)
class Panel:
  """A drawing with two linear axes.

  Attributes:
    xs, ys: (low, high) in data units; an axis with low > high runs the other way.
    width, height: of the whole drawing, in pixels.
    left, bottom, top, right: margins, in pixels.
  """

  xs: tuple[float, float]
  ys: tuple[float, float]
  width: int = 640
  height: int = 400
  left: int = 56
  bottom: int = 46
  top: int = 14
  right: int = 14

  def x(self, value: float) -> float:
    """The pixel of a value on the x axis."""
    share = (value - self.xs[0]) / (self.xs[1] - self.xs[0])
    return self.left + share * (self.width - self.left - self.right)

  def y(self, value: float) -> float:
    """The pixel of a value on the y axis; pixels count downwards."""
    share = (value - self.ys[0]) / (self.ys[1] - self.ys[0])
    return self.height - self.bottom - share * (self.height - self.bottom - self.top)

  def to_pixels(self, point: tuple[float, float]) -> tuple[float, float]:
    """A point (x, y) of data units."""
    return self.x(point[0]), self.y(point[1])

  def frame(self, x_name: str, y_name: str, about: int = 5) -> str:
    """Grid, ticks and the names of both axes; `about` so many ticks on the x axis."""
    bottom, right = self.height - self.bottom, self.width - self.right
    xs, ys = ticks(min(self.xs), max(self.xs), about), ticks(min(self.ys), max(self.ys))
    parts = []
    for value in xs:
      x = self.x(value)
      parts.append(
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{self.top}" y2="{bottom}"/><text '
        f'x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{number(value, xs)}</text>'
      )
    for value in ys:
      y = self.y(value)
      parts.append(
        f'<line class="grid" x1="{self.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/><text '
        f'x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{number(value, ys)}</text>'
      )
    parts.append(
      f'<text class="name" x="{(self.left + right) / 2}" y="{self.height - 8}" '
      f'text-anchor="middle">{escape(x_name)}</text>'
    )
    if y_name:
      middle = (self.top + bottom) / 2
      parts.append(
        f'<text class="name" transform="translate(13,{middle}) rotate(-90)" text-anchor="middle">'
        f'{escape(y_name)}</text>'
      )
    return ''.join(parts)

  def svg(self, body: str, about: str) -> str:
    """The whole drawing. `body` is SVG, `about` a text for readers who cannot see it."""
    return (
      f'<svg class="figure" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
      f'role="img" aria-label="{escape(about, quote=True)}">{body}</svg>'
    )


def span(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
  """(low, high) around values, with a share of their range as room at both ends."""
  low, high = min(values), max(values)
  room = (high - low) * share or abs(high) * share or 1.0
  return low - room, high + room
