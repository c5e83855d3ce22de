"""What reads the trunk: an entry of `HEADS` a head, named by what an objective asks for.

An entry says which positions of a row its head reads, so that no layer needs to compute more. A
head that predicts tokens returns a `Projection` and not logits, which would be V wide.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from models import head_costs
from models.config import ModelConfig
from models.label_heads import SequenceHead, SpanHead, TokenHead
from models.layers import ACTIVATIONS, Linear, Norm, kernel_init
from models.pooling import pool, unit
from models.projection import Projection


class MLMHead(nn.Module):
  """BERT's: dense, activation and norm, then the tied embedding + bias."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxPxD, batch, token_VxE) -> Projection:
    """The projection of the predicted positions."""
    config = self.config
    hidden_BxPxE = Linear(config, 'D', 'E', (config.width, config.E), name='transform')(
      hidden_BxPxD
    )
    hidden_BxPxE = Norm(config, 'E', name='norm')(ACTIVATIONS[config.activation](hidden_BxPxE))
    bias_V = self.param(
      'bias', nn.with_logical_partitioning(nn.initializers.zeros, ('V',)), (config.vocab_size,)
    )
    return Projection(hidden_BxPxE, _output_table(self, config, token_VxE), bias_V)


class CLMHead(nn.Module):
  """GPT-2's: the tied embedding alone."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE) -> Projection:
    """The projection of every position."""
    config = self.config
    if config.E != config.width:
      hidden_BxTxD = Linear(config, 'D', 'E', (config.width, config.E), name='transform')(
        hidden_BxTxD
      )
    return Projection(hidden_BxTxD, _output_table(self, config, token_VxE), None)


class ReplacedHead(nn.Module):
  """ELECTRA's: dense, activation and one number a token, whether it was replaced."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE) -> jax.Array:
    """float32 logit_BxT."""
    config, D = self.config, self.config.width
    hidden_BxTxD = Linear(config, 'D', 'D', (D, D), name='dense')(hidden_BxTxD)
    hidden_BxTxD = ACTIVATIONS[config.activation](hidden_BxTxD)
    logit_BxTx1 = Linear(config, 'D', 'C', (D, 1), name='classifier')(hidden_BxTxD)
    return logit_BxTx1[:, :, 0].astype(jnp.float32)


class NSPHead(nn.Module):
  """BERT's pooler (dense + tanh on the first token) and a classifier of sentence pairs."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_Bx1xD, batch, token_VxE) -> jax.Array:
    """float32 logits_Bx2 of {0: next, 1: random or swapped}."""
    config = self.config
    D = config.width
    pooled_Bx1xD = jnp.tanh(Linear(config, 'D', 'D', (D, D), name='pooler')(hidden_Bx1xD))
    logits_Bx1x2 = Linear(config, 'D', 'C', (D, 2), name='classifier')(pooled_Bx1xD)
    return logits_Bx1x2[:, 0].astype(jnp.float32)


class PoolHead(nn.Module):
  """BERT's pooler alone, as models without the classifier of sentence pairs have it."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_Bx1xD, batch, token_VxE) -> jax.Array:
    """pooled_BxD."""
    D = self.config.width
    return jnp.tanh(Linear(self.config, 'D', 'D', (D, D), name='dense')(hidden_Bx1xD))[:, 0]


class VectorHead(nn.Module):
  """A vector for each text of a row: pooled, projected where the config has it, at length 1.

  Attributes:
    texts: K, how many texts a row can have; 0 = as `present` of the batch says, BxK, or one.
  """

  config: ModelConfig
  texts: int = 0

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE) -> jax.Array:
    """float32 vector_BxKxD, D being the projection's width where there is one."""
    config = self.config
    texts = self.texts or (batch['present'].shape[1] if 'present' in batch else 1)
    vector_BxKxD = pool(hidden_BxTxD, batch['segment'], config.pooling, texts)
    if config.projection:
      shape = (config.width, config.projection)
      vector_BxKxD = Linear(config, 'D', 'C', shape, name='projection')(vector_BxKxD)
      if config.projection_activation != 'identity':
        vector_BxKxD = ACTIVATIONS[config.projection_activation](vector_BxKxD)
    return unit(vector_BxKxD) if config.unit_vectors else vector_BxKxD


