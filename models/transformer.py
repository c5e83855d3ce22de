"""The trunk: embeddings and a stack of blocks. BERT and GPT-2 differ here by config alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from models import kv_cache as caching
from models import positions
from models.attention import attend, attention_weights
from models.config import ModelConfig
from models.dropout import dropout
from models.gather import gather_positions, keep_rows
from models.layers import FeedForward, Linear, Norm, kernel_init, rms_normalise
from models.masks import Mask

# What a layer keeps for its backward pass where `remat`
# recomputes the rest of it; None: only what went in.
KEPT = dict(
  full=None,
  # Products with parameters, and what a kernel would have to
  # be run again for (models.splash names it).
  dots=jax.checkpoint_policies.save_from_both_policies(
    jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    jax.checkpoint_policies.save_only_these_names('attention'),
  ),
)


class Attention(nn.Module):
  """Multi-head attention with G key/value heads; self-attention over the row, or over the cache."""

  config: ModelConfig

  @nn.compact
  def __call__(self, x_BxSxD, cache, mask: Mask, position_BxS, read_BxT):
    config = self.config
    D, H, G, K = config.width, config.heads, config.G, config.K
    q_BxTxHxK = Linear(config, 'D', 'HK', (D, H, K), name='query')(
      gather_positions(x_BxSxD, read_BxT)
    )
    k_BxSxGxK = Linear(config, 'D', 'GK', (D, G, K), name='key')(x_BxSxD)
    v_BxSxGxK = Linear(config, 'D', 'GK', (D, G, K), name='value')(x_BxSxD)
    if config.qk_norm:
      q_BxTxHxK = rms_normalise(q_BxTxHxK, config.norm_epsilon)
      k_BxSxGxK = rms_normalise(k_BxSxGxK, config.norm_epsilon)
    if config.positions == 'rotary':
      q_BxTxHxK = positions.rotate(
        q_BxTxHxK, gather_positions(position_BxS, read_BxT), base=config.rotary_base
      )
      k_BxSxGxK = positions.rotate(k_BxSxGxK, position_BxS, base=config.rotary_base)
    if cache is not None:
      cache = tuple(
        caching.write(cached, new, position_BxS)
        for cached, new in zip(cache, (k_BxSxGxK, v_BxSxGxK))
      )
      k_BxSxGxK, v_BxSxGxK = map(caching.read, cache)
    if self.is_mutable_collection('intermediates'):
      self.sow('intermediates', 'weights', attention_weights(q_BxTxHxK, k_BxSxGxK, mask))
    drop = None
    if config.attention_dropout and self.has_rng('dropout'):
      drop = (self.make_rng('dropout'), config.attention_dropout)
    # A name is for rows of the right length: not for the few
    # tokens of `init`, nor for what a cache gives back.
    whole = cache is None and read_BxT is None and not self.is_initializing()
    named = config.attention if whole and config.attention != 'auto' else None
    out_BxTxHxK = attend(q_BxTxHxK, k_BxSxGxK, v_BxSxGxK, mask, dropout=drop, implementation=named)
    out_BxTxD = Linear(config, 'HK', 'D', (H, K, D), residual=True, name='output')(out_BxTxHxK)
    return out_BxTxD, cache


def _thinned(module: nn.Module, x_BxTxD):
  """After dropout, which is on exactly when the network was applied with a key."""
  rate = module.config.dropout
  return (
    dropout(module.make_rng('dropout'), x_BxTxD, rate)
    if rate and module.has_rng('dropout')
    else x_BxTxD
  )


class Block(nn.Module):
  """Attention, then feed-forward, each around a residual; the norm comes before or after.

  With read_BxT, the outputs of these positions alone: of the
  others only keys and values are computed.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, x_BxSxD, cache, mask: Mask, position_BxS, read_BxT=None):
    config = self.config
    attention = Attention(config, name='attention')
    feed_forward = FeedForward(config, name='feed_forward')
    attention_norm = Norm(config, name='attention_norm')
    feed_forward_norm = Norm(config, name='feed_forward_norm')
    x_BxTxD = gather_positions(x_BxSxD, read_BxT)
    if config.norm_position == 'pre':
      update_BxTxD, cache = attention(attention_norm(x_BxSxD), cache, mask, position_BxS, read_BxT)
      x_BxTxD += _thinned(self, update_BxTxD)
      x_BxTxD += _thinned(self, feed_forward(feed_forward_norm(x_BxTxD)))
    else:
      update_BxTxD, cache = attention(x_BxSxD, cache, mask, position_BxS, read_BxT)
      x_BxTxD = attention_norm(x_BxTxD + _thinned(self, update_BxTxD))
      update_BxTxD = feed_forward(x_BxTxD)
      x_BxTxD = feed_forward_norm(x_BxTxD + _thinned(self, update_BxTxD))
    x_BxTxD = keep_rows(x_BxTxD)
    self.sow('intermediates', 'hidden', x_BxTxD)
    return x_BxTxD, cache


