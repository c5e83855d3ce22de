"""Draws the grid of masks and objectives, by the network's own masks: python -m tools.grid
--out=mask_grid.png

A row of a map is a query, a column a key, and a cell is filled where `Mask.dense` says that the
query sees the key. Strong rows are the ones whose output is scored.
"""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
import numpy as np

from models.masks import Mask
from runtime import cli, storage

# Not the figure of the documentation, which nobody asked to change.
cli.flags.DEFINE_string('out', 'mask_grid.png', 'The .png to write.')
cli.define_json('Print one JSON object instead of a line.')

SENTENCE = ('the', 'bank', 'of', 'the', 'river', 'is', 'steep')
HIDDEN = 1  # position of the word that MLM hides
PREFIX = 3  # tokens
PACKED = ('the', 'river', 'rose', 'he', 'paid', 'cash', '[PAD]')
DOCUMENT = (1, 1, 1, 2, 2, 2, 0)
PACKED_PREFIX = (1, 1, 0, 1, 1, 0, 0)  # two tokens of each document

MASKS = {
  'bidirectional': 'a token sees\nevery token',
  'causal': 'a token sees itself\nand its past',
  'prefix': 'a token sees the\nprefix and its past',
}
COLUMNS = {
  'mlm': ('MLM', 'predict the hidden token', '#2f5fd0'),
  'clm': ('CLM', 'predict the next token', '#d9622b'),
  'packed': ('packed', 'two documents in one row', '#5f6b7a'),
}
SECOND_DOCUMENT = '#2a9d8f'
INK, QUIET, EMPTY, LEAK = '#1f2430', '#6b7280', '#eef0f3', '#c81e4a'


@dataclasses.dataclass(frozen=True)
class Cell:
  """One map of the figure, T = S.

  Attributes:
    tokens: what the network reads.
    visible: bool TxT, the mask.
    predicted: {position: the word its output is scored on}.
    leaks: positions that see the word they would have to predict, and so cannot be scored.
  """

  mask: str
  column: str
  tokens: tuple[str, ...]
  visible: np.ndarray
  predicted: dict[int, str]
  leaks: tuple[int, ...]


def make_mask(name: str, *, packed: bool = False) -> Mask:
  """The mask of a row of the figure, for the sentence or for the packed documents."""
  segment_BxT = jnp.array([DOCUMENT if packed else [1] * len(SENTENCE)])
  prefix_BxS = None
  if name == 'prefix':
    prefix_BxS = jnp.array([PACKED_PREFIX]) if packed else jnp.arange(len(SENTENCE))[None] < PREFIX
  return Mask(
    causal=name != 'bidirectional',
    packed=packed,
    prefix_BxS=prefix_BxS,
    q_segment_BxT=segment_BxT,
    kv_segment_BxS=segment_BxT,
  )


def make_cell(mask: str, column: str) -> Cell:
  packed = column == 'packed'
  T = len(SENTENCE)
  visible = np.asarray(make_mask(mask, packed=packed).dense(T, T)[0])
  if packed:
    return Cell(mask, column, PACKED, visible, {}, ())
  if column == 'mlm':
    tokens = tuple('[MASK]' if t == HIDDEN else word for t, word in enumerate(SENTENCE))
    return Cell(mask, column, tokens, visible, {HIDDEN: SENTENCE[HIDDEN]}, ())
  leaks = tuple(t for t in range(T - 1) if visible[t, t + 1])
  predicted = {t: SENTENCE[t + 1] for t in range(T - 1) if t not in leaks}
  return Cell(mask, column, SENTENCE, visible, predicted, leaks)


def grid() -> list[list[Cell]]:
  return [[make_cell(mask, column) for column in COLUMNS] for mask in MASKS]


def draw(out: Path):
  """Writes the figure."""
  figure = Figure(figsize=(12.4, 11.9), facecolor='white')
  axes = figure.subplots(len(MASKS), len(COLUMNS))
  figure.subplots_adjust(left=0.22, right=0.965, top=0.895, bottom=0.095, wspace=0.64, hspace=0.46)
  for row, (mask, cells) in enumerate(zip(MASKS, grid())):
    for cell, axis in zip(cells, axes[row]):
      _draw_cell(axis, cell)
      _name_cell(axis, cell)
    place = axes[row][0].get_position()
    middle = (place.y0 + place.y1) / 2
    figure.text(0.018, middle + 0.012, mask, size=14, weight='bold', color=INK, va='bottom')
    figure.text(
      0.018, middle + 0.004, MASKS[mask], size=10.5, color=QUIET, va='top', linespacing=1.4
    )
    figure.text(
      0.15, middle, 'Query (target)', size=10.5, color=QUIET, rotation=90, ha='center', va='center'
    )
  for axis, (title, subtitle, color) in zip(axes[0], COLUMNS.values()):
    place = axis.get_position()
    middle = (place.x0 + place.x1) / 2
    figure.text(middle, 0.963, title, size=17, weight='bold', color=color, ha='center')
    figure.text(middle, 0.944, subtitle, size=10.5, color=QUIET, ha='center')
    figure.text(middle, 0.022, 'Key (source)', size=10.5, color=QUIET, ha='center')
  with matplotlib.rc_context({'font.family': 'DejaVu Sans', 'hatch.linewidth': 1.1}):
    figure.savefig(out, dpi=150)


