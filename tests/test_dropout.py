"""Dropout: its rate, what it leaves, and which elements are dropped independently of which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.dropout import dropout, row_keys


def dropped(seed: int, x_Bx, rate: float, first: int = 0) -> np.ndarray:
  keys = row_keys(jax.random.key(seed), first + jnp.arange(x_Bx.shape[0]))
  return np.asarray(dropout(keys, x_Bx, rate))


@pytest.mark.parametrize(
  'shape', [(10, 100, 1_000), (5, 7, 101, 64), (3, 3_000, 300), (4, 1, 9_000)]
)
def test_an_element_is_dropped_at_the_rate_and_the_rest_is_scaled_up(shape):
  for rate in (0.1, 0.5):
    out = dropped(0, jnp.full(shape, 3.0), rate)
    kept = out != 0
    np.testing.assert_allclose(out[kept], 3 / (1 - rate), rtol=1e-6)  # one division in float32
    standard_error = (rate * (1 - rate) / out.size) ** 0.5
    assert abs((1 - kept.mean()) - rate) < 5 * standard_error


def test_elements_that_share_random_bits_are_dropped_independently():
  out = dropped(1, jnp.ones((4, 400, 500)), 0.5)
  first, second = (out[:, :200] != 0).ravel(), (out[:, 200:] != 0).ravel()
  assert abs(np.corrcoef(first, second)[0, 1]) < 5 * first.size**-0.5  # five standard errors


def test_keys_rows_and_positions_differ():
  x = jnp.ones((16, 64, 64))
  one, two = (dropped(seed, x, 0.5) for seed in (0, 1))
  assert (one != two).mean() > 0.3 and (one[0] != one[1]).mean() > 0.3
  assert (one[:, 0] != one[:, 1]).mean() > 0.3


def test_a_row_drops_the_same_whatever_it_is_batched_with():
  x = jnp.ones((8, 16, 32))
  whole = dropped(0, x, 0.5)
  np.testing.assert_array_equal(dropped(0, x[:2], 0.5, first=6), whole[6:])