class Embeddings(nn.Module):
  """Token + position + sentence-type embeddings, summed; projected to D when they are narrower."""

  config: ModelConfig

  def setup(self):
    config = self.config
    table = lambda name, letter, rows, init: self.param(
      name, nn.with_logical_partitioning(init, (letter, 'E')), (rows, config.E)
    )
    self.token_VxE = table('token', 'V', config.vocab_size, kernel_init(config))
    if config.positions == 'learned':
      self.position_SxE = table('position', 'S', config.max_length, kernel_init(config))
    if config.segment_types:
      self.type_CxE = table('type', 'C', config.segment_types, kernel_init(config))
    if config.embedding_norm:
      self.norm = Norm(config, 'E')
    if config.E != config.width:
      self.projection = Linear(config, 'E', 'D', (config.E, config.width))

  def __call__(self, token_BxT, type_BxT, position_BxT):
    config = self.config
    x_BxTxE = self.token_VxE[token_BxT]
    if config.positions == 'learned':
      x_BxTxE += self.position_SxE[position_BxT + config.position_offset]
    elif config.positions == 'sinusoidal':
      table_SxE = jnp.asarray(positions.sinusoidal_table(config.max_length, config.E))
      x_BxTxE += table_SxE[position_BxT + config.position_offset]
    if config.segment_types:
      x_BxTxE += self.type_CxE[type_BxT]
    if config.embedding_norm:
      x_BxTxE = self.norm(x_BxTxE)
    x_BxTxE = keep_rows(_thinned(self, x_BxTxE.astype(config.dtype)))
    return self.projection(x_BxTxE) if config.E != config.width else x_BxTxE


class Transformer(nn.Module):
  """The stack of blocks, their parameters stacked along L:
  one scanned body, or a layer after the other.

  With read_BxT, the outputs of these positions alone; where there is
  no loop, the last layer computes nothing else.
  """

  config: ModelConfig

  @nn.compact
  def __call__(
    self, x_BxTxD, mask: Mask, position_BxT, cache: caching.Cache | None = None, read_BxT=None
  ):
    config = self.config
    S = x_BxTxD.shape[1] if cache is None else cache.S
    mask = mask.draw(x_BxTxD.shape[1], S)
    layers = None if cache is None else (cache.key, cache.value)
    looked_into = self.is_initializing() or self.is_mutable_collection('intermediates')
    if self.has_variable('params', 'block_0'):
      x_BxTxD, layers = self._with_cache(x_BxTxD, layers, mask, position_BxT)
    elif config.scan or cache is not None or looked_into:
      x_BxTxD, layers = self._scanned()(x_BxTxD, layers, mask, position_BxT)
    else:
      x_BxTxD, read_BxT = self._one_by_one(x_BxTxD, mask, position_BxT, read_BxT), None
    x_BxTxD = gather_positions(x_BxTxD, read_BxT)
    if config.final_norm:
      x_BxTxD = Norm(config, name='final_norm')(x_BxTxD)
    return x_BxTxD, None if cache is None else caching.Cache(*layers)

  def _block(self):
    config = self.config
    if config.remat not in KEPT:
      return Block
    return nn.remat(Block, prevent_cse=not config.scan, policy=KEPT[config.remat])

  def _scanned(self):
    config, shared = self.config, self.config.shared_layers
    return nn.scan(
      self._block(),
      variable_axes={'intermediates': 0} if shared else {'params': 0, 'intermediates': 0},
      variable_broadcast='params' if shared else False,
      split_rngs={'params': not shared, 'dropout': True},
      in_axes=(0, nn.broadcast, nn.broadcast),
      length=config.layers,
      metadata_params={} if shared else {nn.PARTITION_NAME: 'L'},
    )(config, name='blocks')

  def _one_by_one(self, x_BxTxD, mask: Mask, position_BxT, read_BxT):
    """The stacked layers without a loop."""
    config, params = self.config, self.get_variable('params', 'blocks')
    if config.shared_layers:
      layers = [params] * config.layers
    else:
      # Not x[i]: the gradient of a split is one
      # concatenation, that of a slice as large as the stack.
      stacks, tree = jax.tree.flatten(params)
      apart = zip(*(jax.lax.split(x, (1,) * config.layers) for x in stacks))
      layers = [jax.tree.unflatten(tree, [x[0] for x in layer]) for layer in apart]
    block = self._block()(config, parent=None)
    for index, layer in enumerate(layers):
      last = index + 1 == config.layers and read_BxT is not None
      rngs = dict(dropout=self.make_rng('dropout')) if self.has_rng('dropout') else None
      x_BxTxD, _ = block.apply(
        dict(params=layer),
        x_BxTxD,
        None,
        mask.take_queries(read_BxT) if last else mask,
        position_BxT,
        read_BxT if last else None,
        rngs=rngs,
      )
    return x_BxTxD

  def _with_cache(self, x_BxTxD, layers, mask: Mask, position_BxT):
    """For parameters and a cache that are not stacked: as `decode_layout` gives them."""
    count = self.config.layers
    blocks = [
      Block(self.config, name=f'block_{i}')
      for i in range(1 if self.config.shared_layers else count)
    ]
    written = []
    for index, layer in enumerate(zip(*layers)):
      x_BxTxD, layer = blocks[index % len(blocks)](x_BxTxD, layer, mask, position_BxT)
      written.append(layer)
    return x_BxTxD, tuple(zip(*written))
