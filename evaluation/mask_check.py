"""Leakage test before a run: does every output depend on exactly the inputs that the mask allows?

It runs on a small copy of the configured network, and checks each output q against each input k.
What should be visible follows from the rule of the mask's kind, one pair of positions at a time. It
does not come from a Mask, so a mistake in building masks cannot hide itself.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from evaluation import layer_check
from evaluation.dependence import SHORT, Probe, Row, prompted, visible
from models.config import ModelConfig
from models.masks import KINDS
from objectives import clm
from runtime.errors import LeakError

_SHOWN = 8  # pairs that an error names


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
    if config.window:
      layer_check.prove(config, mask=mask, packed=packed, heads=heads, compare=compare)

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
  probe = Probe(config, mask=mask, packed=packed, heads=heads)
  ((row_TxT, cached_TxT),) = probe.measure()

  def seen(row, packed):
    windows = [layer_check.asked(probe.config, n).window for n in range(probe.config.layers)]
    return reached([visible(mask, row, packed=packed, window=window) for window in windows])

  compare(row_TxT, seen(SHORT, packed), f'mask={mask!r}', SHORT)
  if probe.generates:
    row = prompted(probe.T)
    compare(cached_TxT, seen(row, True), f'mask={mask!r}, read with a cache', row)
  if 'clm' in heads and not answers_seen:
    _hides_answers(row_TxT, prefix=KINDS[mask].prefix)


def reached(layers: list[np.ndarray]) -> np.ndarray:
  """Returns bool TxT, [output, input]: on which inputs an output depends after these layers.

  The reach of a window grows with every layer; that of a causal mask stays the same.

  Args:
    layers: of each, from below, which keys its queries see, bool TxT.
  """
  reached_TxT = np.eye(len(layers[0]), dtype=bool)
  for visible_TxT in layers:
    reached_TxT = (visible_TxT.astype(int) @ reached_TxT.astype(int)) > 0
  return reached_TxT


def compare(found_TxT: np.ndarray, visible_TxT: np.ndarray, what: str, row: Row):
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
      documents = ' '.join(map(str, row.segment_T))
      raise LeakError(
        f'{what} does not hold in this network: {", ".join(pairs[:_SHOWN])}{more} (in a row of '
        f'documents {documents}). Nothing was trained; models/ or this config has a mistake.'
      )


def _hides_answers(found_TxT: np.ndarray, *, prefix: bool):
  """Raises LeakError if an output depends on the token that CLM asks it to predict."""
  target_BxT, weight_BxT = jax.jit(clm.shifted)(
    np.arange(len(SHORT.segment_T))[None],
    SHORT.segment_T[None],
    SHORT.prefix_T[None] if prefix else None,
  )
  for query, (target, weight) in enumerate(
    zip(np.asarray(target_BxT)[0], np.asarray(weight_BxT)[0])
  ):
    if weight and found_TxT[query, target]:
      raise LeakError(
        f'clm asks output {query} for input {target}, and it depends on that input: the answer is '
        'seen. Nothing was trained; objectives/clm.py has a mistake.'
      )
