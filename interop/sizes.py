"""What a config says of a network's size is held against its files, before anything is built."""

from models.config import ModelConfig
from models.positions import POSITIONS
from runtime.errors import WeightsError

_LAYERS = 10_000  # ten times the deepest network that was published


def check(config: ModelConfig, held: int, where: str):
  """Refuses a config of a network that is larger than what its files hold.

  Each of these parts alone must fit, so whatever is made from the config grows no larger than the
  files are.

  Args:
    held: how many numbers the files hold, or a count above that.
    where: the file of the config, for the error.

  Raises:
    WeightsError: a part does not fit; names the fields.
  """
  if config.K < 1 or not config.head_width and config.width % config.heads:
    raise WeightsError(f'{where}: {config.heads} heads do not divide a width of {config.width}.')
  if config.heads % config.G:
    raise WeightsError(f'{where}: {config.G} key/value heads do not divide {config.heads} heads.')
  layers = 1 if config.shared_layers else config.layers
  parts = {
    'layers': layers,
    'vocab_size': config.vocab_size * config.E,
    'width, heads and layers': layers * config.width * config.heads * config.K,
    'feed_forward and layers': layers * config.width * config.feed_forward,
    'segment_types': config.segment_types * config.E,
  }
  if POSITIONS[config.positions].trained:
    parts['max_length'] = config.max_length * config.E
  for fields, least in parts.items():
    if least > held:
      raise WeightsError(
        f'{where}: {fields}: a network of this size has more than {least:,} weights, and the files '
        f'beside it hold {held:,} numbers: they do not belong together.'
      )
  if config.layers > _LAYERS:
    raise WeightsError(f'{where}: {config.layers:,} layers; at most {_LAYERS:,} are read.')
