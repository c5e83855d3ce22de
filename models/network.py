"""The network as the rest of the code sees it: two functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
import jax
import jax.numpy as jnp

from models import attention, depth_loop, positions
from models.config import ModelConfig
from models.embeddings import Embeddings
from models.gather import gather_positions
from models.heads import head_of
from models.kv_cache import Cache
from models.masks import KINDS, Mask, self_attention_mask
from models.transformer import Rows, Transformer


class Network(NamedTuple):
  """A network without its parameters.

  Attributes:
    init: (key, batch) -> params, each leaf boxed with the letters of its axes.
    apply: (params, batch, key=None, *, cache=None) -> outputs: those of the heads by name, and
      `hidden`, BxTxD of the trunk, unless the last layer only computes what heads read. Dropout is
      on exactly when a key is given.
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
  def __call__(self, batch: dict[str, jax.Array], cache: Cache | None = None, inspect=False):
    """(outputs by name, Inside of all layers or None)."""
    config = self.config
    rows = self._rows(batch, cache)
    embeddings = Embeddings(config, name='embeddings')
    x_BxTxD = embeddings(batch['token'], batch['type'], rows.position_BxS, rows.row_B)
    heads = {name: head_of(config, name) for name in self.heads}
    reads = {name: head.reads(batch) for name, head in heads.items()}
    few = config.selective and reads and not inspect
    few = few and all(index_BxP is not None for index_BxP in reads.values())
    read_BxP = jnp.concatenate(list(reads.values()), axis=1) if few else None
    hidden_BxTxD, cache, inside = Transformer(config, name='trunk')(
      x_BxTxD, rows, cache, read_BxP, inspect
    )
    outputs = {} if few else dict(hidden=hidden_BxTxD)
    given = _apart(hidden_BxTxD, reads) if few else _gathered(hidden_BxTxD, reads)
    modules = {}  # by the owner of the parameters: two heads may share them
    for name, head in heads.items():
      owner = head.owner or name
      if owner not in modules:
        modules[owner] = head.module(config, name=owner)
      outputs[name] = modules[owner](given[name], batch, embeddings.token_VxE)
    if cache is not None:
      outputs['cache'] = cache
    return outputs, inside

  def _rows(self, batch, cache: Cache | None) -> Rows:
    """Mask, positions and numbers of the batch's rows."""
    B = batch['token'].shape[0]
    has_prefix = KINDS[self.mask].prefix and 'prefix' in batch
    prefix_BxS = batch['prefix'] if has_prefix else None
    if cache is None:
      segment_BxT = batch['segment']
      position_BxT = positions.in_document(segment_BxT)
      mask = self_attention_mask(self.mask, segment_BxT, packed=self.packed, prefix_BxS=prefix_BxS)
    else:
      position_BxT = batch['position']
      mask = Mask(causal=True, q_position_BxT=position_BxT, prefix_BxS=prefix_BxS)
    return Rows(mask, position_BxT, batch['row'] if 'row' in batch else jnp.arange(B))


def _gathered(hidden_BxTxD, reads: dict[str, jax.Array | None]) -> dict[str, jax.Array]:
  """What each head is given of the whole rows."""
  return {name: gather_positions(hidden_BxTxD, index_BxP) for name, index_BxP in reads.items()}


def _apart(hidden_BxPxD, reads: dict[str, jax.Array]) -> dict[str, jax.Array]:
  """What each head is given, where only what they read was computed, side by side."""
  given, first = {}, 0
  for name, index_BxP in reads.items():
    end = first + index_BxP.shape[1]
    given[name] = hidden_BxPxD[:, first:end]  # a split would sum the gradient in another order
    first = end
  return given


def make_network(
  config: ModelConfig, *, mask: str, packed: bool, heads: tuple[str, ...] = ()
) -> Network:
  """The network of a config.

  A batch holds token, segment and type (BxT), for the mlm head mlm_position (BxP), and for cached
  decoding position (BxT) in place of segment. `row` (B) are the rows' numbers in the global batch,
  which dropout draws by; 0, 1, ... unless given. Under a mask with a prefix the batch may hold
  prefix (BxT, BxS where cached), the tokens that are read from both sides; otherwise a row is all
  prefix, and a cache has none.

  Args:
    mask: a key of `models.masks.KINDS`.
    packed: whether segments of a row are separate documents.
    heads: names of `models.heads.HEADS`, as the objectives ask for them; none gives the bare trunk.
  """
  module = _Network(config, mask, packed, tuple(heads))

  def init(key, batch):
    params = module.init(key, batch)['params']
    if config.skip_first_norm:
      blocks = depth_loop.without_first_norm(params['trunk']['blocks'])
      params = params | dict(trunk=params['trunk'] | dict(blocks=blocks))
    return params

  def apply(params, batch, key=None, *, cache=None):
    rngs = None if key is None else dict(dropout=key)
    outputs, _ = module.apply(dict(params=params), batch, cache, rngs=rngs)
    return outputs

  def inspect(params, batch):
    outputs, inside = module.apply(dict(params=params), batch, inspect=True)
    return outputs, inside._asdict()

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
  key_1 = jax.random.split(jax.random.key(0), 1)
  drop = (key_1, config.attention_dropout) if config.attention_dropout else None
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
