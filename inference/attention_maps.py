"""What a network attends to in a text: as arrays and as a page."""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from configs.schema.check import ConfigError
from inference.model import Model
from models.masks import self_attention_mask
from runtime import finite
from runtime.figures import visible

LONGEST = 256  # tokens; a page of more would neither open fast nor be read


class AttentionMaps(NamedTuple):
  """The attention of a model on a text.

  Attributes:
    title: of the model, for people.
    weight_LxHxTxT: float32; the last axis is the key, and sums to 1.
    word_T: number of the word that a token belongs to.
    special_T: bool; put around the text, not part of it.
    visible_TxT: bool; whether the mask lets the query see the key.
  """

  title: str
  tokens: list[str]
  word_T: list[int]
  mask: str
  weight_LxHxTxT: Any
  special_T: Any
  visible_TxT: Any


def attention_maps(model: Model, text: str) -> AttentionMaps:
  """The attention weights of a text, as the network used them.

  Raises:
    ConfigError: the text is too long.
  """
  tokenizer = model.need_tokenizer()
  ids = tokenizer.encode([text])[0]
  before = [tokenizer.bos] if model.add_bos or not len(ids) else []
  after = [tokenizer.eos] if 'clm' not in model.heads else []
  row_T = [*before, *map(int, ids), *after]
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
  weight_LxHxTxT = np.asarray(inside['weights'])[:, 0]
  finite.check(weight_LxHxTxT, f'the attention of {model.source}')
  start_T = tokenizer.words.starts(np.array(row_T))
  start_T[0] = True
  word_T = (np.cumsum(start_T) - 1).tolist()
  return AttentionMaps(
    model.source,
    [tokenizer.readable(index) for index in row_T],
    word_T,
    model.mask,
    weight_LxHxTxT,
    np.array([True] * len(before) + [False] * len(ids) + [True] * len(after)),
    _visible(model.mask, batch['segment']),
  )


def _visible(mask: str, segment_1xT) -> np.ndarray:
  """visible_TxT of one text under a mask."""
  T = segment_1xT.shape[1]
  return np.asarray(self_attention_mask(mask, segment_1xT, packed=False).dense(T, T))[0]


def without_special(maps: AttentionMaps) -> AttentionMaps:
  """The same weights, not scaled up, without the rows and columns of special tokens.

  Raises:
    ConfigError: there are no other tokens.
  """
  keep_T = np.flatnonzero(~maps.special_T)
  if not len(keep_T):
    raise ConfigError('the text has no tokens but special ones: nothing is left to draw.')
  return maps._replace(
    tokens=[maps.tokens[t] for t in keep_T],
    word_T=[maps.word_T[t] for t in keep_T],
    weight_LxHxTxT=maps.weight_LxHxTxT[:, :, keep_T][..., keep_T],
    special_T=maps.special_T[keep_T],
    visible_TxT=maps.visible_TxT[keep_T][:, keep_T],
  )


def lowest_entropy_heads(maps: AttentionMaps, count: int = 5) -> list[dict]:
  """The heads of least entropy: nats and mean distance in tokens, over all queries.

  Where special tokens were left out, of each query's weights among the other tokens.
  """
  weight_LxHxTxT = maps.weight_LxHxTxT
  total_LxHxTx1 = weight_LxHxTxT.sum(axis=-1, keepdims=True)
  entropy_LxH, distance_LxH = measures(weight_LxHxTxT / np.maximum(total_LxHxTx1, 1e-30))
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


def page(maps: list[AttentionMaps], text: str, *, special: bool = True) -> str:
  """One HTML file with everything in it; weights are 16-bit integers, right to 1e-5.

  Args:
    special: whether special tokens are shown when the page opens; it has a switch.
  """
  models = []
  for one in maps:
    entropy_LxH, distance_LxH = measures(one.weight_LxHxTxT)
    whole = np.round(one.weight_LxHxTxT * 65535).astype('<u2')
    models.append(
      dict(
        title=one.title,
        mask=one.mask,
        tokens=[visible(token) for token in one.tokens],
        words=one.word_T,
        special=one.special_T.tolist(),
        visible=[''.join('01'[seen] for seen in row) for row in one.visible_TxT.astype(int)],
        layers=whole.shape[0],
        heads=whole.shape[1],
        entropy=entropy_LxH.round(4).tolist(),
        distance=distance_LxH.round(3).tolist(),
        weights=base64.b64encode(whole.tobytes()).decode(),
      )
    )
  template = Path(__file__).with_name('attention.html').read_text(encoding='utf-8')
  # a token may say </script>
  data = json.dumps(dict(text=text, special=special, models=models)).replace('<', '\\u003c')
  return template.replace('"DATA"', data)
