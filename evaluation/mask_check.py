"""Leakage test before a run: does every output depend on exactly the inputs that the mask allows?

It runs on a small copy of the configured network, and checks each output q against each input k.
What should be visible follows from the rule of the mask's kind, one pair of positions at a time. It
does not come from a Mask, so a mistake in building masks cannot hide itself.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from models import kv_cache as caching
from models.attention import KERNELS
from models.config import ModelConfig
from models.masks import KINDS
from models.network import from_paths, make_network, parameter_shapes
from objectives import clm
from runtime.errors import LeakError

# The row of the test: two documents and padding. In a prefix-LM each begins with a prefix.
_SEGMENT = np.array([1, 1, 1, 1, 2, 2, 2, 0])
_PREFIX = np.array([1, 1, 0, 0, 1, 0, 0, 0], bool)
_PROMPT = 3  # tokens of the prefill of the KV cache
_T = len(_SEGMENT)
_SHOWN = 8  # pairs that an error names
# XLA's options for quick compilation: the program runs _T + 1 times only.
_QUICK = dict(xla_backend_optimization_level=0, xla_llvm_disable_expensive_passes=True)


def prove_all(
  config: ModelConfig, cells: Iterable[tuple[str, tuple[str, ...], bool]], *, packed: bool
):
  """Runs `prove` for each cell, (mask, heads, answers_seen), in parallel threads.

  Most of the time is compilation, which uses one core per program.

  Raises:
    LeakError: as `prove`.
  """

  def prove_cell(cell):
    mask, heads, answers_seen = cell
    prove(config, mask=mask, packed=packed, heads=heads, answers_seen=answers_seen)

  with ThreadPoolExecutor() as pool:
    list(pool.map(prove_cell, cells))


def prove(
  config: ModelConfig,
  *,
  mask: str,
  packed: bool,
  heads: tuple[str, ...],
  answers_seen: bool = False,
):
  """Checks that the network obeys its mask: on a packed row, with a KV cache, and in its targets.

  Args:
    config, mask, packed, heads: of the network that will train; only its sizes are cut down.
    answers_seen: a negative control, in which clm can see its targets.

  Raises:
    LeakError: an output depends on an input that the mask rules out, or does not depend on one that
      the mask allows.
  """
  probe = _Probe(config, mask=mask, packed=packed, heads=heads)
  row_TxT, cached_TxT = probe.measure()
  layers = probe.config.layers
  seen_TxT = visible(mask, _SEGMENT, _PREFIX, packed=packed)
  _compare(row_TxT, reached(seen_TxT, layers), f'mask={mask!r}')
  if probe.generates:
    prompt_T = np.arange(_T) < _PROMPT
    seen_TxT = visible(mask, np.ones(_T, int), prompt_T, packed=True)
    _compare(cached_TxT, reached(seen_TxT, layers), f'mask={mask!r}, read with a cache')
  if 'clm' in heads and not answers_seen:
    _hides_answers(row_TxT, prefix=KINDS[mask].prefix)


def visible(mask: str, segment_T: np.ndarray, prefix_T: np.ndarray, *, packed: bool) -> np.ndarray:
  """Returns bool TxT, [query, key]: which keys the mask allows, by definition, pair by pair."""
  rule = KINDS[mask].rule
  visible_TxT = np.zeros((len(segment_T), len(segment_T)), bool)
  for query, key in np.ndindex(visible_TxT.shape):
    if packed:
      together = segment_T[query] == segment_T[key]
    else:
      together = (segment_T[query] > 0) == (segment_T[key] > 0)
    visible_TxT[query, key] = together and rule(query, key, prefix_T[key])
  return visible_TxT


def reached(visible_TxT: np.ndarray, layers: int) -> np.ndarray:
  """Returns bool TxT, [output, input]: on which inputs an output depends after so many layers.

  The reach of a window grows with every layer; that of a causal mask stays the same.
  """
  reached_TxT = np.eye(len(visible_TxT), dtype=bool)
  for _ in range(layers):
    reached_TxT = (visible_TxT.astype(int) @ reached_TxT.astype(int)) > 0
  return reached_TxT


class _Probe:
  """A small network of the same kind, and a row in which token t stands at position t only.

  So changing the embedding of a token changes one input.
  """

  def __init__(self, config: ModelConfig, *, mask: str, packed: bool, heads: tuple[str, ...]):
    self.config = dataclasses.replace(
      config,
      vocab_size=_T,
      layers=min(2, config.layers),
      width=8,
      heads=2,
      kv_heads=2 if config.G == config.heads else 1,
      head_width=4,
      feed_forward=8,
      embedding_width=4 if config.projected else 0,
      max_length=_T + config.position_offset,
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

  def params(self):
    """Returns random parameters; biases too, because an initial 0 could hide a dependence."""
    random = np.random.default_rng(0)
    flat = {}
    for path, shape in parameter_shapes(self.network).items():
      mean = float(path.endswith('scale'))
      flat[path] = random.normal(mean, 0.3, shape).astype(np.float32)
    return from_paths(flat)

  def measure(self) -> tuple[np.ndarray, np.ndarray]:
    """Measures which outputs change with which inputs, by changing one input at a time.

    It compares bits: the same program on the same numbers gives the same bits. Derivatives would
    find the same, and take several times as long to compile (docs/LOG.md, 2026-11-24).

    Returns:
      Two bool TxT, [output, input]: of the whole row, and of decoding with a KV cache. The second
      is the first where the network does not generate.
    """

    def run(params):
      outputs = [self._row(params)]
      if self.generates:
        outputs.append(self._cached(params))
      return outputs

    params = self.params()
    run = jax.jit(run).lower(params).compile(_QUICK)
    before = run(params)
    changed = [[] for _ in before]
    for key in range(_T):
      table_VxE = params['embeddings']['token'].copy()
      table_VxE[key] += np.random.default_rng((1, key)).normal(size=table_VxE.shape[1])
      after = run(params | dict(embeddings=params['embeddings'] | dict(token=table_VxE)))
      for columns, one_TxE, other_TxE in zip(changed, before, after):
        columns.append(np.asarray(one_TxE != other_TxE).any(axis=1))
    found = [np.stack(columns, axis=1) for columns in changed]
    return found[0], found[-1]

  def _row(self, params):
    """Returns the outputs of the whole row at once, TxE."""
    token_BxT = jnp.arange(_T)[None]
    batch = dict(
      token=token_BxT,
      segment=jnp.asarray(_SEGMENT)[None],
      type=0 * token_BxT,
      mlm_position=token_BxT,
      prefix=jnp.asarray(_PREFIX)[None],
    )
    return self._hidden(self.network.apply(params, batch))

  def _cached(self, params):
    """Returns the outputs of a prefill of the prompt and a decode step per later token, TxE."""
    token_BxT = jnp.arange(_T)[None]

    def inputs(token_BxT, **more):
      return dict(token=token_BxT, type=0 * token_BxT, position=token_BxT, **more)

    prompt = inputs(token_BxT[:, :_PROMPT], prefix=token_BxT < _PROMPT)
    outputs = self.network.apply(params, prompt, cache=caching.empty(self.config, 1, _T))

    def step(cache, token_BxT):
      outputs = self.network.apply(params, inputs(token_BxT), cache=cache)
      return outputs['cache'], self._hidden(outputs)

    _, hidden_TxTxE = jax.lax.scan(step, outputs['cache'], token_BxT[:, _PROMPT:].T[:, None])
    return jnp.concatenate([self._hidden(outputs), hidden_TxTxE[:, 0]])

  def _hidden(self, outputs) -> jax.Array:
    """Returns what the head projects to logits, TxE; or the trunk's output, TxD, without a head."""
    return (outputs[self.head][0] if self.head else outputs['hidden'])[0]


