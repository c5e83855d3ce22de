"""Prefix-LM (Raffel et al. 2020, 3.2.1): how much of each document is read from both sides."""

import jax
import jax.numpy as jnp


def draw(key_B: jax.Array, segment_BxT: jax.Array) -> jax.Array:
  """prefix_BxT: the first tokens of each document; of n tokens 0 to n - 1, each number as likely.

  Each row has its own key, so that its prefixes do not depend on what it is batched with.
  """
  return jax.vmap(_draw_row)(key_B, segment_BxT)


def _draw_row(key, segment_T):
  T = segment_T.shape[0]
  place_T = jnp.arange(T)
  # by number of the document
  length_S = jax.ops.segment_sum(jnp.ones(T, jnp.int32), segment_T, T + 1)
  first_S = jax.ops.segment_min(place_T, segment_T, T + 1)
  read_S = jnp.floor(jax.random.uniform(key, (T + 1,)) * length_S)
  return (segment_T > 0) & (place_T - first_S[segment_T] < read_S[segment_T])
