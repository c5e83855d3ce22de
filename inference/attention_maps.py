"""What a network attends to in a text: as arrays, as a picture, as a page."""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from configs.schema.check import ConfigError
from inference.model import Model

LONGEST = 256  # tokens; a page of more would neither open fast nor be read


class AttentionMaps(NamedTuple):
  """The attention of a model on a text.

  Attributes:
    title: of the model, for people.
    weight_LxHxTxT: float32; the last axis is the key, and sums to 1.
    word_T: number of the word that a token belongs to.
  """

  title: str
  tokens: list[str]
  word_T: list[int]
  mask: str
  weight_LxHxTxT: Any


def attention_maps(model: Model, text: str) -> AttentionMaps:
  """The attention weights of a text, as the network used them.

  Raises:
    ConfigError: the text is too long.
  """
  tokenizer = model.need_tokenizer()
  ids = tokenizer.encode([text])[0]
  row_T = [
    *([tokenizer.bos] if model.add_bos or not len(ids) else []),
    *map(int, ids),
    *([tokenizer.eos] if 'clm' not in model.heads else []),
  ]
  longest = min(model.context, LONGEST)
  if len(row_T) > longest:
    raise ConfigError(f'the text has {len(row_T):,} tokens; {longest} can be shown of this model.')
  token_1xT = np.array([row_T], np.int32)
  batch = dict(
    token=token_1xT,
    segment=np.ones_like(token_1xT),
    type=np.zeros_like(token_1xT),
    mlm_position=np.zeros((1, 1), np.int32),
  )
  _, inside = jax.jit(model.network.inspect)(model.params, batch)
  word_T, word = [], -1
  for index in row_T:
    word += bool(tokenizer.word_start_V[index]) or word < 0
    word_T.append(int(word))
  return AttentionMaps(
    model.source,
    [tokenizer.readable(index) for index in row_T],
    word_T,
    model.mask,
    np.asarray(inside['weights'])[:, 0],
  )


def lowest_entropy_heads(maps: AttentionMaps, count: int = 5) -> list[dict]:
  """The heads of least entropy: nats and mean distance in tokens, over all queries."""
  entropy_LxH, distance_LxH = measures(maps.weight_LxHxTxT)
  order = np.argsort(entropy_LxH, axis=None)[:count]
  return [
    dict(
      layer=int(i // entropy_LxH.shape[1]),
      head=int(i % entropy_LxH.shape[1]),
      entropy=float(entropy_LxH.flat[i]),
      distance=float(distance_LxH.flat[i]),
    )
    for i in order
  ]


def measures(weight_LxHxTxT):
  """(entropy_LxH in nats, distance_LxH in tokens), means over the queries."""
  T = weight_LxHxTxT.shape[-1]
  log_LxHxTxT = np.log(np.maximum(weight_LxHxTxT, 1e-30))
  away_TxT = np.abs(np.arange(T)[:, None] - np.arange(T)[None])
  entropy_LxHxT = -(weight_LxHxTxT * log_LxHxTxT).sum(axis=-1)
  distance_LxHxT = (weight_LxHxTxT * away_TxT).sum(axis=-1)
  return entropy_LxHxT.mean(axis=-1), distance_LxHxT.mean(axis=-1)


def page(maps: list[AttentionMaps], text: str) -> str:
  """One HTML file with everything in it; weights are 16-bit integers, right to 1e-5."""
  models = []
  for one in maps:
    entropy_LxH, distance_LxH = measures(one.weight_LxHxTxT)
    whole = np.round(one.weight_LxHxTxT * 65535).astype('<u2')
    models.append(
      dict(
        title=one.title,
        mask=one.mask,
        tokens=one.tokens,
        words=one.word_T,
        layers=whole.shape[0],
        heads=whole.shape[1],
        entropy=entropy_LxH.round(4).tolist(),
        distance=distance_LxH.round(3).tolist(),
        weights=base64.b64encode(whole.tobytes()).decode(),
      )
    )
  template = Path(__file__).with_name('attention.html').read_text(encoding='utf-8')
  # a token may say </script>
  data = json.dumps(dict(text=text, models=models)).replace('<', '\\u003c')
  return template.replace('"DATA"', data)


def draw(maps: list[AttentionMaps], out: Path, *, layer: int | None, head: int | None, grid: bool):
  """Writes the figure of one model, or of two beside each other.

  Args:
    layer: from 0; None = the last one.
    head: from 0; None = the mean over heads.
    grid: every head of every layer instead.
  """
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot

  figure = _grid(pyplot, maps) if grid else _side_by_side(pyplot, maps, layer, head)
  figure.tight_layout()
  figure.savefig(out, dpi=150)
  pyplot.close(figure)


def _grid(pyplot, maps: list[AttentionMaps]):
  """A row a layer, a column a head; the heads of a second model follow those of the first."""
  L = max(one.weight_LxHxTxT.shape[0] for one in maps)
  H = sum(one.weight_LxHxTxT.shape[1] for one in maps)
  figure, axes = pyplot.subplots(L, H, figsize=(1.1 * H + 1, 1.1 * L + 1), squeeze=False)
  for axis in axes.flat:
    axis.set_axis_off()
  column = 0
  for one in maps:
    for layer, weight_HxTxT in enumerate(one.weight_LxHxTxT):
      for head, weight_TxT in enumerate(weight_HxTxT):
        axis = axes[layer, column + head]
        axis.imshow(weight_TxT, cmap='viridis', vmin=0)
        axis.set_title(f'{layer}.{head}', fontsize=7, pad=2)
    column += one.weight_LxHxTxT.shape[1]
  figure.suptitle('Every head, as layer.head: ' + ' | '.join(_short(one) for one in maps))
  return figure


def _side_by_side(pyplot, maps: list[AttentionMaps], layer: int | None, head: int | None):
  """One layer of each model, with its tokens along both axes; all share one scale of colours."""
  side = max(4.5, 0.32 * max(len(one.tokens) for one in maps))
  size = (side + 1.5) * len(maps), side + 1
  figure, axes = pyplot.subplots(1, len(maps), figsize=size, squeeze=False)
  number = -1 if layer is None else layer
  layers = [one.weight_LxHxTxT[number] for one in maps]
  shown = [
    weight_HxTxT.mean(axis=0) if head is None else weight_HxTxT[head] for weight_HxTxT in layers
  ]
  largest = max(weight_TxT.max() for weight_TxT in shown)
  for axis, one, weight_TxT in zip(axes[0], maps, shown):
    image = axis.imshow(weight_TxT, cmap='viridis', vmin=0, vmax=largest)
    axis.set_xticks(range(len(one.tokens)), one.tokens, rotation=90)
    axis.set_yticks(range(len(one.tokens)), one.tokens)
    axis.set(xlabel='Key (source)', ylabel='Query (target)')
    what = 'mean over heads' if head is None else f'head {head}'
    axis.set_title(f'{_short(one)}\nlayer {number % len(one.weight_LxHxTxT)}, {what}')
    figure.colorbar(image, ax=axis, fraction=0.046, pad=0.04, label='attention weight')
  return figure


def _short(maps: AttentionMaps) -> str:
  """The name of a model without its folder and step, and its mask."""
  path = maps.title.partition(',')[0].partition(' (')[0]
  return f'{Path(path).name}, {maps.mask}'
