"""The trunk: a stack of blocks. BERT and GPT-2 differ here by config alone."""

from collections.abc import Callable
import dataclasses
import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from models import depth_loop, kv_cache
from models.attention import attend, attention_weights
from models.config import ModelConfig
from models.depth import LayerKind
from models.depth_loop import Layer
from models.dropout import dropout, row_keys
from models.gather import gather_positions
from models.layers import FeedForward, Linear, Norm, rms_normalise
from models.masks import Mask
from models.positions import POSITIONS
from parallel.axes import keep_rows

# What a layer keeps for its backward pass where `remat` recomputes the rest of it; None: only what
# went in.
KEPT = dict(
  full=None,
  # Products with parameters, and what a kernel would have to be run again for (models.splash names
  # it).
  dots=jax.checkpoint_policies.save_from_both_policies(
    jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    jax.checkpoint_policies.save_only_these_names('attention'),
  ),
)


class Rows(NamedTuple):
  """What every layer is told of the rows that it reads.

  Attributes:
    position_BxS: of each token in its document.
    row_B: numbers of the rows in the global batch, which dropout draws by.
    windowed: the mask of the layers that have a window, where there are any.
  """

  mask: Mask
  position_BxS: jax.Array
  row_B: jax.Array
  windowed: Mask | None = None


class Inside(NamedTuple):
  """What one layer did, for people who look: attention weights and its output.

  Attributes:
    weights: float32 BxHxTxS, each query's over its keys.
    hidden: BxTxD.
  """

  weights: jax.Array
  hidden: jax.Array


class Attention(nn.Module):
  """Multi-head attention with G key/value heads; self-attention over the row, or over the cache."""

  config: ModelConfig
  kind: LayerKind

  @nn.compact
  def __call__(self, x_BxSxD, rows: Rows, cache=None, query_index_BxT=None, inspect=False):
    """(out_BxTxD, cache with the new keys and values, weights_BxHxTxS or None).

    Args:
      cache: (key, value) of earlier tokens, each BxGxSxK; None: the row is all there is.
      query_index_BxT: the positions that are queries; None: all of them.
      inspect: compute the weights too.
    """
    config = self.config
    D, H, G, K = config.width, config.heads, config.G, config.K
    if self.has_variable('params', 'joint'):  # inference.layout.joined made it
      qkv_BxSxHxK = Linear(config, 'D', 'HK', (D, H + 2 * G, K), name='joint')(x_BxSxD)
      q_BxSxHxK, k_BxSxGxK, v_BxSxGxK = jnp.split(qkv_BxSxHxK, (H, H + G), axis=2)
      q_BxTxHxK = gather_positions(q_BxSxHxK, query_index_BxT)
    else:
      q_BxTxHxK = Linear(config, 'D', 'HK', (D, H, K), name='query')(
        gather_positions(x_BxSxD, query_index_BxT)
      )
      k_BxSxGxK = Linear(config, 'D', 'GK', (D, G, K), name='key')(x_BxSxD)
      v_BxSxGxK = Linear(config, 'D', 'GK', (D, G, K), name='value')(x_BxSxD)
    if config.qk_norm:
      q_BxTxHxK = rms_normalise(q_BxTxHxK, config.norm_epsilon)
      k_BxSxGxK = rms_normalise(k_BxSxGxK, config.norm_epsilon)
    if rotate := POSITIONS[config.positions].rotate:
      position_BxT = gather_positions(rows.position_BxS, query_index_BxT)
      q_BxTxHxK = rotate(q_BxTxHxK, position_BxT, base=self.kind.rotary_base)
      k_BxSxGxK = rotate(k_BxSxGxK, rows.position_BxS, base=self.kind.rotary_base)
    if cache is not None:
      key, value = cache
      key = kv_cache.write(key, k_BxSxGxK, rows.position_BxS)
      value = kv_cache.write(value, v_BxSxGxK, rows.position_BxS)
      cache = key, value
      k_BxSxGxK, v_BxSxGxK = kv_cache.read(key), kv_cache.read(value)
    mask = rows.windowed if self.kind.window else rows.mask
    mask = mask if query_index_BxT is None else mask.take_queries(query_index_BxT)
    # A named implementation applies to full training rows only; `init` and cached decoding choose
    # automatically.
    whole = cache is None and query_index_BxT is None and not self.is_initializing()
    out_BxTxHxK = attend(
      q_BxTxHxK,
      k_BxSxGxK,
      v_BxSxGxK,
      mask,
      dropout=self._dropout(rows.row_B),
      implementation=config.attention if whole and config.attention != 'auto' else None,
    )
    out_BxTxD = Linear(config, 'HK', 'D', (H, K, D), residual=True, name='output')(out_BxTxHxK)
    weights_BxHxTxS = attention_weights(q_BxTxHxK, k_BxSxGxK, mask) if inspect else None
    return out_BxTxD, cache, weights_BxHxTxS

  def _dropout(self, row_B) -> tuple[jax.Array, float] | None:
    """(key_B, rate) of dropout on the probabilities, where it is on."""
    rate = self.config.attention_dropout
    if not rate or not self.has_rng('dropout'):
      return None
    return row_keys(self.make_rng('dropout'), row_B), rate


