"""What differs from layer to layer: how far it sees, its rotary base, whether it norms first."""

from typing import NamedTuple

from models.config import ModelConfig


class LayerKind(NamedTuple):
  """What a layer has that others of the same network may not have.

  Attributes:
    window: tokens that a query sees to each side, itself not counted; 0 = the whole row.
    rotary_base: of its rotary positions.
    attention_norm: it normalises what its attention reads.
  """

  window: int
  rotary_base: float
  attention_norm: bool = True


class Order(NamedTuple):
  """The kinds of all layers, from below, as a scan can run through them.

  Attributes:
    lead: layers before the pattern begins.
    period: the pattern, which is repeated `repeats` times.
    tail: layers after its last repetition.
  """

  lead: tuple[LayerKind, ...]
  period: tuple[LayerKind, ...]
  repeats: int
  tail: tuple[LayerKind, ...]


def kinds(config: ModelConfig) -> tuple[LayerKind, ...]:
  """The kind of each layer, from below: layers 0, n, 2n, ... are global, n = `global_every`."""
  return tuple(_kind(config, layer) for layer in range(config.layers))


def order(config: ModelConfig) -> Order:
  """The kinds of all layers as a pattern."""
  each = kinds(config)
  lead = int(config.skip_first_norm)
  size = config.global_every if config.window and config.global_every else 1
  repeats = (config.layers - lead) // size
  end = lead + repeats * size
  return Order(each[:lead], each[lead : lead + size] if repeats else (), repeats, each[end:])


def _kind(config: ModelConfig, layer: int) -> LayerKind:
  normed = layer > 0 or not config.skip_first_norm
  every = config.global_every
  if not config.window or every and layer % every == 0:
    return LayerKind(0, config.rotary_base, normed)
  return LayerKind(config.window, config.window_rotary_base or config.rotary_base, normed)
