"""Layers with a window, one by one, before a run: how far each sees, and with which rotary base.

A window cannot be seen from the outputs of a whole network, because a global layer sees past it. So
one layer alone is left to add to the residual stream of a small copy of the network.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from evaluation.dependence import QUICK, SHORT, Probe, Row, prompted, visible
from models.config import ModelConfig
from models.positions import POSITIONS
from runtime.errors import LeakError

# Two documents and padding, so long that scores of a window are computed in blocks
# (models/banded.py), and documents so long that both ends of a window are within.
_LONG = Row(
  np.repeat([1, 2, 0], [50, 40, 14]), np.isin(np.arange(104), [0, 1, 2, 20, 50, 51, 52, 53])
)
_WINDOW = 16  # in the long row
# Rotary bases of the small copy: their waves differ within a window.
_BASES = dict(rotary_base=40.0, window_rotary_base=10.0)
# Largest deviation of scores from the waves of a base, as a share of the largest score: float32
# leaves 1e-6, the other base 1e-2 and more.
_WAVES_APART = 1e-4


def prove(
  config: ModelConfig, *, mask: str, packed: bool, heads: tuple[str, ...], compare: Callable
):
  """Checks each layer of a network with windows.

  Args:
    config, mask, packed, heads: as of `mask_check.prove`.
    compare: `mask_check.compare`.

  Raises:
    LeakError: a layer sees more or less than its window and the mask allow, or its positions have
      the base of the other kind.
  """
  same = config.window_rotary_base in (0, config.rotary_base)
  sizes = dict(
    layers=min(config.layers, config.global_every + 2),
    shared_layers=False,
    rotary_base=_BASES['rotary_base'],
    window_rotary_base=0.0 if same else _BASES['window_rotary_base'],
  )
  for row, window in ((SHORT, 1), (_LONG, _WINDOW)):
    probe = Probe(config, mask=mask, packed=packed, heads=heads, row=row, window=window, **sizes)
    if row is SHORT and not probe.generates:
      continue
    probe.generates &= row is SHORT
    _sees(probe, mask, packed, compare)
  if POSITIONS[config.positions].rotate:
    _turns(probe, mask)


class Asked(NamedTuple):
  """What a config asks of a layer: tokens seen to each side (0 = all), and the rotary base."""

  window: int
  rotary_base: float


def asked(config: ModelConfig, layer: int) -> Asked:
  """The rule of configs/base.py; `models.depth`, which builds by it, is held to this."""
  if not config.window or config.global_every and layer % config.global_every == 0:
    return Asked(0, config.rotary_base)
  return Asked(config.window, config.window_rotary_base or config.rotary_base)


def _sees(probe: Probe, mask: str, packed: bool, compare: Callable):
  """Compares what each layer sees alone with the rule."""
  layers = range(probe.config.layers)
  for layer, (row_TxT, cached_TxT) in enumerate(probe.measure(layers)):
    window = asked(probe.config, layer).window
    what = f'mask={mask!r} in layer {layer} with ' + (f'window {window}' if window else 'no window')
    seen_TxT = visible(mask, probe.row, packed=packed, window=window) | np.eye(probe.T, dtype=bool)
    compare(row_TxT, seen_TxT, what, probe.row)
    if probe.generates:
      row = prompted(probe.T)
      seen_TxT = visible(mask, row, packed=True, window=window)
      compare(cached_TxT, seen_TxT, f'{what}, read with a cache', row)


def _turns(probe: Probe, mask: str):
  """Checks the rotary base of each layer.

  In a row of one token all queries are equal, and all keys: a score is a sum of the waves of the
  base over the distance, whatever the parameters are.
  """
  T = probe.T
  ones_BxT = jnp.ones((1, T), jnp.int32)
  batch = dict(token=0 * ones_BxT, segment=ones_BxT, type=0 * ones_BxT, prefix=0 * ones_BxT)
  batch['mlm_position'] = ones_BxT
  params = probe.params()
  _, seen = jax.jit(probe.network.inspect).lower(params, batch).compile(QUICK)(params, batch)
  query = T // 2
  for layer in range(probe.config.layers):
    base = asked(probe.config, layer).rotary_base
    weight_HxS = np.asarray(seen['weights'][layer, 0, :, query], np.float64)
    keys_S = np.flatnonzero((weight_HxS > 0).all(axis=0))
    distance_S = keys_S - query
    half = probe.config.K // 2
    angle_SxW = distance_S[:, None] * base ** (-np.arange(half) / half)
    waves_SxW = np.concatenate(
      [np.ones((len(keys_S), 1)), np.cos(angle_SxW), np.sin(angle_SxW)], axis=1
    )
    score_SxH = np.log(weight_HxS[:, keys_S]).T
    fitted_WxH = np.linalg.lstsq(waves_SxW, score_SxH, rcond=None)[0]
    apart = np.abs(waves_SxW @ fitted_WxH - score_SxH).max() / np.ptp(score_SxH)
    if apart > _WAVES_APART:
      raise LeakError(
        f'layer {layer} of a small copy of this network does not have the rotary base that is '
        f'asked for, {base:g} there: its scores under mask={mask!r} are no sum of '
        f'waves of that base ({apart:.0e} apart). Nothing was trained; models/ has a mistake.'
      )
