"""On which inputs each output of a network depends: measured on a small copy, bit by bit."""

from collections.abc import Iterable
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from models import kv_cache as caching
from models.attention import KERNELS
from models.config import ModelConfig
from models.masks import KINDS
from models.network import from_paths, make_network, parameter_shapes

_PROMPT = 3  # tokens of the prefill of the KV cache
# XLA's options for quick compilation: the program runs T + 1 times only.
QUICK = dict(xla_backend_optimization_level=0, xla_llvm_disable_expensive_passes=True)


class Row(NamedTuple):
  """A row of a test.

  Attributes:
    segment_T: of documents, from 1; 0 is padding.
    prefix_T: bool; in a prefix-LM each document begins with a prefix.
  """

  segment_T: np.ndarray
  prefix_T: np.ndarray


# Two documents and padding.
SHORT = Row(np.array([1, 1, 1, 1, 2, 2, 2, 0]), np.array([1, 1, 0, 0, 1, 0, 0, 0], bool))


def prompted(T: int) -> Row:
  """One document of T tokens, whose prompt is the prefix: what is read with a cache."""
  return Row(np.ones(T, int), np.arange(T) < _PROMPT)


def visible(mask: str, row: Row, *, packed: bool, window: int = 0) -> np.ndarray:
  """Returns bool TxT, [query, key]: which keys the mask allows, by definition, pair by pair.

  Args:
    window: tokens that a layer sees to each side; 0 = all.
  """
  rule, (segment_T, prefix_T) = KINDS[mask].rule, row
  visible_TxT = np.zeros((len(segment_T), len(segment_T)), bool)
  for query, key in np.ndindex(visible_TxT.shape):
    if packed:
      together = segment_T[query] == segment_T[key]
    else:
      together = (segment_T[query] > 0) == (segment_T[key] > 0)
    near = not window or abs(query - key) <= window
    visible_TxT[query, key] = together and near and rule(query, key, prefix_T[key])
  return visible_TxT


class Probe:
  """A small network of the same kind, and a row in which token t stands at position t only.

  So changing the embedding of a token changes one input.

  Args:
    config, mask, packed, heads: of the network that will train; only its sizes are cut down.
    row: that it reads.
    sizes: of the small network, in place of those that it has here.
  """

  def __init__(
    self,
    config: ModelConfig,
    *,
    mask: str,
    packed: bool,
    heads: tuple[str, ...],
    row: Row = SHORT,
    **sizes,
  ):
    self.row, self.T = row, len(row.segment_T)
    small = dict(layers=min(2, config.layers), window=min(1, config.window)) | sizes
    self.config = dataclasses.replace(
      config,
      **small,
      vocab_size=self.T,
      width=8,
      heads=2,
      kv_heads=2 if config.G == config.heads else 1,
      head_width=4,
      feed_forward=8,
      embedding_width=4 if config.projected else 0,
      max_length=self.T + config.position_offset,
      dropout=0.0,
      attention_dropout=0.0,
      dtype='float32',
      remat='none',
      scan=True,
      # The row is too short for a kernel.
      attention='auto' if config.attention in KERNELS else config.attention,
    )
    self.head = next((head for head in ('clm', 'mlm') if head in heads), None)
    self.network = make_network(
      self.config, mask=mask, packed=packed, heads=(self.head,) if self.head else ()
    )
    self.generates = self.head == 'clm' and mask != 'bidirectional'

  def params(self, alone: int | None = None):
    """Returns random parameters; biases too, because an initial 0 could hide a dependence.

    Args:
      alone: the one layer that adds anything to the residual stream; None: all do.
    """
    random = np.random.default_rng(0)
    flat = {}
    for path, shape in parameter_shapes(self.network).items():
      mean = float(path.endswith('scale'))
      flat[path] = random.normal(mean, 0.3, shape).astype(np.float32)
      if alone is not None and ('/attention/output/' in path or '/feed_forward/down/' in path):
        flat[path][np.arange(len(flat[path])) != alone] = 0
    return from_paths(flat)

  def measure(self, alone: Iterable[int | None] = (None,)):
    """Measures which outputs change with which inputs, by changing one input at a time.

    It compares bits: the same program on the same numbers gives the same bits. Derivatives would
    find the same, and take several times as long to compile (docs/LOG.md, 2026-11-24).

    Args:
      alone: as of `params`; one after the other.

    Yields:
      Two bool TxT, [output, input]: of the whole row, and of decoding with a KV cache. The second
      is the first where the network does not generate.
    """

    def run(params):
      outputs = [self._row(params)]
      if self.generates:
        outputs.append(self._cached(params))
      return outputs

    program = None
    for layer in alone:
      params = self.params(layer)
      program = program or jax.jit(run).lower(params).compile(QUICK)
      yield self._changes(program, params)

  def _changes(self, run, params) -> tuple[np.ndarray, np.ndarray]:
    before = run(params)
    changed = [[] for _ in before]
    for key in range(self.T):
      table_VxE = params['embeddings']['token'].copy()
      table_VxE[key] += np.random.default_rng((1, key)).normal(size=table_VxE.shape[1])
      after = run(params | dict(embeddings=params['embeddings'] | dict(token=table_VxE)))
      for columns, one_TxE, other_TxE in zip(changed, before, after):
        columns.append(np.asarray(one_TxE != other_TxE).any(axis=1))
    found = [np.stack(columns, axis=1) for columns in changed]
    return found[0], found[-1]

  def _row(self, params):
    """Returns the outputs of the whole row at once, TxE."""
    token_BxT = jnp.arange(self.T)[None]
    batch = dict(
      token=token_BxT,
      segment=jnp.asarray(self.row.segment_T)[None],
      type=0 * token_BxT,
      mlm_position=token_BxT,
      prefix=jnp.asarray(self.row.prefix_T)[None],
    )
    return self._hidden(self.network.apply(params, batch))

  def _cached(self, params):
    """Returns the outputs of a prefill of the prompt and a decode step per later token, TxE."""
    token_BxT = jnp.arange(self.T)[None]

    def inputs(token_BxT, **more):
      return dict(token=token_BxT, type=0 * token_BxT, position=token_BxT, **more)

    prompt = inputs(token_BxT[:, :_PROMPT], prefix=token_BxT < _PROMPT)
    outputs = self.network.apply(params, prompt, cache=caching.empty(self.config, 1, self.T))

    def step(cache, token_BxT):
      outputs = self.network.apply(params, inputs(token_BxT), cache=cache)
      return outputs['cache'], self._hidden(outputs)

    _, hidden_TxTxE = jax.lax.scan(step, outputs['cache'], token_BxT[:, _PROMPT:].T[:, None])
    return jnp.concatenate([self._hidden(outputs), hidden_TxTxE[:, 0]])

  def _hidden(self, outputs) -> jax.Array:
    """Returns what the head projects to logits, TxE; or the trunk's output, TxD, without a head."""
    return (outputs[self.head][0] if self.head else outputs['hidden'])[0]
