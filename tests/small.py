"""Small models for tests: a published shape in everything but size."""

import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np

from models.config import ModelConfig
from models.network import Network, make_network, make_params

SIZES = dict(
  layers=2,
  width=32,
  heads=4,
  feed_forward=64,
  vocab_size=50,
  max_length=64,
  dropout=0.0,
  attention_dropout=0.0,
)

LLAMA = dict(
  positions='rotary',
  norm='rms',
  gated=True,
  bias=False,
  activation='silu',
  kv_heads=2,
  tie_embeddings=False,
)
MODERN = dict(
  layers=4,
  positions='rotary',
  window=3,
  global_every=2,
  rotary_base=500.0,
  window_rotary_base=30.0,
  skip_first_norm=True,
  segment_types=0,
  norm_position='pre',
  final_norm=True,
  gated=True,
  bias=False,
  norm_epsilon=1e-5,
)
EUROBERT = LLAMA | dict(
  plain_mlm=True, norm_position='pre', final_norm=True, embedding_norm=False, segment_types=0
)
GPT1 = dict(norm_position='post', final_norm=False, feed_forward=128)


def model(config: str = 'bert_base', **changes) -> ModelConfig:
  published = importlib.import_module(f'configs.{config}').get_config().model.to_dict()
  return ModelConfig(**published | SIZES | changes)


def network(
  config: str = 'bert_base', *, mask='bidirectional', packed=True, heads=(), **changes
) -> tuple[Network, dict]:
  """(network, parameters): initialised wider than published, so that attention is far from uniform.

  The same arguments give the same network, whose jitted functions are compiled once for all tests.
  """
  changed = tuple(sorted((dict(init_scale=0.3) | changes).items()))
  net, params = _made(config, mask, packed, tuple(heads), changed)
  return net, jax.tree.map(lambda x: x, params)  # dicts of its own: a test may change them


@functools.cache
def _made(config: str, mask: str, packed: bool, heads: tuple, changed: tuple):
  net = make_network(model(config, **dict(changed)), mask=mask, packed=packed, heads=heads)
  params = jax.jit(lambda key: make_params(net, key))(jax.random.key(0))
  return net._replace(apply=jax.jit(net.apply), inspect=jax.jit(net.inspect)), params


def batch(token_BxT, segment_BxT=None) -> dict:
  token_BxT = jnp.asarray(token_BxT, jnp.int32)
  segment_BxT = (
    jnp.ones_like(token_BxT) if segment_BxT is None else jnp.asarray(segment_BxT, jnp.int32)
  )
  return dict(
    token=token_BxT,
    segment=segment_BxT,
    type=jnp.zeros_like(token_BxT),
    mlm_position=jnp.zeros((token_BxT.shape[0], 2), jnp.int32),
  )


def tokens(B: int, T: int, V: int = 50, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).integers(5, V, (B, T)).astype(np.int32)
