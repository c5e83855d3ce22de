"""Draws the training curves of a run as one picture, curves.png."""

import io
import os

from etils import epath

from objectives.mix import optional
from runtime import figures, storage

os.environ.setdefault('MPLBACKEND', 'Agg')

_INK, _SOFT, _GRID = '#222222', '#777777', '#e9e9e9'
_OTHER, _RATE, _NORM = '#d9822b', '#4a8f4a', '#8a5aa8'
# One colour per objective, reused in turn when there are more.
_TOKENS = ('#1f6fb4', '#c8452d', '#2a9d8f', '#b8860b', '#5f6b7a')


def draw(
  directory: epath.PathLike,
  rows: list[dict],
  *,
  title: str,
  unigram_entropy: float | None,
  metric: str = '',
  majority: float | None = None,
):
  """Writes curves.png: losses, learning rate and gradient norm, over training tokens.

  Args:
    rows: as `metrics.read` returns them.
    unigram_entropy: nats per token; drawn as a level beside the losses of predicted tokens. None:
      there is none, the rows are labelled.
    metric: of a labelled task, the score that is drawn too, with that of the majority baseline.
  """
  columns = {name for row in rows for name in row}
  with figures.drawn_as_written([title, *columns]) as shown:
    drawn = _figure(rows, columns, shown(title), unigram_entropy, metric, majority)
  storage.write(epath.Path(directory) / 'curves.png', drawn)


def _figure(
  rows: list[dict],
  columns: set[str],
  title: str,
  unigram_entropy: float | None,
  metric: str,
  majority: float | None,
) -> bytes:
  """The picture as PNG."""
  import matplotlib.pyplot as plt  # takes a second, which only a finished run should pay

  # train/causal+clm/clm_loss -> causal+clm/clm
  names = sorted(
    {
      name.partition('/')[2].removesuffix('_loss')
      for name in columns
      if name.endswith('_loss') and name.startswith(('train/', 'val/'))  # not of single seeds
    }
  )
  tokens = [name for name in names if _chance(name) is None]
  others = [name for name in names if _chance(name) is not None]
  heights = ([4.5] if tokens else []) + [1.4] * len(others) + [2] * bool(metric) + [1, 1]
  figure, panels = plt.subplots(
    len(heights),
    1,
    figsize=(9, 1.1 + 1.05 * sum(heights)),
    sharex=True,
    squeeze=False,
    height_ratios=heights,
    layout='constrained',
  )
  *losses, rate, norm = panels[:, 0]
  if metric:
    _metric(losses.pop(), rows, metric, majority)
  if tokens:
    objectives = list(dict.fromkeys(map(_objective, tokens)))
    for name in tokens:
      _losses(losses[0], rows, name, _TOKENS[objectives.index(_objective(name)) % len(_TOKENS)])
    if unigram_entropy is not None:
      _line(losses[0], f'{unigram_entropy:.2f}  word frequencies alone', unigram_entropy)
    if losses[0].get_legend_handles_labels()[0]:
      losses[0].legend(frameon=False, loc='upper right')
    losses[0].set_ylabel('loss\n(nats a prediction)')
  for axes, name in zip(losses[-len(others) :] if others else [], others):
    _losses(axes, rows, name, _OTHER)
    _line(axes, 'chance', _chance(name))
    axes.set_ylabel(f'{name} loss\n(nats)')
  rate.plot(*_series(rows, 'learning_rate'), color=_RATE, linewidth=1.6)
  rate.set_ylabel('learning\nrate')
  rate.ticklabel_format(axis='y', scilimits=(-2, 3))
  x, values = _series(rows, 'gradient_norm')
  norm.plot(x, values, color=_NORM, alpha=0.25, linewidth=0.6)
  norm.plot(x, _smooth(values), color=_NORM, linewidth=1.6)
  norm.set_ylabel('gradient\nnorm')
  norm.set_ylim(0, _quantile(values, 0.99) * 1.15 or 1)
  norm.set_xlabel('training tokens, padding not counted')
  norm.xaxis.set_major_formatter(lambda count, _: _count(count))
  for axes in panels[:, 0]:
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(_SOFT)
    axes.tick_params(colors=_SOFT, labelcolor=_INK)
    axes.margins(x=0.01)
  figure.align_ylabels()
  figure.suptitle(title, x=0.01, ha='left', fontsize=13, fontweight='bold', color=_INK)
  drawn = io.BytesIO()
  figure.savefig(drawn, dpi=130, format='png')
  plt.close(figure)
  return drawn.getvalue()


