"""A mask's `dense` is the one definition of what is visible."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.masks import Mask
from models.positions import in_document


def brute_force(mask: Mask, B: int, T: int, S: int) -> np.ndarray:
  """The docstring of Mask, one query and one key at a time."""
  seen = np.ones((B, T, S), bool)
  q_pos = (
    np.tile(np.arange(T), (B, 1))
    if mask.q_position_BxT is None
    else np.asarray(mask.q_position_BxT)
  )
  k_pos = (
    np.tile(np.arange(S), (B, 1))
    if mask.kv_position_BxS is None
    else np.asarray(mask.kv_position_BxS)
  )
  for b, t, s in np.ndindex(B, T, S):
    if mask.q_segment_BxT is not None:
      q, k = int(mask.q_segment_BxT[b, t]), int(mask.kv_segment_BxS[b, s])
      seen[b, t, s] &= q == k if mask.packed else (q > 0) == (k > 0)
    if mask.causal:
      in_prefix = mask.prefix_BxS is not None and bool(
        mask.prefix_BxS[b, min(s, mask.prefix_BxS.shape[1] - 1)]
      )
      seen[b, t, s] &= k_pos[b, s] <= q_pos[b, t] or in_prefix
    if mask.window is not None:
      left, right = mask.window
      seen[b, t, s] &= q_pos[b, t] - left <= k_pos[b, s] <= q_pos[b, t] + right
  return seen


def random_mask(rng, B: int, T: int) -> Mask:
  causal = bool(rng.integers(2))
  window = None if rng.integers(2) else (int(rng.integers(4)), int(rng.integers(4)))
  fields = dict(causal=causal, window=window, packed=bool(rng.integers(2)))
  if rng.integers(2):
    segment = np.sort(rng.integers(1, 4, (B, T)), axis=1)
    segment[:, T - int(rng.integers(3)) :] = 0
    fields |= dict(q_segment_BxT=segment, kv_segment_BxS=segment)
  if causal and rng.integers(2):
    fields |= dict(prefix_BxS=np.arange(T)[None] < rng.integers(0, T, (B, 1)))
  return Mask(
    **{name: jnp.asarray(x) if isinstance(x, np.ndarray) else x for name, x in fields.items()}
  )


def test_dense_is_the_definition_on_300_random_masks_and_no_row_is_empty():
  rng = np.random.default_rng(0)
  with jax.disable_jit():
    for _ in range(300):
      B, T = int(rng.integers(1, 3)), int(rng.integers(2, 7))
      mask = random_mask(rng, B, T)
      expected = brute_force(mask, B, T, T)
      dense = mask.dense(T, T)
      dense = True if dense is None else dense
      np.testing.assert_array_equal(np.broadcast_to(dense, expected.shape), expected)
      assert expected.any(axis=-1).all()


@pytest.mark.parametrize('drawn', [False, True])
def test_the_mask_of_a_few_queries_has_their_rows_of_the_whole(drawn):
  rng = np.random.default_rng(1)
  with jax.disable_jit():
    for _ in range(100):
      B, T = int(rng.integers(1, 3)), int(rng.integers(2, 7))
      mask = random_mask(rng, B, T)
      place_BxQ = rng.integers(0, T, (B, 3))
      expected = np.take_along_axis(brute_force(mask, B, T, T), place_BxQ[:, :, None], axis=1)
      dense = (mask.draw(T, T) if drawn else mask).take_queries(jnp.asarray(place_BxQ)).dense(3, T)
      np.testing.assert_array_equal(
        np.broadcast_to(True if dense is None else dense, expected.shape), expected
      )


def test_a_chunk_of_cached_decoding_sees_the_rows_of_the_full_mask():
  full = Mask(causal=True, window=(3, 0)).dense(8, 8)
  for step, T in [(0, 3), (3, 1), (4, 4)]:
    chunk = Mask(causal=True, window=(3, 0), q_position_BxT=step + jnp.arange(T)[None]).dense(T, 8)
    np.testing.assert_array_equal(chunk[0], full[0, step : step + T])


def test_positions_in_the_document_and_row_indices_agree_under_packing():
  segment = jnp.array([[1, 1, 1, 2, 2, 3, 0, 0]])
  by_row = Mask(causal=True, packed=True, q_segment_BxT=segment, kv_segment_BxS=segment)
  position = in_document(segment)
  by_document = Mask(
    causal=True,
    packed=True,
    q_segment_BxT=segment,
    kv_segment_BxS=segment,
    q_position_BxT=position,
    kv_position_BxS=position,
  )
  np.testing.assert_array_equal(position, [[0, 1, 2, 0, 1, 0, 0, 1]])
  np.testing.assert_array_equal(by_row.dense(8, 8), by_document.dense(8, 8))


def test_half_the_rows_may_be_bidirectional():
  dense = Mask(causal=True, prefix_BxS=jnp.array([[True], [False]])).dense(4, 4)
  assert dense[0].all()
  np.testing.assert_array_equal(dense[1], np.tril(np.ones((4, 4), bool)))


def test_cross_attention_sees_exactly_the_valid_source():
  valid = jnp.array([[1, 1, 0]])
  dense = Mask(q_segment_BxT=jnp.ones((1, 2), int), kv_segment_BxS=valid).dense(2, 3)
  np.testing.assert_array_equal(dense, [[[True, True, False]] * 2])


def test_a_mask_that_means_nothing_is_refused():
  with pytest.raises(ValueError, match='together'):
    Mask(q_segment_BxT=jnp.ones((1, 2)))
  with pytest.raises(ValueError, match='causal'):
    Mask(prefix_BxS=jnp.ones((1, 2)))
