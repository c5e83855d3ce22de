"""What reads the trunk: one module a head, named by what an objective asks for in `HEADS`.

A head is given the trunk's output at the places that `places`
says, so that no layer needs to compute more.

A head that predicts tokens ends in `Projection`, not in logits: V-wide logits are the largest array
of the whole step, and the loss decides how many of them exist at once.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from models.config import ModelConfig
from models.layers import ACTIVATIONS, Linear, Norm, kernel_init


def _output_table(module: nn.Module, config: ModelConfig, token_VxE: jax.Array) -> jax.Array:
  if config.tie_embeddings:
    return token_VxE
  return module.param(
    'kernel',
    nn.with_logical_partitioning(kernel_init(config), ('V', 'E')),
    (config.vocab_size, config.E),
  )


class MLMHead(nn.Module):
  """BERT's: dense, activation and norm at the P predicted
  positions, then the tied embedding + bias.

  A batch without mlm_position asks for all T positions.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxPxD, batch, token_VxE):
    config = self.config
    hidden_BxPxE = Linear(config, 'D', 'E', (config.width, config.E), name='transform')(
      hidden_BxPxD
    )
    hidden_BxPxE = Norm(config, 'E', name='norm')(ACTIVATIONS[config.activation](hidden_BxPxE))
    bias_V = self.param(
      'bias', nn.with_logical_partitioning(nn.initializers.zeros, ('V',)), (config.vocab_size,)
    )
    return hidden_BxPxE, _output_table(self, config, token_VxE), bias_V


class CLMHead(nn.Module):
  """GPT-2's: the tied embedding alone."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE):
    config = self.config
    if config.E != config.width:
      hidden_BxTxD = Linear(config, 'D', 'E', (config.width, config.E), name='transform')(
        hidden_BxTxD
      )
    return hidden_BxTxD, _output_table(self, config, token_VxE), None


class NSPHead(nn.Module):
  """BERT's pooler (dense + tanh on the first token) and a
  classifier over {0: next, 1: random or swapped}.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_Bx1xD, batch, token_VxE):
    config = self.config
    D = config.width
    pooled_Bx1xD = jnp.tanh(Linear(config, 'D', 'D', (D, D), name='pooler')(hidden_Bx1xD))
    logits_Bx1x2 = Linear(config, 'D', 'C', (D, 2), name='classifier')(pooled_Bx1xD)
    return logits_Bx1x2[:, 0].astype(jnp.float32)


class PoolHead(nn.Module):
  """BERT's pooler alone, as models without the classifier of sentence pairs have it."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_Bx1xD, batch, token_VxE):
    D = self.config.width
    return jnp.tanh(Linear(self.config, 'D', 'D', (D, D), name='dense')(hidden_Bx1xD))[:, 0]


class SequenceHead(nn.Module):
  """A classifier of whole rows: dense and activation on the first token, then C classes.

  Where the batch has `pool` (BxT, shares that add up to 1 a
  row), these tokens are read instead of the first.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE):
    config = self.config
    D, C = config.width, config.classes
    read_Bx1xD = hidden_BxTxD  # T is 1
    if 'pool' in batch:
      read_Bx1xD = jnp.einsum('BT,BTD->BD', batch['pool'].astype(hidden_BxTxD.dtype), hidden_BxTxD)[
        :, None
      ]
    pooled_Bx1xD = Linear(config, 'D', 'D', (D, D), name='pooler')(read_Bx1xD)
    pooled_Bx1xD = ACTIVATIONS[config.classifier_activation](pooled_Bx1xD)
    logits_Bx1xC = Linear(config, 'D', 'C', (D, C), name='classifier')(pooled_Bx1xD)
    return logits_Bx1xC[:, 0].astype(jnp.float32)


class TokenHead(nn.Module):
  """A classifier of each token (named entities; the two ends of an answer): logits_BxTxC."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE):
    config = self.config
    logits_BxTxC = Linear(config, 'D', 'C', (config.width, config.classes), name='classifier')(
      hidden_BxTxD
    )
    return logits_BxTxC.astype(jnp.float32)


HEADS = dict(
  mlm=MLMHead,
  clm=CLMHead,
  nsp=NSPHead,
  pool=PoolHead,
  sequence=SequenceHead,
  tokens=TokenHead,
  span=TokenHead,
)


def places(head: str, batch) -> jax.Array | None:
  """BxP: where in each row a head reads the trunk; None: everywhere."""
  if head == 'mlm':
    return batch.get('mlm_position')
  if head in ('nsp', 'pool') or head == 'sequence' and 'pool' not in batch:
    return jnp.zeros((batch['token'].shape[0], 1), jnp.int32)
  return None
