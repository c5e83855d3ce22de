"""How the states of a text's tokens become one vector: a table of the ways.

The names are those of sentence-transformers; special tokens count as tokens of their text.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from models.masks import KINDS
from models.positions import in_document

# {name: (position of a token in its text, tokens of that text) -> its share before division}.
_SHARES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = dict(
  mean=lambda position, length: jnp.ones_like(position),
  mean_sqrt_len_tokens=lambda position, length: jnp.ones_like(position),
  first=lambda position, length: position == 0,
  last=lambda position, length: position == length - 1,
  weighted_mean=lambda position, length: position + 1,  # SGPT (Muennighoff 2022)
)
POOLINGS = dict(
  mean='mean over the tokens',
  first='the first token',
  last='the last token',
  max='largest value of each dimension over the tokens',
  weighted_mean='mean over the tokens, each counted by its position from 1',
  mean_sqrt_len_tokens='sum over the tokens / square root of their number',
)


def blind(mask: str, pooling: str) -> bool:
  """Whether what is pooled sees nothing of its text but one token, under a kind of mask."""
  return pooling == 'first' and not KINDS[mask].rule(0, 1, True)


def pool(
  hidden_BxTxD: jax.Array, segment_BxT: jax.Array, pooling: str, texts: int = 1
) -> jax.Array:
  """A float32 vector for each text of a row, BxKxD; 0 where a row has no such text.

  Args:
    segment_BxT: the number of the text that a token belongs to, from 1; 0 = padding.
    pooling: a key of POOLINGS.
    texts: K, how many texts a row has at most.
  """
  hidden_BxTxD = hidden_BxTxD.astype(jnp.float32)
  number_1xKx1 = jnp.arange(1, texts + 1)[None, :, None]
  own_BxKxT = segment_BxT[:, None, :] == number_1xKx1
  if pooling == 'max':
    vectors = [_max(hidden_BxTxD, own_BxKxT[:, text]) for text in range(texts)]
    return jnp.stack(vectors, axis=1)
  length_BxKx1 = own_BxKxT.sum(axis=2, keepdims=True)
  position_Bx1xT = in_document(segment_BxT)[:, None, :]
  share_BxKxT = own_BxKxT * _SHARES[pooling](position_Bx1xT, length_BxKx1).astype(jnp.float32)
  vector_BxKxD = jnp.einsum('BKT,BTD->BKD', share_BxKxT, hidden_BxTxD)
  total_BxKx1 = share_BxKxT.sum(axis=2, keepdims=True)
  if pooling == 'mean_sqrt_len_tokens':
    total_BxKx1 = jnp.sqrt(total_BxKx1)
  return vector_BxKxD / jnp.maximum(total_BxKx1, 1e-9)


def _max(hidden_BxTxD, own_BxT):
  largest_BxD = jnp.where(own_BxT[:, :, None], hidden_BxTxD, -jnp.inf).max(axis=1)
  return jnp.where(own_BxT.any(axis=1)[:, None], largest_BxD, 0)


def unit(vector_xD: jax.Array) -> jax.Array:
  """The vectors at length 1; 0, as of a text that a row lacks, stays 0 with a finite gradient."""
  square_x1 = jnp.square(vector_xD).sum(axis=-1, keepdims=True)
  return vector_xD / jnp.sqrt(jnp.maximum(square_x1, 1e-24))
