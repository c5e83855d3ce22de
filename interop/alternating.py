"""Global and windowed layers in a Hugging Face config.json, as ModernBERT and its decoder say it.

Before transformers 5 a file says `global_attn_every_n_layers`, `global_rope_theta` and
`local_rope_theta`; since then `layer_types` and `rope_parameters`, a group a kind of layer.
"""

from typing import Any

from interop import keys
from runtime.errors import WeightsError

_FULL, _SLIDING = 'full_attention', 'sliding_attention'
# Kind of layer -> (our key, their key of before transformers 5, its default).
_BASES = {
  _FULL: ('rope_theta', 'global_rope_theta', 160_000.0),
  _SLIDING: ('window_rope_theta', 'local_rope_theta', 10_000.0),
}
_EVERY = 'global_attn_every_n_layers'
# What is read here, beside num_hidden_layers.
KEYS = frozenset(
  {'layer_types', _EVERY, 'local_attention', 'sliding_window', 'rope_parameters', 'rope_scaling'}
  | {old for _, old, _ in _BASES.values()}
)


def read(theirs: dict[str, Any], causal: bool, where: str) -> dict[str, Any]:
  """Returns a config.json whose keys of layers are `window`, `global_every` and the two bases.

  Args:
    causal: the decoder's class counts the query itself among the tokens of half a window, and the
      encoder's does not.

  Raises:
    WeightsError: the layers are in another order, or their positions are scaled.
  """
  asked = _without(theirs, where)
  every = _every(theirs, where)
  asked['global_every'] = every
  asked['window'] = 0 if every == 1 else _window(theirs, causal, where)
  if theirs.get('rope_scaling'):
    raise WeightsError(
      f'{where} has rope_scaling={theirs["rope_scaling"]!r}; this network has plain rotary '
      'positions only.'
    )
  groups = theirs.get('rope_parameters') or {}
  if not isinstance(groups, dict) or groups.keys() - _BASES.keys():
    raise WeightsError(
      f'{where} has rope_parameters={groups!r:.200}; it has groups for {" and ".join(_BASES)} only.'
    )
  for kind, (ours, old, default) in _BASES.items():
    if type(theirs.get(old, default)) not in (int, float):
      raise WeightsError(f'{where} has {old}={theirs[old]!r}, which is no number.')
    group = dict(rope_parameters=groups.get(kind), rope_theta=theirs.get(old, default))
    asked[ours] = keys.rotary(group, default, f'{where}, {kind},')['rope_theta']
  if every == 1:
    asked['window_rope_theta'] = 0.0
  return asked


def write(fields: dict[str, Any], causal: bool) -> dict[str, Any]:
  """Returns the keys of config.json that say which layers are global: old ones and new ones."""
  L, every = fields['layers'], fields['global_every']
  types = [_FULL if every and layer % every == 0 else _SLIDING for layer in range(L)]
  window_base = fields['window_rotary_base'] or fields['rotary_base']
  theirs = dict(
    layer_types=types,
    global_rope_theta=float(fields['rotary_base']),
    local_rope_theta=float(window_base),
  )
  if fields['window']:
    theirs['local_attention'] = 2 * (fields['window'] + int(causal))
  return theirs | ({_EVERY: every} if every else {})


def _without(theirs: dict[str, Any], where: str) -> dict[str, Any]:
  """The other keys."""
  for key in ('window', 'global_every', *(ours for ours, _, _ in _BASES.values())):
    if key in theirs:
      raise WeightsError(f'{where} has a key that is not known here: {key!r}.')
  return {key: x for key, x in theirs.items() if key not in KEYS}


def _every(theirs: dict[str, Any], where: str) -> int:
  """n, where layers 0, n, 2n, ... are global; 0 where none is."""
  L = theirs.get('num_hidden_layers', 22)
  said = theirs.get(_EVERY, 3)
  if type(L) is not int or type(said) is not int or said < 1 or not 0 < L <= 1 << 24:
    raise WeightsError(f'{where} has num_hidden_layers={L!r} and {_EVERY}={said!r}.')
  types = theirs.get('layer_types')
  if types is None:
    return min(said, L)
  by_every = {
    every: [_FULL if every and layer % every == 0 else _SLIDING for layer in range(L)]
    for every in range(min(L, len(types) if isinstance(types, list) else 0) + 1)
  }
  found = [every for every, order in by_every.items() if order == types]
  if not found:
    raise WeightsError(
      f'{where} has layer_types={types!r:.200}; this network has {_FULL} in every n-th of '
      f'num_hidden_layers={L} layers from the first, and {_SLIDING} in the others.'
    )
  if _EVERY in theirs and min(said, L) != found[0]:
    raise WeightsError(
      f'{where} has {_EVERY}={said} and layer_types, which say every {found[0]}: remove one.'
    )
  return found[0]


def _window(theirs: dict[str, Any], causal: bool, where: str) -> int:
  """Tokens that a windowed layer sees to each side, itself not counted."""
  whole = theirs.get('local_attention', 128)
  least = 4 if causal else 2
  if type(whole) is not int or not least <= whole <= 1 << 24:
    raise WeightsError(
      f'{where} has local_attention={whole!r}; this network has windows of {least} tokens or more.'
    )
  if theirs.get('sliding_window', whole // 2) != whole // 2:
    raise WeightsError(
      f'{where} has sliding_window={theirs["sliding_window"]!r} and local_attention={whole}, of '
      'which it is half: remove the wrong one.'
    )
  return whole // 2 - int(causal)
