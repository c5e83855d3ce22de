"""Autoregressive generation: one prefill of the prompt into a KV cache, then a step a token.

Both programs are pure: the cache is an argument and a result. Rows are ragged: each has its own
length. What padding writes into the cache lies at positions that its row overwrites before it sees
them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data.rows.batches import next_multiple
from inference.sampling import Sampling, choose
from models import kv_cache as caching
from models.config import ModelConfig
from models.depth_loop import first_layer
from models.network import Network, by_path, from_paths

# lengths are rounded up to one of these or a multiple of the last: few programs serve all
_BUCKETS = (16, 32, 64)


class Row(NamedTuple):
  """The state of a batch between two steps, on the device.

  Attributes:
    token_B: the newest, which the cache does not hold yet.
    position_B: of that token.
    seen_BxV: which tokens a row holds, for the repetition penalty.
    key_B: of each row; step i draws with fold_in(key, i).
  """

  cache: caching.Cache
  token_B: jax.Array
  position_B: jax.Array
  seen_BxV: jax.Array
  key_B: jax.Array


class Decoder:
  """A network with its two compiled programs, prefill and step.

  Args:
    network: causal or prefix, with the head clm.
    params: as trained; they are laid out for decoding here.
  """

  def __init__(self, network: Network, config: ModelConfig, params, sampling: Sampling):
    self._network, self._config, self._sampling = network, config, sampling
    self._params = decode_layout(params, config)
    self._read = jax.jit(self._read_prompt, static_argnames='S')
    self._step = jax.jit(self._next, donate_argnums=1)

  def start(
    self, prompts: list[np.ndarray], keys: list[jax.Array], *, room: int
  ) -> tuple[Row, jax.Array]:
    """(row, logprob_B in nats) after the first new token of each prompt.

    Args:
      prompts: token ids, at least one each.
      keys: of the sampler, one a row.
      room: tokens that fit into the cache after the longest prompt.
    """
    length_B = np.array([len(prompt) for prompt in prompts], np.int32)
    T = min(bucket(int(length_B.max())), self._context)
    S = min(bucket(int(length_B.max()) + room), self._context)
    token_BxT = np.zeros((len(prompts), T), np.int32)
    for token_T, prompt in zip(token_BxT, prompts):
      token_T[: len(prompt)] = prompt
    return self._read(self._params, token_BxT, length_B, jnp.stack(keys), S=max(S, T))

  def step(self, row: Row) -> tuple[Row, jax.Array]:
    """(row, logprob_B in nats) after one more token; the old row's buffers are donated."""
    return self._step(self._params, row)

  @property
  def programs(self) -> int:
    """How many were compiled so far."""
    return self._read._cache_size() + self._step._cache_size()

  @property
  def _context(self) -> int:
    return self._config.max_length - self._config.position_offset

  def _logits(self, params, token_BxT, position_BxT, cache, last_B, **more):
    """(logits_BxV of the position last_B of each row, float32; cache with these tokens)."""
    batch = dict(token=token_BxT, type=jnp.zeros_like(token_BxT), position=position_BxT, **more)
    outputs = self._network.apply(params, batch, cache=cache)
    hidden_BxTxE, table_VxE, bias_V = outputs['clm']
    hidden_BxE = jnp.take_along_axis(hidden_BxTxE, last_B[:, None, None], axis=1)[:, 0]
    logits_VxB = jnp.einsum('VE,BE->VB', table_VxE.astype(hidden_BxE.dtype), hidden_BxE)
    logits_BxV = logits_VxB.T.astype(jnp.float32)
    return logits_BxV if bias_V is None else logits_BxV + bias_V[None], outputs['cache']

  def _read_prompt(self, params, token_BxT, length_B, key_B, *, S: int):
    """Prefill: `start` on padded prompts, with a cache of S positions."""
    B, T = token_BxT.shape
    position_BxT = jnp.broadcast_to(jnp.arange(T)[None], (B, T))
    cache = caching.empty(self._config, B, S, stacked=False)
    prompt_BxS = jnp.arange(S)[None] < length_B[:, None]  # a prefix-LM reads it bidirectionally
    logits_BxV, cache = self._logits(
      params, token_BxT, position_BxT, cache, length_B - 1, prefix=prompt_BxS
    )
    real_BxT = jnp.where(position_BxT < length_B[:, None], token_BxT, token_BxT[:, :1])
    seen_BxV = jnp.zeros(logits_BxV.shape, bool).at[jnp.arange(B)[:, None], real_BxT].set(True)
    return self._chosen(logits_BxV, cache, length_B, seen_BxV, key_B)

  def _next(self, params, row: Row):
    """One step: the newest token goes into the cache, and gives the next one."""
    logits_BxV, cache = self._logits(
      params,
      row.token_B[:, None],
      row.position_B[:, None],
      row.cache,
      jnp.zeros_like(row.position_B),
    )
    return self._chosen(logits_BxV, cache, row.position_B + 1, row.seen_BxV, row.key_B)

  def _chosen(self, logits_BxV, cache, position_B, seen_BxV, key_B):
    """Draws a token from the logits: (row, logprob_B)."""
    # A token at position p is drawn with the p-th key of its row, however long its prompt is.
    key_of_B = jax.vmap(jax.random.fold_in)(key_B, position_B)
    token_B, logprob_B = choose(logits_BxV, seen_BxV, key_of_B, self._sampling)
    seen_BxV = seen_BxV.at[jnp.arange(seen_BxV.shape[0]), token_B].set(True)
    return Row(cache, token_B.astype(jnp.int32), position_B, seen_BxV, key_B), logprob_B


def decode_layout(params, config: ModelConfig):
  """Parameters laid out for decoding: layers unstacked, kernels transposed.

  `trunk/blocks` becomes a tuple, an entry a layer (one entry where all layers share it). A slice of
  stacked layers is copied before it is used, and with one or eight columns to multiply a kernel
  whose target axes come first is read about twice as fast (docs/LOG.md, on writing).
  """
  blocks = by_path(params['trunk']['blocks'])
  if config.shared_layers:
    layers = [blocks]
  else:
    layers = [_layer(blocks, layer, config) for layer in range(config.layers)]
  unstacked = tuple(from_paths(dict(map(_transposed, layer.items()))) for layer in layers)
  rest = jax.tree.map(jnp.asarray, params)
  return rest | dict(trunk=rest['trunk'] | dict(blocks=unstacked))


def _layer(blocks: dict[str, jax.Array], layer: int, config: ModelConfig) -> dict[str, jax.Array]:
  """The parameters of one layer by path; the first one may lack its norm."""
  row = {path: layer - first_layer(len(x), config) for path, x in blocks.items()}
  return {path: x[row[path]] for path, x in blocks.items() if row[path] >= 0}


def _transposed(named: tuple[str, jax.Array]) -> tuple[str, jax.Array]:
  """(path, kernel) as (path of the transposed one, kernel with its target axes first)."""
  path, x = named
  if not path.endswith('kernel'):
    return path, jnp.asarray(x)
  read = 2 if path == 'attention/output/kernel' else 1  # axes HK, else D or F
  transposed = jnp.moveaxis(jnp.asarray(x), range(read), range(-read, 0))
  return path.replace('kernel', 'transposed'), transposed


def bucket(length: int) -> int:
  """The length of the compiled program that serves `length` tokens."""
  larger = [size for size in _BUCKETS if length <= size]
  return larger[0] if larger else next_multiple(length, _BUCKETS[-1])
