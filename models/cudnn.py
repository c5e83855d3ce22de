"""How cuDNN is told of a mask, for models.attention: what it knows natively, and what is dense."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from models.masks import Mask


class Rules(NamedTuple):
  """How cuDNN is told of a mask.

  Four masks are native to it and passed as flags: none, causal, causal with a left window, right
  padding as lengths. Any other is passed dense.

  | mask                              | is_causal | left_window | lengths | dense |
  |-----------------------------------|-----------|-------------|---------|-------|
  | bidirectional, no segments        |           |             |         |       |
  | bidirectional, padding            |           |             | yes     |       |
  | causal, with or without padding   | yes       |             |         |       |
  | causal, window=(w, 0)             | yes       | w           |         |       |
  | packed, positions, prefix, others |           |             |         | yes   |

  A causal query sees no padding, which is on the right, so lengths add nothing there.
  """

  is_causal: bool = False
  left_window: int | None = None
  lengths: bool = False
  dense: bool = False


def rules_of(mask: Mask, T: int, S: int) -> Rules:
  """The cheapest way to tell cuDNN of a mask of T queries and S keys."""
  packed = mask.packed and mask.q_segment_BxT is not None
  causal = mask.causal and T == S  # jax aligns causality to the top left
  unaligned = mask.causal and not causal
  window = mask.window is not None
  if packed or not mask.by_index or unaligned or window and not causal:
    return Rules(dense=True, is_causal=causal and mask.by_index)
  return Rules(
    is_causal=causal,
    left_window=mask.window[0] if window else None,
    lengths=not causal and mask.q_segment_BxT is not None,
  )


def lengths(segment_BxT) -> jax.Array:
  """Tokens of each row; a row of padding sees itself alone."""
  return jnp.maximum(1, (segment_BxT > 0).sum(axis=1, dtype=jnp.int32))
