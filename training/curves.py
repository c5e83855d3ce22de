"""The curves of a run, as one picture."""

import os

from etils import epath

os.environ.setdefault('MPLBACKEND', 'Agg')

_INK, _GRID = '#222222', '#e6e6e6'
_COLORS = dict(mlm='#1f6fb4', clm='#1f6fb4', nsp='#d9822b')


def draw(directory: epath.PathLike, rows: list[dict], *, title: str, unigram_entropy: float):
  """Writes curves.png: losses over tokens, learning rate, gradient norm."""
  import matplotlib.pyplot as plt  # a second of import that only a finished run should pay

  train = [row for row in rows if 'train/loss' in row and isinstance(row['train/loss'], float)]
  figure, (losses, rate, norm) = plt.subplots(
      3, 1, figsize=(9, 8), sharex=True, height_ratios=(4, 1, 1), layout='constrained')
  names = sorted({name[6:-5] for row in rows for name in row if name.startswith('train/') and name.endswith('_loss')})
  for name in names:
    color = _COLORS[name]
    tokens = [row['tokens'] for row in train]
    values = [row[f'train/{name}_loss'] for row in train]
    losses.plot(tokens, values, color=color, alpha=0.2, linewidth=0.8)
    losses.plot(tokens, _smooth(values), color=color, linewidth=1.8, label=f'{name}, training')
    points = [(row['tokens'], row[f'val/{name}_loss']) for row in rows if f'val/{name}_loss' in row]
    if points:
      losses.plot(*zip(*points), color=color, marker='o', markersize=5, linestyle='--', linewidth=1,
                  markeredgecolor='white', label=f'{name}, validation')
      losses.annotate(f'{points[-1][1]:.3f}', points[-1], xytext=(6, 0), textcoords='offset points', va='center',
                      color=color, fontsize=10)
  if set(names) & {'mlm', 'clm'}:
    losses.axhline(unigram_entropy, color=_INK, linewidth=0.8, linestyle=':')
    losses.annotate('knowing word frequencies only', (1, unigram_entropy), xycoords=('axes fraction', 'data'),
                    xytext=(-4, 4), textcoords='offset points', ha='right', fontsize=9, color=_INK)
  losses.set_ylabel('loss (nats a prediction)')
  losses.set_ylim(bottom=0)
  losses.legend(frameon=False, loc='lower left')
  losses.set_title(title, loc='left', fontsize=13, fontweight='bold')
  rate.plot([row['tokens'] for row in train], [row['learning_rate'] for row in train], color='#4a8f4a')
  rate.set_ylabel('learning rate')
  norm.plot([row['tokens'] for row in train], [row['gradient_norm'] for row in train], color='#8a5aa8', linewidth=0.8)
  norm.set_ylabel('gradient norm')
  norm.set_yscale('log')
  norm.set_xlabel('training tokens (padding not counted)')
  norm.xaxis.set_major_formatter(lambda tokens, _: f'{tokens / 1e6:g}M' if tokens else '0')
  for axes in (losses, rate, norm):
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
  path = epath.Path(directory) / 'curves.png'
  with path.open('wb') as file:
    figure.savefig(file, dpi=130, format='png')
  plt.close(figure)


def _smooth(values: list[float], decay: float = 0.95) -> list[float]:
  """Exponential average without the pull of its start."""
  smoothed, total, weight = [], 0.0, 0.0
  for value in values:
    total, weight = decay * total + (1 - decay) * value, decay * weight + (1 - decay)
    smoothed.append(total / weight)
  return smoothed
