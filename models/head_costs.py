"""What a head costs: multiply-adds a row, forward, of so many positions."""

from models.config import ModelConfig


def mlm_products(config: ModelConfig, positions: float) -> float:
  D, E, V = config.width, config.E, config.vocab_size
  return positions * (D * E + E * V)


def clm_products(config: ModelConfig, positions: float) -> float:
  D, E, V = config.width, config.E, config.vocab_size
  return positions * (E * V + (E * D if E != D else 0))


def row_products(config: ModelConfig, positions: float) -> float:
  """Dense, then classes: two, or as many as the config has; the difference is nothing."""
  return config.width * config.width + config.width * 2


def token_products(config: ModelConfig, positions: float) -> float:
  return positions * config.width * config.classes


def replaced_products(config: ModelConfig, positions: float) -> float:
  return positions * config.width * (config.width + 1)


def vector_products(config: ModelConfig, positions: float) -> float:
  """One text: pooling, and the projection where there is one."""
  return config.width * (positions + config.projection)


def no_products(config: ModelConfig, positions: float) -> float:
  return 0.0