class PairHead(nn.Module):
  """A classifier of two texts from their vectors u, v and |u - v| (Reimers and Gurevych 2019)."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE) -> jax.Array:
    """float32 logits_BxC."""
    config = self.config
    vector_BxKxD = VectorHead(config, texts=2, name='vector')(hidden_BxTxD, batch, token_VxE)
    u_BxD, v_BxD = vector_BxKxD[:, 0], vector_BxKxD[:, 1]
    read_Bx1xF = jnp.concatenate([u_BxD, v_BxD, jnp.abs(u_BxD - v_BxD)], axis=1)[:, None]
    shape = (read_Bx1xF.shape[-1], config.classes)
    return Linear(config, 'D', 'C', shape, name='classifier')(read_Bx1xF)[:, 0]


class StatesHead(nn.Module):
  """The last hidden states as they are; without parameters."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE) -> jax.Array:
    """hidden_BxTxD."""
    return hidden_BxTxD


def _output_table(module: nn.Module, config: ModelConfig, token_VxE: jax.Array) -> jax.Array:
  if config.tie_embeddings:
    return token_VxE
  init = nn.with_logical_partitioning(kernel_init(config), ('V', 'E'))
  return module.param('kernel', init, (config.vocab_size, config.E))


def _everywhere(batch) -> None:
  """Every position of a row."""
  return None


def _first(batch) -> jax.Array:
  """The first position, Bx1."""
  return jnp.zeros((batch['token'].shape[0], 1), jnp.int32)


def _predicted(batch) -> jax.Array | None:
  """The positions that MLM predicts, BxP; every one where the batch does not say."""
  return batch['mlm_position'] if 'mlm_position' in batch else None


def _pooled(batch) -> jax.Array | None:
  """The positions that a classifier of texts reads, BxS; every one where it takes means."""
  if 'pool' in batch:
    return None
  return batch['pool_at'] if 'pool_at' in batch else _first(batch)


def _all(T: int, P: int) -> int:
  return T


def _one(T: int, P: int) -> int:
  return 1


def _some(T: int, P: int) -> int:
  return P


class Head(NamedTuple):
  """A head and what it costs.

  Attributes:
    module: a flax module, made with the ModelConfig; its parameters lie under `owner`.
    reads: batch -> BxP, the positions of the trunk that it is given; None = all T.
    positions: (T, P) -> how many those are a row, P being the predictions of MLM.
    products: (config, positions) -> multiply-adds a row, forward.
    owner: the head whose parameters it uses; its own name where empty.
  """

  module: type[nn.Module]
  reads: Callable[[dict], jax.Array | None]
  positions: Callable[[int, int], int]
  products: Callable[[ModelConfig, float], float]
  owner: str = ''


HEADS = dict(
  mlm=Head(MLMHead, _predicted, _some, head_costs.mlm_products),
  mlm_row=Head(MLMHead, _everywhere, _all, head_costs.mlm_products, owner='mlm'),
  clm=Head(CLMHead, _everywhere, _all, head_costs.clm_products),
  nsp=Head(NSPHead, _first, _one, head_costs.row_products),
  replaced=Head(ReplacedHead, _everywhere, _all, head_costs.replaced_products),
  pool=Head(PoolHead, _first, _one, head_costs.row_products),
  sequence=Head(SequenceHead, _pooled, _all, head_costs.row_products),
  tokens=Head(TokenHead, _everywhere, _all, head_costs.token_products),
  span=Head(SpanHead, _everywhere, _all, head_costs.token_products),
  vector=Head(VectorHead, _everywhere, _all, head_costs.vector_products),
  hidden=Head(StatesHead, _everywhere, _all, head_costs.no_products),
  pair=Head(PairHead, _everywhere, _all, head_costs.vector_products),
)


def head_of(config: ModelConfig, name: str) -> Head:
  """The head that a network of this config has under a name."""
  mlm = HEADS['mlm']
  if config.plain_mlm:
    mlm = Head(CLMHead, _predicted, _some, head_costs.clm_products)
  if name == 'clm' and config.shared_head:
    return Head(mlm.module, _everywhere, _all, mlm.products, owner='mlm')
  return mlm if name == 'mlm' else HEADS[name]
