"""The figure of docs/benchmarks.md: what was measured over what was asked for."""

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault('MPLBACKEND', 'Agg')

_INK, _SOFT, _GRID = '#222222', '#777777', '#e9e9e9'
_MET, _MISSED, _NO_TARGET = '#2a9d8f', '#c8452d', '#5f6b7a'
_TICKS = (0.25, 0.5, 1, 2, 4, 8, 16, 32)


class _Bar(NamedTuple):
  """A target of a case.

  Attributes:
    gain: above 1 if the target is met.
    value: what was measured, as text.
  """

  name: str
  gain: float
  colour: str
  value: str


def draw(path: Path, cases: Sequence[dict], names: Mapping[str, str]):
  """Draws a bar for each target that was measured; nothing if there is none.

  Args:
    cases: results of tools.bench.
    names: of the keys that a target is of.
  """
  import matplotlib.pyplot as plt

  bars = _bars(cases, names)[::-1]  # from the bottom up
  if not bars:
    return
  figure, axes = plt.subplots(figsize=(9, 0.9 + 0.42 * len(bars)), layout='constrained')
  for y, bar in enumerate(bars):
    axes.barh(y, bar.gain, color=bar.colour, height=0.62)
    axes.annotate(
      bar.value,
      (bar.gain, y),
      xytext=(5, 0),
      textcoords='offset points',
      va='center',
      fontsize=9,
      color=_INK,
      bbox=dict(facecolor='white', edgecolor='none', pad=1),
    )
  axes.axvline(1, color=_INK, linewidth=1)
  axes.set_yticks(range(len(bars)), [bar.name for bar in bars], fontsize=8)
  _style(axes, bars)
  figure.savefig(path, dpi=130)
  plt.close(figure)


def _bars(cases: Sequence[dict], names: Mapping[str, str]) -> list[_Bar]:
  bars = []
  for case in cases:
    targets = case['targets']
    if not targets and case['ratio']:  # a case without a target: is it faster than its peer?
      targets = [dict(of='ratio', least=1.0, value=case['ratio'])]
    for target in targets:
      if target['value'] is not None:
        bars.append(_bar(case['name'], target, names))
  return bars


def _bar(case: str, target: dict, names: Mapping[str, str]) -> _Bar:
  value = target['value']
  if 'least' in target:
    gain, bound = value / target['least'], f'≥ {target["least"]:g}'
  else:
    gain, bound = target['most'] / value, f'≤ {target["most"]:g}'
  if 'met' not in target:
    colour, bound = _NO_TARGET, 'no target'
  else:
    colour = _MET if target['met'] else _MISSED
  return _Bar(f'{case}\n{names[target["of"]]} {bound}', gain, colour, f'{value:.3g}')


def _style(axes, bars: Sequence[_Bar]):
  axes.set_xscale('log')
  axes.set_xlabel(
    'measured over target (log scale); right of the line: met. The number is what was measured'
  )
  lowest, highest = min(bar.gain for bar in bars), max(bar.gain for bar in bars)
  ticks = [tick for tick in _TICKS if lowest / 2 < tick < highest * 2]
  axes.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
  axes.minorticks_off()
  axes.grid(axis='x', color=_GRID, linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right', 'left']].set_visible(False)
  axes.tick_params(colors=_SOFT, labelcolor=_INK, left=False)
