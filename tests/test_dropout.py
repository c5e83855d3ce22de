"""Dropout: its rate, what it leaves, and that elements which
share random bits are dropped independently.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.dropout import dropout


@pytest.mark.parametrize('shape', [(1_000, 1_000), (5, 7, 101, 64), (3_000, 1, 300)])
def test_an_element_is_dropped_at_the_rate_and_the_rest_is_scaled_up(shape):
  for rate in (0.1, 0.5):
    out = np.asarray(dropout(jax.random.key(0), jnp.full(shape, 3.0), rate))
    kept = out != 0
    np.testing.assert_allclose(out[kept], 3 / (1 - rate), rtol=1e-6)  # one division in float32
    standard_error = (rate * (1 - rate) / out.size) ** 0.5
    assert abs((1 - kept.mean()) - rate) < 5 * standard_error


def test_elements_that_share_random_bits_are_dropped_independently():
  out = np.asarray(dropout(jax.random.key(1), jnp.ones((4, 400, 500)), 0.5))
  first, second = (out[:, :200] != 0).ravel(), (out[:, 200:] != 0).ravel()
  assert abs(np.corrcoef(first, second)[0, 1]) < 5 * first.size**-0.5  # five standard errors


def test_keys_and_places_differ():
  x = jnp.ones((16, 64, 64))
  one, two = (np.asarray(dropout(jax.random.key(seed), x, 0.5)) for seed in (0, 1))
  assert (one != two).mean() > 0.3 and (one[0] != one[1]).mean() > 0.3
  assert (one[:, 0] != one[:, 1]).mean() > 0.3
