"""Loss against bound as Markdown and as one self-contained page."""

import html
import inspect
import io

from matplotlib.figure import Figure
import numpy as np

from data.corpora import synthetic
from tools.bounds.measure import Cell, Measured

_COLOURS = {'bidirectional+mlm': '#2f5fd0', 'causal+mlm': '#2a9d8f', 'causal+clm': '#d9622b'}
_LEFT, _BOTH = _COLOURS['causal+clm'], _COLOURS['bidirectional+mlm']
_HEAD = ['mask + objective', 'seed', 'steps', 'loss', 'bound', 'above the bound', 'run']
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --soft: #5f6672; --line: #d9dde3; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --soft: #a2a9b5; --line: #3a4150; --paper: #161a22; } }
body { font: 17px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.9rem; margin: 0 0 .4rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
p { color: var(--soft); max-width: 46rem; } p b { color: var(--ink); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .38rem .9rem .38rem 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
figure { margin: 1rem 0; background: #fff; border-radius: 8px; padding: .6rem; } svg { width: 100%; height: auto; }
"""
_ABOUT = (
  'The least loss that any reader can have, by exact inference, beside what networks pay. A '
  'left-only reader pays the entropy of a document, word by word; a two-sided one is asked for a '
  'word with the others in view. At no position can the two-sided reader pay more, and what it '
  'saves is what stands to the right.'
)


def markdown(languages: dict[str, Measured], documents: int) -> str:
  """The same facts as the page, without its curves."""
  lines = ['# Loss against bound', '', _ABOUT, '', _how(documents)]
  for name, measured in languages.items():
    lines += ['', f'## {name}', '', f'{_about(name)} {_gap(measured)}', '']
    row = lambda cells: '| ' + ' | '.join(cells) + ' |'
    lines += [row(_HEAD), row(['---'] * len(_HEAD)), *(row(_row(cell)) for cell in measured.cells)]
  return '\n'.join(lines) + '\n'


def page(languages: dict[str, Measured], documents: int) -> str:
  """One HTML page without network."""
  parts = [f'<h1>Loss against bound</h1><p>{_ABOUT}</p><p>{_how(documents)}</p>']
  for name, measured in languages.items():
    cells = ''.join(
      '<tr>' + ''.join(f'<td>{html.escape(text)}</td>' for text in _row(cell)) + '</tr>'
      for cell in measured.cells
    )
    parts.append(
      f'<h2>{html.escape(name)}</h2><p>{html.escape(_about(name))}</p><p><b>{_gap(measured)}</b></p>'
      f'<figure>{_figure(measured)}</figure><table><tr>'
      + ''.join(f'<th>{head}</th>' for head in _HEAD)
      + f'</tr>{cells}</table>'
    )
  return (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width">'
    f'<title>Loss against bound</title><style>{_STYLE}</style>' + '\n'.join(parts) + '</html>\n'
  )


def _figure(measured: Measured) -> str:
  """Above, what two readers of the same words must pay; below, each cell beside its own bound."""
  T = len(measured.left_T)
  position_T = np.arange(T)
  names = list(dict.fromkeys(cell.cell for cell in measured.cells))
  figure = Figure(figsize=(11, 2.7 + 1.9 * len(names)), layout='constrained')
  theory, *panels = figure.subplots(1 + len(names), 1, sharex=True, sharey=True, squeeze=False)[
    :, 0
  ]
  step = dict(where='mid', linewidth=1.8)
  theory.fill_between(position_T, measured.both_T, measured.left_T, step='mid', color='#f3e3d9')
  theory.step(position_T, measured.left_T, color=_LEFT, label='sees all words to the left', **step)
  theory.step(position_T, measured.both_T, color=_BOTH, label='sees all other words', **step)
  theory.set_title(
    'bounds: what each reader must pay for the same word',
    loc='left',
    fontsize=10,
    fontweight='bold',
  )
  for name, axes in zip(names, panels):
    cells = [cell for cell in measured.cells if cell.cell == name]
    axes.step(
      position_T,
      np.mean([cell.bound_T for cell in cells], axis=0),
      color='#777777',
      label='its bound',
      **step,
    )
    for cell in cells:
      axes.plot(
        position_T,
        cell.model_T,
        'o',
        markersize=4.5,
        color=_COLOURS[name],
        alpha=0.85,
        label='loss' if cell is cells[0] else None,
      )
    excess = ', '.join(f'{cell.said["excess"]:+.2%}' for cell in cells)
    axes.set_title(f'{name}: {excess} above its bound', loc='left', fontsize=10, fontweight='bold')
  for axes in (theory, *panels):
    axes.grid(color='#e9e9e9')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_ylabel('nats')
    axes.set_ylim(bottom=-0.05)
    axes.legend(
      frameon=False, fontsize=9, loc='lower right', bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0
    )
  panels[-1].set_xticks(position_T, measured.example, rotation=90, fontsize=8)
  panels[-1].set_xlabel('position in the document, with the words of one document')
  file = io.StringIO()
  figure.savefig(file, format='svg', metadata=dict(Creator=None, Date=None))
  return file.getvalue()[file.getvalue().index('<svg') :]


def _about(name: str) -> str:
  """What a language is, from its docstring."""
  return ' '.join(
    inspect.getdoc(synthetic.LANGUAGES[name]).split('\n\nArgs')[0].replace('`', '').split()
  )


def _gap(measured: Measured) -> str:
  left, both = measured.left_T.mean(), measured.both_T.mean()
  gap_T = measured.left_T - measured.both_T
  return (
    f'Left-only {left:.4f} nats a word, two-sided {both:.4f}: the gap is {left - both:.4f} a word, '
    f'{gap_T.max():.4f} where it is widest.'
  )


def _how(documents: int) -> str:
  return (
    f'Nats a predicted word; {documents:,} held-out documents that no corpus has. Model and bound '
    'pay for the same words behind the same [MASK]s, as many as in training; special tokens do not '
    'count. ± is one standard error over documents.'
  )


def _row(cell: Cell) -> list[str]:
  said = cell.said
  return [
    cell.cell,
    str(cell.seed),
    f'{cell.steps:,}',
    f'{said["loss"]:.4f}',
    f'{said["bound"]:.4f}',
    f'{said["excess"]:+.2%} ± {said["error"]:.2%}',
    cell.folder.name,
  ]
