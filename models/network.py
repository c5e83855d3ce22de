"""The network as the rest of the code sees it: two functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
import jax
import jax.numpy as jnp

from models import attention, positions
from models import heads as head_modules
from models.config import ModelConfig
from models.gather import gather_positions
from models.kv_cache import Cache
from models.masks import Mask, self_attention_mask
from models.transformer import Embeddings, Transformer


class Network(NamedTuple):
  """A network without its parameters.

  Attributes:
    init: (key, batch) -> params, each leaf boxed with the letters of its axes.
    apply: (params, batch, key=None, *, cache=None) -> outputs: `hidden`, which is the trunk's,
      unless the last layer only computes what heads read, and those of the heads. Dropout is on
      exactly when a key is given.
    inspect: (params, batch) -> (outputs, {'weights': LxBxHxTxT, 'hidden': LxBxTxD}).
  """

  init: Callable[..., Any]
  apply: Callable[..., dict[str, Any]]
  inspect: Callable[..., tuple[dict[str, Any], dict[str, jax.Array]]]


class _Network(nn.Module):
  config: ModelConfig
  mask: str
  packed: bool
  heads: tuple[str, ...]

  @nn.compact
  def __call__(self, batch: dict[str, jax.Array], cache: Cache | None = None) -> dict[str, Any]:
    token_BxT = batch['token']
    prefix_BxS = batch['prefix'] if self.mask == 'prefix' and 'prefix' in batch else None
    if cache is None:
      position_BxT = positions.in_document(batch['segment'])
      mask = self_attention_mask(
        self.mask, batch['segment'], packed=self.packed, prefix_BxS=prefix_BxS
      )
    else:
      position_BxT = batch['position']
      mask = Mask(causal=True, q_position_BxT=position_BxT, prefix_BxS=prefix_BxS)
    embeddings = Embeddings(self.config, name='embeddings')
    hidden_BxTxD = embeddings(token_BxT, batch['type'], position_BxT)
    asked = [
      ('mlm', {}) if name == 'clm' and self.config.shared_head else (name, batch)
      for name in self.heads
    ]
    places = [head_modules.places(*one) for one in asked]
    few = (
      self.config.selective and bool(places) and all(place_BxP is not None for place_BxP in places)
    )
    hidden_BxTxD, cache = Transformer(self.config, name='trunk')(
      hidden_BxTxD, mask, position_BxT, cache, jnp.concatenate(places, axis=1) if few else None
    )
    outputs = {} if few else dict(hidden=hidden_BxTxD)
    heads = {owner: head_modules.HEADS[owner](self.config, name=owner) for owner in dict(asked)}
    first = 0
    for name, (owner, of), place_BxP in zip(self.heads, asked, places):
      if few:
        own_BxPxD = hidden_BxTxD[:, first : first + place_BxP.shape[1]]
        first += place_BxP.shape[1]
      else:
        own_BxPxD = gather_positions(hidden_BxTxD, place_BxP)
      outputs[name] = heads[owner](own_BxPxD, of, embeddings.token_VxE)
    if cache is not None:
      outputs['cache'] = cache
    return outputs


def make_network(
  config: ModelConfig, *, mask: str, packed: bool, heads: tuple[str, ...] = ()
) -> Network:
  """The network of a config.

  Args:
    mask: 'bidirectional', 'causal' or 'prefix'.
    packed: whether segments of a row are separate documents.
    heads: names of `models.heads.HEADS`, as the objectives ask for them; none gives the bare trunk.

  A batch holds token, segment and type (BxT), for the mlm head mlm_position (BxP), and for cached
  decoding position (BxT) in place of segment. With mask='prefix' it may hold prefix (BxT, BxS where
  cached), the tokens that are read from both sides; otherwise
  a row is all prefix, and a cache has none.
  """
  module = _Network(config, mask, packed, tuple(heads))

  def init(key, batch):
    return module.init(key, batch)['params']

  def apply(params, batch, key=None, *, cache=None):
    rngs = None if key is None else dict(dropout=key)
    return module.apply(dict(params=params), batch, cache, rngs=rngs)

  def inspect(params, batch):
    outputs, variables = module.apply(dict(params=params), batch, mutable='intermediates')
    blocks = variables['intermediates']['trunk']['blocks']
    return outputs, dict(weights=blocks['attention']['weights'][0], hidden=blocks['hidden'][0])

  return Network(init, apply, inspect)


def attention_in_use(config: ModelConfig, *, mask: str, packed: bool, T: int) -> str:
  """The implementation of `models.attention` that reads training
  rows of T tokens, on the mesh in context.
  """
  segment_BxT = jnp.ones((1, T), jnp.int32)
  described = self_attention_mask(mask, segment_BxT, packed=packed, prefix_BxS=segment_BxT > 0)
  q_BxTxHxK, k_BxSxGxK = (
    jax.ShapeDtypeStruct((1, T, heads, config.K), config.dtype)
    for heads in (config.heads, config.G)
  )
  drop = (jax.random.key(0), config.attention_dropout) if config.attention_dropout else None
  return attention.chosen(
    q_BxTxHxK,
    k_BxSxGxK,
    k_BxSxGxK,
    described,
    dropout=drop,
    implementation=None if config.attention == 'auto' else config.attention,
  )


def example_batch(B: int, T: int, P: int) -> dict[str, jax.Array]:
  """A batch of the right shapes and no meaning, for `init` and for counting."""
  ones_BxT = jnp.ones((B, T), jnp.int32)
  return dict(
    token=ones_BxT, segment=ones_BxT, type=0 * ones_BxT, mlm_position=jnp.zeros((B, P), jnp.int32)
  )


def make_params(network: Network, key: jax.Array):
  """Initial parameters as plain arrays."""
  return nn.unbox(network.init(key, example_batch(1, 8, 2)))


def parameter_shapes(network: Network) -> dict[str, tuple[int, ...]]:
  """Shape of every parameter by its path, as in
  'trunk/blocks/attention/query/kernel'; nothing is computed.
  """
  params = jax.eval_shape(lambda: network.init(jax.random.key(0), example_batch(1, 8, 2)))
  return {path: leaf.shape for path, leaf in by_path(nn.unbox(params)).items()}


def by_path(params) -> dict[str, Any]:
  """A tree of parameters as a flat dictionary."""
  return flatten_dict(params, sep='/')


def from_paths(flat: dict[str, Any]):
  """`by_path` backwards."""
  return unflatten_dict(flat, sep='/')
