"""Sizes of a config that must divide or bound each other, and what is written as text."""

import math

from configs.schema import grid, names, vectors
from configs.schema.errors import ConfigError, require


def check(config):
  """Raises ConfigError for the first size that does not fit the others."""
  _vectors(config)
  _init_layers(config)
  _heads(config)
  _layers(config.model)
  _rows(config)
  _attention(config)


def _vectors(config):
  """Checks what is written as text, and that sizes fit the vectors."""
  for name, read in (('directions', vectors.directions), ('dimensions', vectors.dimensions)):
    text = config.vectors[name]
    try:
      read(text)
    except ValueError as error:
      raise ConfigError(f'config.vectors.{name}={text!r}: {error}.') from error
  width = config.model.projection or config.model.width
  sizes = [size for size, _ in vectors.dimensions(config.vectors.dimensions)]
  require(
    not sizes or max(sizes) <= width,
    'vectors.dimensions',
    config.vectors.dimensions,
    f'at most the {width} of a vector',
  )


def layer_numbers(text: str) -> tuple[int, ...]:
  """(0, 2, 4) of '0 2 4'.

  Raises:
    ValueError: it holds something else.
  """
  words = text.split()
  if not all(word.isascii() and word.isdigit() for word in words):
    raise ValueError("write the numbers of layers, from 0, with spaces between, as in '0 2 4'")
  return tuple(map(int, words))


def _init_layers(config):
  """Checks which layers of config.init_from are taken."""
  text = config.init_layers
  try:
    numbers = layer_numbers(text)
  except ValueError as error:
    raise ConfigError(f'config.init_layers={text!r}: {error}.') from error
  require(not numbers or bool(config.init_from), 'init_layers', text, 'layers of config.init_from')
  require(
    not numbers or len(numbers) == config.model.layers and not config.model.shared_layers,
    'init_layers',
    text,
    f'a layer of config.init_from for each of the {config.model.layers} here, none of them shared',
  )


def _heads(config):
  """Checks how the width is divided among heads."""
  model = config.model
  if not model.head_width:
    require(
      model.width % model.heads == 0,
      'model.heads',
      model.heads,
      f'must divide width {model.width}; {_divisors(model.width, model.heads)}',
    )
  kv_heads = model.kv_heads or model.heads
  require(
    model.heads % kv_heads == 0,
    'model.kv_heads',
    kv_heads,
    f'must divide heads {model.heads}; {_divisors(model.heads, kv_heads)}',
  )
  require(
    'rotate' not in names.positions()[model.positions] or _head_width(model) % 2 == 0,
    'model.head_width',
    _head_width(model),
    'rotary positions need an even one',
  )


def _layers(model):
  """Checks what differs between layers."""
  require(
    bool(model.window) or model.global_every == 1,
    'model.global_every',
    model.global_every,
    'needs model.window, which says how far the other layers see; 1 where every layer is global',
  )
  require(
    not model.window or model.global_every != 1,
    'model.window',
    model.window,
    'no layer has it with model.global_every=1: 3 makes every third layer global, 0 none',
  )
  rotary = 'rotate' in names.positions()[model.positions]
  require(
    not model.window_rotary_base or model.window_rotary_base >= 1 and model.window and rotary,
    'model.window_rotary_base',
    model.window_rotary_base,
    "0, or at least 1 and with model.window and model.positions='rotary'",
  )
  require(
    not model.skip_first_norm or model.norm_position == 'pre',
    'model.skip_first_norm',
    True,
    "only with norm_position='pre' is there a norm before the first attention",
  )
  require(
    not model.skip_first_norm or not model.shared_layers,
    'model.skip_first_norm',
    True,
    'layers that share their parameters (model.shared_layers) all have that norm',
  )


def _head_width(model) -> int:
  return model.head_width or model.width // model.heads


def _rows(config):
  """Checks the lengths of rows, and how a batch is divided."""
  model, T = config.model, config.data.sequence_length
  if {'table', 'trained'} & names.positions()[model.positions]:
    rows = model.max_length - model.position_offset
    require(
      rows >= T,
      'data.sequence_length',
      T,
      f'the position table has {rows} rows from position_offset on: at most that, or '
      f'config.model.max_length={T + model.position_offset}',
    )
  require(
    not grid.paired(config) or model.segment_types >= 2,
    'model.segment_types',
    model.segment_types,
    'sentence pairs need 2, one for each sentence',
  )
  short = config.data.short_length
  require(
    short == 0 or 8 <= short <= T,
    'data.short_length',
    short,
    f'must be 0, or from 8 to the full {T}',
  )
  require(
    bool(short) == (config.data.short_share > 0),
    'data.short_share',
    config.data.short_share,
    'a first phase needs both short_length and short_share; without one, both are 0',
  )
  B, parts = config.batch_size, config.accumulate
  require(
    not parts or B % parts == 0,
    'accumulate',
    parts,
    f'must divide batch_size {B}; {_divisors(B, parts)}',
  )


def _attention(config):
  """Checks what a kernel that is chosen by name cannot do; `auto` would choose another one."""
  model, width = config.model, _head_width(config.model)
  lengths = {name: config.data[name] for name in ('sequence_length', 'short_length')}
  if model.attention not in ('auto', 'reference'):
    require(
      model.attention_dropout == 0,
      'model.attention_dropout',
      model.attention_dropout,
      f"only attention='reference' can drop probabilities; {model.attention!r} needs 0",
    )
  if model.attention == 'cudnn':
    require(
      model.dtype == 'bfloat16', 'model.dtype', model.dtype, "attention='cudnn' needs bfloat16"
    )
    require(
      width % 8 == 0 and width <= 128,
      'model.head_width',
      width,
      "attention='cudnn' needs a multiple of 8 up to 128",
    )
    for name, T in lengths.items():
      require(T % 2 == 0, f'data.{name}', T, "attention='cudnn' needs an even one")
  if model.attention == 'splash':
    for name, T in lengths.items():
      require(T % 128 == 0, f'data.{name}', T, "attention='splash' needs a multiple of 128")
    for cell in grid.trained(config):
      require(
        cell.mask != 'prefix',
        'model.attention',
        'splash',
        'it cannot read a prefix from both sides; use auto',
      )


def _divisors(number: int, near: int) -> str:
  """Returns the divisors of `number` closest to `near`, as words for a message."""
  small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
  divisors = {*small, *(number // d for d in small)}
  closest = sorted(divisors, key=lambda d: (abs(d - near), d))[:2]
  return ' and '.join(str(d) for d in sorted(closest)) + (' do' if len(closest) > 1 else ' does')
