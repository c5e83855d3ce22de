"""Causal language modelling (Radford et al. 2018, 3.1): predict each token from those before it."""

import jax
import jax.numpy as jnp

from objectives.corrupt import Masking
from objectives.projection import projected_cross_entropy, projected_nats
from objectives.term import Setup, Term, cross_entropy

HEADS = ('clm',)
ROWS = 'packed'
PREDICTS = 'tokens'
UNITS = dict(
  loss='nats a token',
  accuracy='of next tokens',
  perplexity='a token, left side seen',
  word_perplexity='a word',
)
ANSWERS_SEEN = ('bidirectional',)  # masks that show each token the answer it must predict
ALONE = True  # beside an objective that masks tokens it would predict from corrupted ones


def clm(logits_BxTxV, token_BxT, segment_BxT) -> Term:
  """Cross-entropy (nats) of each token given those before it.

  Shifts inside, never across documents.
  """
  return cross_entropy(logits_BxTxV, *shifted(token_BxT, segment_BxT))['loss']


def shifted(token_BxT, segment_BxT, prefix_BxT=None):
  """(target_BxT, weight_BxT): the next token of each.

  It counts where it belongs to the same document and not to the document's prefix.
  """
  target_BxT = jnp.roll(token_BxT, -1, axis=1)
  counts_BxT = (jnp.roll(segment_BxT, -1, axis=1) == segment_BxT) & (segment_BxT > 0)
  if prefix_BxT is not None:
    counts_BxT &= ~jnp.roll(prefix_BxT, -1, axis=1)
  return target_BxT, counts_BxT.at[:, -1].set(False).astype(jnp.float32)


def predictions(T: int, masking: Masking, progress: float, *, prefix: bool) -> float:
  """Of a full row of T tokens: all but the first, and half of them behind a prefix.

  Args:
    prefix: rows have one, of 0 to T - 1 tokens, each number as likely.
  """
  return (T - 1) * (0.5 + 1 / T if prefix else 1.0)


def prepare(key_B, batch, setup: Setup):
  """The batch as it is."""
  return batch


def weight(batch) -> jax.Array:
  """How many tokens are predicted."""
  return next_tokens(batch)[1].sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss (nats) and accuracy over the next tokens."""
  return projected_cross_entropy(outputs['clm'], *next_tokens(batch), chunk=setup.chunk)


def scores(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Terms, and `text`: nats of the tokens of text, unknown ones too and special ones not.

  They are for units that no tokenizer can flatter.
  """
  target_BxT, weight_BxT = next_tokens(batch)
  nats_BxT, hit_BxT = projected_nats(outputs['clm'], target_BxT, chunk=setup.chunk)
  vocabulary = setup.vocabulary
  unknown_BxT = target_BxT == vocabulary.unknown_id
  text_BxT = weight_BxT * (unknown_BxT | ~vocabulary.special_V[target_BxT])
  kinds = [('loss', nats_BxT, weight_BxT), ('accuracy', hit_BxT, weight_BxT)]
  if not setup.prefix:  # a prefix would leave a part of the text unscored
    kinds.append(('text', nats_BxT, text_BxT))
  return {kind: Term((x_BxT * w_BxT).sum(), w_BxT.sum()) for kind, x_BxT, w_BxT in kinds}


def targets(batch):
  """(position_BxT, token_BxT, weight_BxT): what is to be predicted, for people."""
  target_BxT, weight_BxT = next_tokens(batch)
  position_BxT = jnp.broadcast_to(jnp.arange(target_BxT.shape[1])[None] + 1, target_BxT.shape)
  return position_BxT, target_BxT, weight_BxT


def next_tokens(batch):
  """(target_BxT, weight_BxT) of a batch: the next token of each, and whether it counts."""
  prefix_BxT = batch['prefix'] if 'prefix' in batch else None
  return shifted(batch['token'], batch['segment'], prefix_BxT)
