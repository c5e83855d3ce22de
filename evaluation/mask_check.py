"""Who can see whom, proved on the real code before a run: every output against every input.

On a small copy of the configured network, output q depends on input k exactly where the mask that
the config names says so. What should be visible is taken from the rule of its kind, pair of
positions by pair, and from no Mask: a mistake in how masks are built cannot excuse itself.
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

# A row of the probe: two documents and padding; in a
# prefix-LM the first tokens of each are its prefix.
_SEGMENT = np.array([1, 1, 1, 1, 2, 2, 2, 0])
_PREFIX = np.array([1, 1, 0, 0, 1, 0, 0, 0], bool)
_PROMPT = 3  # tokens that a cache gets at once
_T = len(_SEGMENT)
_SHOWN = 8
_QUICK = dict(xla_backend_optimization_level=0, xla_llvm_disable_expensive_passes=True)


def prove_all(
  config: ModelConfig, cells: Iterable[tuple[str, tuple[str, ...], bool]], *, packed: bool
):
  """`prove` for each (mask, heads, answers_seen), side by side: most
  of it is compiling, which needs one core each.
  """
  with ThreadPoolExecutor() as pool:
    list(
      pool.map(
        lambda cell: prove(
          config, mask=cell[0], packed=packed, heads=cell[1], answers_seen=cell[2]
        ),
        cells,
      )
    )


def prove(
  config: ModelConfig,
  *,
  mask: str,
  packed: bool,
  heads: tuple[str, ...],
  answers_seen: bool = False,
):
  """Returns if the network keeps to its mask: in a row of
  documents, in what it predicts, and with a cache.

  Args:
    config, mask, packed, heads: of the network that will train; sizes are cut down, nothing else.
    answers_seen: a negative control, whose answers the mask shows.

  Raises:
    LeakError: an output depends on an input that the mask hides, or not on one that it shows.
  """
  probe = _Probe(config, mask=mask, packed=packed, heads=heads)
  row_TxT, cached_TxT = probe.measure()
  layers = probe.config.layers
  seen_TxT = visible(mask, _SEGMENT, _PREFIX, packed=packed)
  _compare(row_TxT, reached(seen_TxT, layers), f'mask={mask!r}')
  if probe.writes:
    prompt_T = np.arange(_T) < _PROMPT
    seen_TxT = visible(mask, np.ones(_T, int), prompt_T, packed=True)
    _compare(cached_TxT, reached(seen_TxT, layers), f'mask={mask!r}, read with a cache')
  if 'clm' in heads and not answers_seen:
    _hides_answers(row_TxT, prefix=KINDS[mask].prefix)


def visible(mask: str, segment_T: np.ndarray, prefix_T: np.ndarray, *, packed: bool) -> np.ndarray:
  """bool TxT, [query, key]: the definition, pair by pair."""
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
  """bool TxT: which inputs an output depends on after so many layers, each seeing what it may.

  A window reaches as far again with every layer; what a causal mask shows stays the same.
  """
  reached_TxT = np.eye(len(visible_TxT), dtype=bool)
  for _ in range(layers):
    reached_TxT = (visible_TxT.astype(int) @ reached_TxT.astype(int)) > 0
  return reached_TxT


class _Probe:
  """The same kind of network, small, on a row in which every
  token comes once, so that a token is an input.
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
      embedding_width=4 if config.E != config.width else 0,
      max_length=_T + config.position_offset,
      dropout=0.0,
      attention_dropout=0.0,
      dtype='float32',
      remat='none',
      scan=True,
      # rows too short for them
      attention='auto' if config.attention in KERNELS else config.attention,
    )
    self.head = next((head for head in ('clm', 'mlm') if head in heads), None)
    self.network = make_network(
      self.config, mask=mask, packed=packed, heads=(self.head,) if self.head else ()
    )
    self.writes = self.head == 'clm' and mask != 'bidirectional'

  def params(self):
    """Random everywhere: the zeros in which biases are born could close a path."""
    random = np.random.default_rng(0)
    return from_paths(
      {
        path: random.normal(float(path.endswith('scale')), 0.3, shape).astype(np.float32)
        for path, shape in parameter_shapes(self.network).items()
      }
    )

  def measure(self) -> tuple[np.ndarray, np.ndarray]:
    """Whether output q changes with input k, bool TxT: in the row,
    and when its tokens are read through a cache.

    By changing one input at a time: the same program on the same numbers gives the same bits, and
    it compiles in a fraction of the time that derivatives take.
    """
    read = jax.jit(
      lambda params: [self._row(params), *([self._cached(params)] if self.writes else [])]
    )
    params = self.params()
    read = read.lower(params).compile(_QUICK)
    before = read(params)
    changed = []
    for key in range(_T):
      table_VxE = params['embeddings']['token'].copy()
      table_VxE[key] += np.random.default_rng((1, key)).normal(size=table_VxE.shape[1])
      after = read(params | dict(embeddings=params['embeddings'] | dict(token=table_VxE)))
      changed.append(
        [np.asarray(one_TxE != other_TxE).any(axis=1) for one_TxE, other_TxE in zip(before, after)]
      )
    found = [np.stack(columns, axis=1) for columns in zip(*changed)]
    return found[0], found[-1]

  def _row(self, params):
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
    """A prompt, then token by token."""
    token_BxT = jnp.arange(_T)[None]
    fed = lambda token_BxT, **more: dict(
      token=token_BxT, type=0 * token_BxT, position=token_BxT, **more
    )
    prompt = fed(token_BxT[:, :_PROMPT], prefix=token_BxT < _PROMPT)
    outputs = self.network.apply(params, prompt, cache=caching.empty(self.config, 1, _T))

    def step(cache, token_BxT):
      outputs = self.network.apply(params, fed(token_BxT), cache=cache)
      return outputs['cache'], self._hidden(outputs)

    _, hidden_TxTxE = jax.lax.scan(step, outputs['cache'], token_BxT[:, _PROMPT:].T[:, None])
    return jnp.concatenate([self._hidden(outputs), hidden_TxTxE[:, 0]])

  def _hidden(self, outputs) -> jax.Array:
    """What a head makes its logits from, TxE; or the trunk's last layer, TxD."""
    return (outputs[self.head][0] if self.head else outputs['hidden'])[0]


def _compare(found_TxT: np.ndarray, visible_TxT: np.ndarray, what: str):
  """Exact: what attention hides has a weight of zero, so
  nothing of it is left, not even a rounding.
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
  """No output depends on the token that CLM asks it for."""
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
