"""The figure of a language: its two bounds, and the loss of each run beside its own bound.

Drawn with matplotlib, which stacks panels over one axis of words; the marks lead nowhere, so the
page's own SVG would gain nothing.
"""

import io

from matplotlib.figure import Figure
import numpy as np

from tools.bounds.measure import MeasuredLanguage, MeasuredRun

_COLOURS = {'bidirectional+mlm': '#2f5fd0', 'causal+mlm': '#2a9d8f', 'causal+clm': '#d9622b'}
_CAUSAL, _BIDIRECTIONAL = _COLOURS['causal+clm'], _COLOURS['bidirectional+mlm']
_STEP = dict(where='mid', linewidth=1.8)
_TITLE = dict(loc='left', fontsize=10, fontweight='bold')


def draw(measured: MeasuredLanguage) -> str:
  """The figure as SVG: the bounds above, a panel for each cell of the grid below."""
  cells: dict[str, list[MeasuredRun]] = {}
  for run in measured.runs:
    cells.setdefault(run.cell, []).append(run)
  figure = Figure(figsize=(11, 2.7 + 1.9 * len(cells)), layout='constrained')
  grid = figure.subplots(1 + len(cells), 1, sharex=True, sharey=True, squeeze=False)
  first, *others = grid[:, 0]
  _draw_bounds(first, measured)
  for axes, (cell, runs) in zip(others, cells.items()):
    _draw_runs(axes, cell, runs)
  for axes in grid[:, 0]:
    _style(axes)
  last = grid[-1, 0]
  last.set_xticks(np.arange(len(measured.example)), measured.example, rotation=90, fontsize=8)
  last.set_xlabel('position in the document, with the words of one document')
  file = io.StringIO()
  figure.savefig(file, format='svg', metadata=dict(Creator=None, Date=None))
  text = file.getvalue()
  return text[text.index('<svg') :]  # without the XML declaration, which a page cannot have


def _draw_bounds(axes, measured: MeasuredLanguage):
  """Both bounds, and the gap between them."""
  causal_T, bidirectional_T = measured.causal_T, measured.bidirectional_T
  position_T = np.arange(len(causal_T))
  axes.fill_between(position_T, bidirectional_T, causal_T, step='mid', color='#f3e3d9')
  axes.step(position_T, causal_T, color=_CAUSAL, label='sees all words to the left', **_STEP)
  axes.step(
    position_T, bidirectional_T, color=_BIDIRECTIONAL, label='sees all other words', **_STEP
  )
  axes.set_title('bounds: lowest loss on the same word', **_TITLE)


def _draw_runs(axes, cell: str, runs: list[MeasuredRun]):
  """The loss of each run of a cell, as dots, over their mean bound."""
  bound_T = np.mean([run.bound_T for run in runs], axis=0)
  position_T = np.arange(len(bound_T))
  axes.step(position_T, bound_T, color='#777777', label='its bound', **_STEP)
  dots = dict(markersize=4.5, color=_COLOURS[cell], alpha=0.85)
  for index, run in enumerate(runs):
    axes.plot(position_T, run.model_T, 'o', label=None if index else 'loss', **dots)
  excess = ', '.join(f'{run.summary["excess"]:+.2%}' for run in runs)
  axes.set_title(f'{cell}: {excess} above its bound', **_TITLE)


def _style(axes):
  axes.grid(color='#e9e9e9')
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.set_ylabel('nats')
  axes.set_ylim(bottom=-0.05)
  axes.legend(
    frameon=False, fontsize=9, loc='lower right', bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0
  )