def _losses(axes, rows: list[dict], name: str, color: str):
  """Draws training as a thin and a smoothed line, validation as points, the last with its value."""
  x, values = _series(rows, f'train/{name}_loss')
  axes.plot(x, values, color=color, alpha=0.22, linewidth=0.6)
  axes.plot(
    x,
    _smooth(values),
    color=color,
    linewidth=1.8,
    label=f'{name}, training (smoothed)' if x else None,
  )
  x, values = _series(rows, f'val/{name}_loss')
  axes.plot(
    x,
    values,
    color=color,
    marker='o',
    markersize=6,
    linestyle='',
    markeredgecolor=_INK,
    zorder=3,
    label=f'{name}, validation' if x else None,
  )
  if values:
    axes.annotate(
      f'{values[-1]:.3f}',
      (x[-1], values[-1]),
      xytext=(7, 0),
      textcoords='offset points',
      va='center',
      color=_INK,
      fontsize=10,
      fontweight='bold',
      annotation_clip=False,
    )


def _metric(axes, rows: list[dict], metric: str, majority: float | None):
  """Draws a score of the validation over the run."""
  x, values = _series(rows, f'val/{metric}')
  axes.plot(x, values, color=_OTHER, marker='o', markersize=5, linewidth=1.4)
  if majority is not None:
    _line(axes, f'{majority:.3f}  majority baseline', majority)
  axes.set_ylabel(metric)


def _chance(name: str) -> float | None:
  """Returns the loss of guessing, nats, of an objective of few classes; None if of tokens."""
  return optional(_objective(name), 'CHANCE')


def _objective(name: str) -> str:
  """Returns the objective in the name of a loss: clm of causal+clm/clm, mlm of mlm."""
  return name.rpartition('/')[2]


def _line(axes, words: str, value: float):
  """Draws a horizontal level to compare with, and its label."""
  axes.axhline(value, color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
  axes.annotate(
    words,
    (0.5, value),
    xycoords=('axes fraction', 'data'),
    xytext=(0, 4),
    ha='center',
    textcoords='offset points',
    fontsize=9,
    color=_SOFT,
  )


def _series(rows: list[dict], name: str) -> tuple[list[int], list[float]]:
  """Returns (tokens, values) of the rows with a finite value; the log writes others as strings."""
  points = [(row['tokens'], row[name]) for row in rows if isinstance(row.get(name), int | float)]
  return [x for x, _ in points], [value for _, value in points]


def _smooth(values: list[float]) -> list[float]:
  """Returns centred moving means over a hundredth of the run, so that nothing is shifted."""
  reach = len(values) // 200
  sums = [0.0]
  for value in values:
    sums.append(sums[-1] + value)
  windows = ((max(0, i - reach), min(len(values), i + reach + 1)) for i in range(len(values)))
  return [(sums[end] - sums[start]) / (end - start) for start, end in windows]


def _quantile(values: list[float], share: float) -> float:
  return sorted(values)[int(share * (len(values) - 1))] if values else 0.0


def _count(number: float) -> str:
  """Formats a number with a unit: 2500000 as 2.5M."""
  for unit, size in (('T', 1e12), ('B', 1e9), ('M', 1e6), ('k', 1e3)):
    if number >= size:
      return f'{number / size:g}{unit}'
  return f'{number:g}'
