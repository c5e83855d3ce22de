"""How the layers are run one after the other: as a scanned body, or as a loop.

Parameters lie stacked along L. Those of the norm that a first layer may lack have a row less.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from models import depth
from models.config import ModelConfig
from models.gather import gather_positions

NORM = 'attention_norm'  # the only parameters that a layer may lack


class Layer(NamedTuple):
  """What one layer has of its own; stacked along L, or one a layer.

  Attributes:
    params: of a Block.
    cache: (key, value), each BxGxSxK; None where nothing is cached.
    key: of its dropout; None without.
  """

  params: Any
  cache: tuple[jax.Array, jax.Array] | None
  key: jax.Array | None


def without_first_norm(blocks: dict[str, Any]) -> dict[str, Any]:
  """Parameters of blocks without those of the norm before the first attention."""
  return blocks | {NORM: jax.tree.map(lambda x: x[1:], blocks[NORM])}


def first_layer(rows: int, config: ModelConfig) -> int:
  """The layer that the first of so many rows along L belongs to."""
  return 0 if config.shared_layers else config.layers - rows


def scan(config: ModelConfig, body: Callable, x_BxTxD, params, cache, keys, read_BxP):
  """All layers as one compiled pattern of layers, mostly of one: compile time flat in depth."""
  layers = Layer(
    None if config.shared_layers else params,
    None if cache is None else (cache.key, cache.value),
    keys,
  )
  order = depth.order(config)
  if order.repeats == config.layers:
    step = body(order.period[0])
    x_BxTxD, results = jax.lax.scan(step, x_BxTxD, layers, length=config.layers)
    return gather_positions(x_BxTxD, read_BxP), results
  x_BxTxD, results = _scan_pattern(config, order, body, x_BxTxD, layers)
  return gather_positions(x_BxTxD, read_BxP), results


def _scan_pattern(config: ModelConfig, order: depth.Order, body, x_BxTxD, layers: Layer):
  """The layers before the pattern, a scan over its repetitions, and the layers after it."""
  size = len(order.period)
  sizes = len(order.lead), order.repeats * size, len(order.tail)
  lead, middle, tail = _split(config, layers, sizes)

  def pattern(x_BxTxD, group: Layer):
    return _run(order.period, body, x_BxTxD, _each(config, group, size))

  x_BxTxD, first = _run(order.lead, body, x_BxTxD, _each(config, lead, sizes[0]), alone=True)
  found = [first]
  if order.repeats:
    group = jax.tree.map(lambda x: x.reshape(order.repeats, size, *x.shape[1:]), middle)
    x_BxTxD, within = jax.lax.scan(pattern, x_BxTxD, group, length=order.repeats)
    found.append(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), within))
  x_BxTxD, last = _run(order.tail, body, x_BxTxD, _each(config, tail, sizes[2]), alone=True)
  found = [one for one in (*found, last) if one is not None]
  return x_BxTxD, jax.tree.map(lambda *each: jnp.concatenate(each), *found)


def _run(kinds, body: Callable, x_BxTxD, layers: list[Layer], alone: bool = False):
  """(x_BxTxD, results stacked along these layers; None of no layer)."""
  results = []
  for kind, layer in zip(kinds, layers, strict=True):
    x_BxTxD, result = body(kind, alone)(x_BxTxD, layer)
    results.append(result)
  return x_BxTxD, jax.tree.map(lambda *each: jnp.stack(each), *results) if results else None


def loop(config: ModelConfig, body: Callable, x_BxTxD, params, cache, keys, read_BxP):
  """One layer after the other; the last one computes only the positions that are read."""
  caches, insides = [], []
  layers = unstack(config, params, cache, keys)
  for index, (kind, layer) in enumerate(zip(depth.kinds(config), layers)):
    last = index == config.layers - 1
    x_BxTxD, (cached, inside) = body(kind)(x_BxTxD, layer, read_BxP if last else None)
    caches.append(cached)
    insides.append(inside)
  inspected = insides[0] is not None
  return x_BxTxD, (
    None if cache is None else tuple(zip(*caches)),
    jax.tree.map(lambda *each: jnp.stack(each), *insides) if inspected else None,
  )


def unstack(config: ModelConfig, params, cache, keys) -> list[Layer]:
  """What each layer has of its own."""
  L = config.layers
  if config.shared_layers:
    own_params = [None] * L
  elif isinstance(params, tuple):  # as inference.decode.decode_layout gives them
    own_params = list(params)
  else:
    own_params = [layer.params for layer in _each(config, Layer(params, None, None), L)]
  own_caches = [None] * L if cache is None else list(zip(cache.key, cache.value))
  own_keys = [None] * L if keys is None else list(keys)
  return [Layer(*own) for own in zip(own_params, own_caches, own_keys)]


def _each(config: ModelConfig, layers: Layer, count: int) -> list[Layer]:
  """So many layers, one by one."""
  return [
    jax.tree.map(lambda x: x[0], _without_absent(one))
    for one in _split(config, layers, (1,) * count, count)
  ]


def _without_absent(layer: Layer) -> Layer:
  """A layer without the parameters that it lacks."""
  if not isinstance(layer.params, dict):
    return layer
  lacks = any(x.shape[0] == 0 for x in jax.tree.leaves(layer.params.get(NORM, {})))
  kept = {name: x for name, x in layer.params.items() if name != NORM or not lacks}
  return layer._replace(params=kept)


def _split(config, layers: Layer, sizes: tuple[int, ...], total: int | None = None) -> list[Layer]:
  """Layers in groups of so many, from below."""
  total = config.layers if total is None else total
  leaves, tree = jax.tree.flatten(layers)
  parts = [_parts(x, sizes, total) for x in leaves]
  return [jax.tree.unflatten(tree, [part[index] for part in parts]) for index in range(len(sizes))]


def _parts(x, sizes: tuple[int, ...], total: int):
  """Rows of one array in groups; the first group lacks those that the array lacks."""
  sizes = (sizes[0] - (total - x.shape[0]), *sizes[1:]) if sizes else sizes
  if jnp.issubdtype(x.dtype, jnp.floating):
    # Not x[i]: the gradient of a split is one concatenation, that of a slice as large as the stack.
    return jax.lax.split(x, sizes) if sizes else ()
  ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
  return [x[end - size : end] for end, size in zip(ends, sizes)]
