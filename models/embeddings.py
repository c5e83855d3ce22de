"""What a token is before the first layer: token, position and sentence type, summed."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from models.config import ModelConfig
from models.dropout import dropout, row_keys
from models.layers import Linear, Norm, kernel_init
from models.positions import POSITIONS
from parallel.axes import keep_rows

# Standard deviation of a trained position table, whatever `init_scale` is: a wider one hides the
# tokens (docs/LOG.md, 2026-11-23).
_POSITION_SCALE = 0.02


class Embeddings(nn.Module):
  """Token + position + sentence-type embeddings; projected to D if they have their own width."""

  config: ModelConfig

  def setup(self):
    config = self.config
    scale = config.init_scale
    self.token_VxE = self._table('token', 'V', config.vocab_size, scale)
    if POSITIONS[config.positions].trained:
      self.position_SxE = self._table('position', 'S', config.max_length, _POSITION_SCALE)
    if config.segment_types:
      self.type_CxE = self._table('type', 'C', config.segment_types, scale)
    if config.embedding_norm:
      self.norm = Norm(config, 'E')
    if config.projected:
      self.projection = Linear(config, 'E', 'D', (config.E, config.width))

  def __call__(
    self, token_BxT: jax.Array, type_BxT: jax.Array, position_BxT: jax.Array, row_B: jax.Array
  ) -> jax.Array:
    """x_BxTxD in the config's dtype.

    Args:
      row_B: numbers of the rows in the global batch, which dropout draws by.
    """
    config, scheme = self.config, POSITIONS[self.config.positions]
    x_BxTxE = self.token_VxE[token_BxT]
    if scheme.trained:
      x_BxTxE += self.position_SxE[position_BxT + config.position_offset]
    if scheme.table is not None:
      table_SxE = jnp.asarray(scheme.table(config.max_length, config.E))
      x_BxTxE += table_SxE[position_BxT + config.position_offset]
    if config.segment_types:
      x_BxTxE += self.type_CxE[type_BxT]
    if config.embedding_norm:
      x_BxTxE = self.norm(x_BxTxE)
    x_BxTxE = x_BxTxE.astype(config.dtype)
    if config.dropout and self.has_rng('dropout'):
      key_B = row_keys(self.make_rng('dropout'), row_B)
      x_BxTxE = dropout(key_B, x_BxTxE, config.dropout)
    x_BxTxE = keep_rows(x_BxTxE)
    return self.projection(x_BxTxE) if config.projected else x_BxTxE

  def _table(self, name: str, letter: str, rows: int, scale: float) -> jax.Array:
    init = kernel_init(self.config, scale=scale)
    init = nn.with_logical_partitioning(init, (letter, 'E'))
    return self.param(name, init, (rows, self.config.E))