def _compare(found_TxT: np.ndarray, visible_TxT: np.ndarray, what: str):
  """Raises LeakError where the two differ.

  The comparison is exact: a key that is ruled out has weight zero, so not even a rounding error of
  it is left.
  """
  for wrong_TxT, words in (
    (found_TxT & ~visible_TxT, 'depends on'),
    (~found_TxT & visible_TxT, 'misses'),
  ):
    pairs = [f'output {query} {words} input {key}' for query, key in np.argwhere(wrong_TxT)]
    if pairs:
      more = f' and {len(pairs) - _SHOWN} more' if len(pairs) > _SHOWN else ''
      raise LeakError(
        f'{what} does not hold in this network: {", ".join(pairs[:_SHOWN])}{more} (in a row of '
        f'documents {_SEGMENT.tolist()}). Nothing was trained; models/ or this config has a '
        'mistake.'
      )


def _hides_answers(found_TxT: np.ndarray, *, prefix: bool):
  """Raises LeakError if an output depends on the token that CLM asks it to predict."""
  target_BxT, weight_BxT = jax.jit(clm.shifted)(
    np.arange(_T)[None], _SEGMENT[None], _PREFIX[None] if prefix else None
  )
  for query, (target, weight) in enumerate(
    zip(np.asarray(target_BxT)[0], np.asarray(weight_BxT)[0])
  ):
    if weight and found_TxT[query, target]:
      raise LeakError(
        f'clm asks output {query} for input {target}, and it depends on that input: the answer is '
        'seen. Nothing was trained; objectives/clm.py has a mistake.'
      )