def _draw_cell(axis, cell: Cell):
  T = len(cell.tokens)
  color = COLUMNS[cell.column][2]
  scored = set(cell.predicted) or (set(range(T)) if cell.column == 'packed' else set())
  for t in range(T):
    for s in range(T):
      shade, alpha = EMPTY, 1.0
      if cell.visible[t, s]:
        shade, alpha = color, 0.92 if t in scored else 0.24
        if cell.column == 'packed':
          shade, alpha = _document_shade(t)
      if not cell.predicted and t in cell.leaks and s == t + 1:
        shade, alpha = LEAK, 1.0
      axis.add_patch(
        FancyBboxPatch(
          (s + 0.06, t + 0.06),
          0.88,
          0.88,
          alpha=alpha,
          facecolor=shade,
          linewidth=0,
          boxstyle='round,pad=0,rounding_size=0.14',
        )
      )
  axis.set(xlim=(0, T), ylim=(T, 0), aspect='equal')
  axis.tick_params(length=0, pad=8)
  axis.set_xticks(
    np.arange(T) + 0.5, cell.tokens, size=10, rotation=50, ha='right', rotation_mode='anchor'
  )
  axis.set_yticks(np.arange(T) + 0.5, cell.tokens, size=10)
  for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
    for label, token in zip(labels, cell.tokens):
      special = token.startswith('[')
      label.set(
        color=(QUIET if token == '[PAD]' else color) if special else INK,
        weight='bold' if special else 'normal',
      )
  axis.spines[:].set_visible(False)
  for t, word in cell.predicted.items():
    axis.text(T + 0.25, t + 0.5, f'→ {word}', size=10, weight='bold', color=color, va='center')
  for t in cell.leaks:
    given, color = ('given', QUIET) if cell.predicted else ('seen', LEAK)
    axis.text(T + 0.25, t + 0.5, given, size=10, color=color, va='center', style='italic')


def _document_shade(t: int) -> tuple[str, float]:
  return [('#c4cad3', 0.9), (COLUMNS['packed'][2], 0.85), (SECOND_DOCUMENT, 0.9)][DOCUMENT[t]]


def _name_cell(axis, cell: Cell):
  T = len(cell.tokens)
  name, note = {
    ('bidirectional', 'mlm'): ('BERT', 'and NSP, on pairs'),
    ('causal', 'clm'): ('GPT', 'every next token'),
    ('bidirectional', 'clm'): ('refused', 'sees its answers'),
    ('causal', 'mlm'): ('', 'the past alone must do'),
    ('prefix', 'mlm'): ('', 'hidden within the prefix'),
    ('prefix', 'clm'): ('', 'scored where the prefix ends'),
    ('bidirectional', 'packed'): ('', 'documents do not meet'),
    ('causal', 'packed'): ('', 'nor do their pasts'),
    ('prefix', 'packed'): ('', 'a prefix for each document'),
  }[cell.mask, cell.column]
  color = LEAK if name == 'refused' else COLUMNS[cell.column][2]
  if name == 'refused':
    axis.add_patch(
      Rectangle((0, 0), T, T, facecolor='none', edgecolor='white', hatch='//', linewidth=0)
    )
  if name:
    axis.text(0.06, -0.3, name, size=14, weight='bold', color=color, va='bottom')
  x, side = (T - 0.06, 'right') if name else (0.06, 'left')
  axis.text(x, -0.36, note, size=9.5, color=QUIET, va='bottom', ha=side)
  if name in ('BERT', 'GPT'):
    axis.add_patch(
      FancyBboxPatch(
        (-0.14, -0.14),
        T + 0.28,
        T + 0.28,
        clip_on=False,
        facecolor='none',
        edgecolor=color,
        linewidth=2.4,
        boxstyle='round,pad=0,rounding_size=0.25',
      )
    )


def main():
  flags = cli.FLAGS
  out = storage.output_path(flags.out, '--out', '.png')
  draw(out)
  if flags.json:
    print(json.dumps(dict(out=str(out), masks=list(MASKS), columns=list(COLUMNS))))
  else:
    print(f'{out}: {len(MASKS)} masks x {len(COLUMNS)} columns')


if __name__ == '__main__':
  cli.run(main)
