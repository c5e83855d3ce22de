"""Attention maps as a figure: one layer with its tokens, or every head small."""

from collections.abc import Callable
from pathlib import Path
import re
from typing import Any

import numpy as np

from inference.attention_maps import AttentionMaps, without_special
from runtime import figures

COLORS = 'viridis'
MASKED = dict(facecolor='white', edgecolor='0.6', linewidth=0, hatch='////', zorder=0)


def draw(
  maps: list[AttentionMaps],
  out: Path,
  *,
  layer: int | None,
  head: int | None,
  grid: bool,
  special: bool = True,
):
  """Writes the figure of one model, or of two beside each other, on one scale of colours.

  Args:
    layer: from 0; None = the last one.
    head: from 0; None = the mean over heads.
    grid: every head of every layer instead.
    special: False leaves out the rows and columns of special tokens.
  """
  texts = [text for one in maps for text in (_short(one), *one.tokens)]
  with figures.drawn_as_written(texts) as written:
    figure = _figure(maps, layer, head, grid, special, written)
    figure.savefig(out, dpi=150)


def _figure(maps, layer, head, grid: bool, special: bool, written: Callable[[str], str]):
  """The figure; arguments as of `draw`.

  Args:
    written: makes words drawable (`runtime.figures`).
  """
  from matplotlib.figure import Figure

  shown = maps if special else [without_special(one) for one in maps]
  figure = Figure(figsize=_size(shown, grid), layout='constrained')
  figure.get_layout_engine().set(wspace=0.06)
  axes = figure.subplots(1, len(shown), squeeze=False)[0]
  pictures = [_mosaic(one) if grid else _one_map(one, layer, head) for one in shown]
  largest = max(float(picture.max()) for picture in pictures)
  for axis, one, whole, picture in zip(axes, shown, maps, pictures):
    image = axis.imshow(picture, cmap=COLORS, vmin=0, vmax=largest, zorder=1)
    note = (
      '' if special else f'\nspecial tokens left out: {_special_share(whole):.0%} of the weight'
    )
    axis.set_title(f'{written(_short(one))}{note}')
    if grid:
      _name_heads(axis, one)
    else:
      _name_tokens(axis, one, written)
  figure.colorbar(image, ax=list(axes), fraction=0.03, pad=0.02, label='attention weight')
  masked = '' if all(one.visible_TxT.all() for one in shown) else '; hatched: masked'
  figure.suptitle(_title(layer, head, grid, len(shown[0].weight_LxHxTxT)) + masked)
  return figure


def _one_map(maps: AttentionMaps, layer: int | None, head: int | None) -> Any:
  """Weights of one head, or the mean over heads; masked cells are left out."""
  weight_HxTxT = maps.weight_LxHxTxT[-1 if layer is None else layer]
  weight_TxT = weight_HxTxT.mean(axis=0) if head is None else weight_HxTxT[head]
  return np.ma.masked_where(~maps.visible_TxT, weight_TxT)


def _mosaic(maps: AttentionMaps) -> Any:
  """Every head as a tile, a row a layer; gaps between tiles and masked cells are left out."""
  L, H, T, _ = maps.weight_LxHxTxT.shape
  side = _tile(T)
  size = L * side, H * side
  picture = np.ma.array(np.zeros(size), mask=True)
  for layer in range(L):
    for head in range(H):
      rows, columns = (slice(i * side, i * side + T) for i in (layer, head))
      picture[rows, columns] = _one_map(maps, layer, head)
  return picture


def _tile(T: int) -> int:
  """The side of a tile in cells, with the gap after it."""
  return T + max(1, T // 8)


def _name_tokens(axis, maps: AttentionMaps, written: Callable[[str], str]):
  T, names = len(maps.tokens), [written(token) for token in maps.tokens]
  _hatch(axis, 0, 0, T)
  places = range(T)
  axis.set_xticks(places, names, rotation=90)
  axis.set_yticks(places, names)
  axis.set(xlabel='Key (source)', ylabel='Query (target)')


def _name_heads(axis, maps: AttentionMaps):
  L, H, T, _ = maps.weight_LxHxTxT.shape
  side = _tile(T)
  for layer in range(L):
    for head in range(H):
      _hatch(axis, layer * side, head * side, T)
  axis.set_xticks([head * side + (T - 1) / 2 for head in range(H)], range(H))
  axis.set_yticks([layer * side + (T - 1) / 2 for layer in range(L)], range(L))
  axis.set(xlabel='head (in each: keys across)', ylabel='layer (in each: queries down)')
  axis.spines[:].set_visible(False)
  axis.tick_params(length=0)


def _hatch(axis, row: int, column: int, T: int):
  """A hatched square of T cells under the image: what the mask leaves out shows it."""
  from matplotlib.patches import Rectangle

  axis.add_patch(Rectangle((column - 0.5, row - 0.5), T, T, **MASKED))


def _size(maps: list[AttentionMaps], grid: bool) -> tuple[float, float]:
  """Inches: a token's name needs a third of one."""
  if grid:
    L, H = (max(sizes) for sizes in zip(*(one.weight_LxHxTxT.shape[:2] for one in maps)))
    return (0.9 * H + 1.5) * len(maps) + 1, 0.9 * L + 2
  side = max(4.5, 0.32 * max(len(one.tokens) for one in maps))
  return (side + 1.2) * len(maps) + 1, side + 1.8


def _title(layer: int | None, head: int | None, grid: bool, layers: int) -> str:
  if grid:
    return 'Attention of every head'
  number = layers - 1 if layer is None else layer
  what = 'mean over heads' if head is None else f'head {head}'
  return f'Attention, layer {number}, {what}'


def _special_share(maps: AttentionMaps) -> float:
  """How much of the weight of ordinary queries goes to special keys, over all heads."""
  weight_LxHxQxS = maps.weight_LxHxTxT[:, :, ~maps.special_T][..., maps.special_T]
  return float(weight_LxHxQxS.sum(axis=-1).mean())


def _short(maps: AttentionMaps) -> str:
  """The name of a model without its folder and step, and its mask."""
  path = re.sub(r' \(from .*\)$|, step [\d,]+$', '', maps.title)
  return f'{Path(path).name}, {maps.mask} mask'
