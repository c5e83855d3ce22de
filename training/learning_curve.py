"""The learning curve of a labelled task: its score on the validation split over the updates."""

from collections.abc import Sequence
import io
from typing import Any

from etils import epath

from runtime import figures, storage
from training import stacked

_INK, _SOFT, _GRID, _MEAN, _SEED = '#222222', '#777777', '#e9e9e9', '#1f6fb4', '#7fb2dc'


def of(rows: list[dict], metric: str, seeds: Sequence[int]) -> dict[str, Any]:
  """What result.json has of it: the metric, the steps, the mean over the seeds, and each seed.

  Args:
    rows: as `metrics.read` returns them.
  """
  scored = [row for row in rows if f'val/{metric}' in row]
  mean = [float(row[f'val/{metric}']) for row in scored]
  own = {seeds[0]: mean}
  if len(seeds) > 1:
    own = {
      seed: [float(row[f'{stacked.name_of(seed)}val/{metric}']) for row in scored] for seed in seeds
    }
  return dict(
    metric=metric,
    steps=[row['step'] for row in scored],
    mean=mean,
    seeds={str(seed): values for seed, values in own.items()},
  )


def draw(directory: epath.PathLike, curve: dict[str, Any], *, title: str, majority: float | None):
  """Writes learning_curve.png: each seed thin, their mean thick, the majority baseline as a level.

  Args:
    curve: as `of` returns it.
  """
  with figures.drawn_as_written([title]) as shown:
    drawn = _figure(curve, shown(title), majority)
  storage.write(epath.Path(directory) / 'learning_curve.png', drawn)


def _figure(curve: dict[str, Any], title: str, majority: float | None) -> bytes:
  """The picture as PNG."""
  import matplotlib.pyplot as plt  # takes a second, which only a finished run should pay

  steps, metric, seeds = curve['steps'], curve['metric'], curve['seeds']
  figure, axes = plt.subplots(figsize=(8, 4.5), layout='constrained')
  several = len(seeds) > 1
  if several:
    for number, values in enumerate(seeds.values()):
      label = f'{len(seeds)} seeds' if number == 0 else None
      axes.plot(steps, values, color=_SEED, linewidth=0.9, label=label)
  mean = 'mean' if several else f'seed {next(iter(seeds))}'
  axes.plot(steps, curve['mean'], color=_MEAN, linewidth=2.6, marker='o', markersize=5, label=mean)
  if majority is not None:
    style = dict(color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
    axes.axhline(majority, label=f'majority baseline, {majority:.3f}', **style)
  axes.set_xlabel('updates')
  axes.set_ylabel(f'{metric} on the validation split')
  axes.legend(frameon=False, loc='best')
  axes.grid(color=_GRID, linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(_SOFT)
  axes.tick_params(colors=_SOFT, labelcolor=_INK)
  axes.set_title(title, loc='left', fontsize=12, fontweight='bold', color=_INK)
  drawn = io.BytesIO()
  figure.savefig(drawn, dpi=130, format='png')
  plt.close(figure)
  return drawn.getvalue()
