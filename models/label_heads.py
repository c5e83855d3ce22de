"""Heads for labels: classifiers of texts and of tokens."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from models.config import ModelConfig
from models.dropout import dropout, row_keys
from models.layers import ACTIVATIONS, Linear, Norm


class SequenceHead(nn.Module):
  """A classifier of texts: dense and activation on one vector, then C classes.

  With `plain_heads` it is one kernel, as in GPT2ForSequenceClassification; with `normed_heads` the
  activation is followed by a norm.

  Each of the S texts of a row has a vector: the state at `pool_at` (BxS), or, where the batch has
  `pool` (BxSxT, shares that add up to 1 a text), that mean over the tokens. Without either, a row
  is one text and its first token is read.
  """

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_BxPxD, batch, token_VxE) -> jax.Array:
    """float32 logits_BxSxC."""
    config = self.config
    D, C = config.width, config.classes
    read_BxSxD = hidden_BxPxD  # P is S
    if 'pool' in batch:
      share_BxSxT = batch['pool'].astype(hidden_BxPxD.dtype)
      read_BxSxD = jnp.einsum('BST,BTD->BSD', share_BxSxT, hidden_BxPxD)
    if config.normed_heads or not config.plain_heads:
      read_BxSxD = _pooled_through(config, read_BxSxD)
    if not config.plain_heads:
      read_BxSxD = _dropped(self, read_BxSxD, batch)
    biased = not config.plain_heads and (config.bias or config.normed_heads)
    config = dataclasses.replace(config, bias=biased)
    logits_BxSxC = Linear(config, 'D', 'C', (D, C), name='classifier')(read_BxSxD)
    return logits_BxSxC.astype(jnp.float32)


class TokenHead(nn.Module):
  """A classifier of each token (named entities)."""

  config: ModelConfig
  drops = True

  @nn.compact
  def __call__(self, hidden_BxTxD, batch, token_VxE) -> jax.Array:
    """float32 logits_BxTxC."""
    config = self.config
    if config.normed_heads:
      hidden_BxTxD = _pooled_through(config, hidden_BxTxD)
    if self.drops:
      hidden_BxTxD = _dropped(self, hidden_BxTxD, batch)
    biased = config.bias or config.plain_heads or config.normed_heads
    config = dataclasses.replace(config, bias=biased)
    shape = (config.width, config.classes)
    logits_BxTxC = Linear(config, 'D', 'C', shape, name='classifier')(hidden_BxTxD)
    return logits_BxTxC.astype(jnp.float32)


class SpanHead(TokenHead):
  """The two ends of an answer: scores of each token, without dropout, as BERT has it."""

  drops = False


def _pooled_through(config: ModelConfig, x_BxPxD: jax.Array) -> jax.Array:
  """What a head for labels computes before its classifier; modules of the head that calls it."""
  D = config.width
  x_BxPxD = Linear(config, 'D', 'D', (D, D), name='pooler')(x_BxPxD)
  x_BxPxD = ACTIVATIONS[config.classifier_activation](x_BxPxD)
  return Norm(config, name='norm')(x_BxPxD) if config.normed_heads else x_BxPxD


def _dropped(head: nn.Module, x_BxPxD: jax.Array, batch) -> jax.Array:
  """What a classifier reads, with dropout; on if and only if `apply` was given a key.

  As in run_classifier.py of BERT. ModernBERT, whose heads are normed, has none here.
  """
  config = head.config
  off = not config.head_dropout or not config.dropout or config.normed_heads
  if off or not head.has_rng('dropout'):
    return x_BxPxD
  row_B = batch['row'] if 'row' in batch else jnp.arange(len(x_BxPxD))
  return dropout(row_keys(head.make_rng('dropout'), row_B), x_BxPxD, config.dropout)