class Block(nn.Module):
  """Attention, then feed-forward, each around a residual; the norm comes before or after."""

  config: ModelConfig
  kind: LayerKind

  @nn.compact
  def __call__(self, x_BxSxD, cache, rows: Rows, query_index_BxT=None, inspect=False):
    """(x_BxTxD, (cache, Inside or None)).

    Args:
      cache: as of Attention.
      query_index_BxT: the only positions whose output is wanted: of the others only keys and values
        are computed.
    """
    config = self.config
    attention = Attention(config, self.kind, name='attention')
    feed_forward = FeedForward(config, name='feed_forward')
    attention_norm = Norm(config, name='attention_norm')
    feed_forward_norm = Norm(config, name='feed_forward_norm')
    pre = config.norm_position == 'pre'

    x_BxTxD = gather_positions(x_BxSxD, query_index_BxT)
    read_BxSxD = attention_norm(x_BxSxD) if pre and self.kind.attention_norm else x_BxSxD
    update_BxTxD, cache, weights_BxHxTxS = attention(
      read_BxSxD, rows, cache, query_index_BxT, inspect
    )
    x_BxTxD += self._drop(update_BxTxD, rows.row_B)
    if not pre:
      x_BxTxD = attention_norm(x_BxTxD)
    update_BxTxD = feed_forward(feed_forward_norm(x_BxTxD) if pre else x_BxTxD)
    x_BxTxD += self._drop(update_BxTxD, rows.row_B)
    if not pre:
      x_BxTxD = feed_forward_norm(x_BxTxD)
    x_BxTxD = keep_rows(x_BxTxD)
    return x_BxTxD, (cache, Inside(weights_BxHxTxS, x_BxTxD) if inspect else None)

  def _drop(self, x_BxTxD, row_B):
    """Applies dropout; on if and only if `apply` was given a key."""
    rate = self.config.dropout
    if not rate or not self.has_rng('dropout'):
      return x_BxTxD
    return dropout(row_keys(self.make_rng('dropout'), row_B), x_BxTxD, rate)


class Transformer(nn.Module):
  """The stack of blocks, their parameters stacked along L: one body, scanned or looped over."""

  config: ModelConfig

  @nn.compact
  def __call__(
    self, x_BxTxD, rows: Rows, cache: kv_cache.Cache | None = None, read_BxP=None, inspect=False
  ):
    """(x_BxPxD, cache with the new tokens or None, Inside stacked along L or None).

    Args:
      cache: what every layer has read so far; its arrays are stacked as the parameters are.
      read_BxP: the positions whose output is wanted; None: all of them. Where layers are looped
        over, the last one computes no other.
    """
    config = self.config
    T = x_BxTxD.shape[1]
    S = T if cache is None else cache.S
    if config.window:
      windowed = dataclasses.replace(rows.mask, window=(config.window, config.window))
      rows = rows._replace(windowed=windowed.draw(T, S))
    rows = rows._replace(mask=rows.mask.draw(T, S))
    if self.is_initializing():
      x_BxTxD, (cached, inside) = self._init_blocks(x_BxTxD, rows)
    else:
      params = self.get_variable('params', 'blocks')
      keys = None
      if self.has_rng('dropout'):
        keys = jax.random.split(self.make_rng('dropout'), config.layers)
      run = depth_loop.scan if _is_stacked(config, params, cache) else depth_loop.loop
      body = functools.partial(_body, config, _shared(config, params), rows, inspect)
      x_BxTxD, (cached, inside) = run(config, body, x_BxTxD, params, cache, keys, read_BxP)
    if config.final_norm:
      x_BxTxD = Norm(config, name='final_norm')(x_BxTxD)
    return x_BxTxD, None if cached is None else kv_cache.Cache(*cached), inside

  def _init_blocks(self, x_BxTxD, rows: Rows):
    """Makes the parameters, by flax's own scan: initial bits are part of what a seed means."""
    shared = self.config.shared_layers
    scanned = nn.scan(
      Block,
      variable_axes={} if shared else {'params': 0},
      variable_broadcast='params' if shared else False,
      split_rngs={'params': not shared},
      in_axes=(0, nn.broadcast),
      length=self.config.layers,
      metadata_params={} if shared else {nn.PARTITION_NAME: 'L'},
    )
    kind = LayerKind(0, self.config.rotary_base)  # whose parameters are those of every kind
    return scanned(self.config, kind, name='blocks')(x_BxTxD, None, rows)


def _is_stacked(config: ModelConfig, params, cache: kv_cache.Cache | None) -> bool:
  """Whether layers are scanned: parameters and cache lie along L, and nothing asks for a loop."""
  if isinstance(params, tuple):
    return False
  return config.scan or cache is not None


def _shared(config: ModelConfig, params):
  """The parameters that all layers use; None where each has its own."""
  if not config.shared_layers:
    return None
  return params[0] if isinstance(params, tuple) else params


def _body(
  config: ModelConfig,
  shared_params,
  rows: Rows,
  inspect: bool,
  kind: LayerKind,
  alone: bool = False,
) -> Callable:
  """What one layer does: (x_BxTxD, Layer, read_BxP) -> (x, (cache, Inside or None)).

  Args:
    alone: it stands outside the scan of a network whose layers are scanned.
  """
  block = Block(config, kind, parent=None)

  def body(x_BxTxD, layer: Layer, read_BxP=None):
    params = layer.params if shared_params is None else shared_params
    rngs = None if layer.key is None else dict(dropout=layer.key)
    return block.apply(
      dict(params=params), x_BxTxD, layer.cache, rows, read_BxP, inspect, rngs=rngs
    )

  if config.remat not in KEPT:
    return body
  return jax.checkpoint(body, prevent_cse=alone or not config.scan, policy=KEPT[config.remat])
