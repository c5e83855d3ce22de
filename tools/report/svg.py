"""Drawings as SVG text: colours come from the page, so that
they follow its light and its dark scheme.
"""

from collections.abc import Sequence
import dataclasses
from html import escape
import math

COLOURS = 7  # --c0 to --c6 of the page
_MARKS = (
  'M-5,0 a5,5 0 1,0 10,0 a5,5 0 1,0 -10,0z',
  'M-4.5,-4.5 h9 v9 h-9z',
  'M0,-6 L5.6,4.4 H-5.6z',
  'M0,-6 L6,0 L0,6 L-6,0z',
  'M0,6 L5.6,-4.4 H-5.6z',
  'M-1.8,-5.5 h3.6 v3.7 h3.7 v3.6 h-3.7 v3.7 h-3.6 v-3.7 h-3.7 v-3.6 h3.7z',
)


def colour(index: int) -> str:
  return f'var(--c{index % COLOURS})'


def mark(x: float, y: float, index: int, paint: str) -> str:
  """A small shape: each index another."""
  return (
    f'<path d="{_MARKS[index % len(_MARKS)]}" transform="translate({x:.1f},{y:.1f}) scale(1.15)" '
    f'class="mark" fill="{paint}"/>'
  )


def swatch(index: int, paint: str) -> str:
  """A mark to stand in a legend."""
  return (
    '<svg class="swatch" viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true">'
    f'{mark(0, 0, index, paint)}</svg>'
  )


def line(points: Sequence[tuple[float, float]], paint: str, extra: str = '') -> str:
  path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
  return f'<polyline points="{path}" fill="none" stroke="{paint}" {extra}/>'


def ticks(low: float, high: float, about: int = 5) -> list[float]:
  """Round numbers from low to high: steps of 1, 2 or 5 times a power of ten."""
  if not high > low:
    return [low]
  raw = (high - low) / about
  power = 10.0 ** math.floor(math.log10(raw))
  step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda size: abs(size - raw))
  first = math.ceil(low / step - 1e-9)
  return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float, steps: Sequence[float]) -> str:
  """A tick with as many decimals as its axis needs."""
  step = abs(steps[1] - steps[0]) if len(steps) > 1 else abs(value) or 1.0
  return f'{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}'


@dataclasses.dataclass(frozen=True)
class Panel:
  """A place to draw in: what is measured on x and y, and where that lies in pixels.

  Attributes:
    xs, ys: (low, high); an axis with low > high runs the other way.
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
    return self.left + (value - self.xs[0]) / (self.xs[1] - self.xs[0]) * (
      self.width - self.left - self.right
    )

  def y(self, value: float) -> float:
    return (
      self.height
      - self.bottom
      - (value - self.ys[0]) / (self.ys[1] - self.ys[0]) * (self.height - self.bottom - self.top)
    )

  def place(self, point: tuple[float, float]) -> tuple[float, float]:
    return self.x(point[0]), self.y(point[1])

  def frame(self, across: str, up: str, about: int = 5) -> str:
    """Grid, ticks and the names of both axes."""
    parts = []
    xs, ys = ticks(min(self.xs), max(self.xs), about), ticks(min(self.ys), max(self.ys))
    bottom, right = self.height - self.bottom, self.width - self.right
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
    middle = (self.top + bottom) / 2
    parts.append(
      f'<text class="name" x="{(self.left + right) / 2}" y="{self.height - 8}" '
      f'text-anchor="middle">{escape(across)}</text>'
    )
    if up:
      parts.append(
        f'<text class="name" transform="translate(13,{middle}) rotate(-90)" text-anchor="middle">'
        f'{escape(up)}</text>'
      )
    return ''.join(parts)

  def svg(self, body: str, about: str) -> str:
    """The drawing; `about` is for those who cannot see it."""
    return (
      f'<svg class="figure" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
      f'role="img" aria-label="{escape(about, quote=True)}">{body}</svg>'
    )


def span(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
  """(low, high) around values, with room at both ends."""
  low, high = min(values), max(values)
  room = (high - low) * share or abs(high) * share or 1.0
  return low - room, high + room
