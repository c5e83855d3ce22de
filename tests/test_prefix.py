"""Prefixes and masked next tokens: what is read from both sides,
and from where a hidden token is predicted.
"""

import jax
import jax.numpy as jnp
import numpy as np
from test_corrupt import rows, setup

from models.dropout import row_keys
from objectives import clm, mlm, mntp, prefix

SEGMENT = np.array([[1, 1, 1, 1, 1, 2, 2, 2, 3, 0], [1, 1, 2, 2, 2, 2, 2, 2, 2, 2]], np.int32)


def keys(count):
  return jax.random.split(jax.random.key(0), count)


def test_each_document_has_a_prefix_of_any_length_but_the_whole():
  segment_BxT = np.tile(SEGMENT[:1], (3000, 1))
  prefix_BxT = np.asarray(prefix.draw(keys(3000), segment_BxT))
  assert not prefix_BxT[:, 8:].any()  # a document of one token, and padding
  for start, n in ((0, 5), (5, 3)):
    part_BxN = prefix_BxT[:, start : start + n]
    assert (part_BxN[:, :-1] >= part_BxN[:, 1:]).all()  # from its start, without a gap
    share = np.bincount(part_BxN.sum(axis=1), minlength=n + 1) / 3000
    np.testing.assert_allclose(share, [1 / n] * n + [0], atol=0.04)  # five standard errors
  assert np.corrcoef(prefix_BxT[:, :5].sum(axis=1), prefix_BxT[:, 5:8].sum(axis=1))[0, 1] < 0.1


def test_a_row_draws_its_prefix_whatever_it_is_batched_with():
  together = prefix.draw(keys(2), SEGMENT)
  np.testing.assert_array_equal(together[1:], prefix.draw(keys(2)[1:], SEGMENT[1:]))


def test_clm_predicts_what_is_no_prefix():
  prefix_BxT = jnp.array([[1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 1, 1, 1, 1, 1, 0]], bool)
  token_BxT = np.arange(20).reshape(2, 10)
  target_BxT, weight_BxT = clm.shifted(token_BxT, SEGMENT, prefix_BxT)
  asked = [
    np.asarray(target_BxT)[row][np.asarray(weight_BxT)[row] > 0].tolist() for row in range(2)
  ]
  assert asked == [[2, 3, 4, 6, 7], [11, 19]]  # a document's first token has nothing before it


def test_mntp_asks_for_the_same_tokens_one_position_earlier():
  token, segment, _ = rows()
  batch = dict(token=jnp.asarray(token), segment=jnp.asarray(segment))
  one, other = (
    module.prepare(row_keys(jax.random.key(7), jnp.arange(len(token))), batch, setup())
    for module in (mlm, mntp)
  )
  np.testing.assert_array_equal(one['token'], other['token'])
  counts = np.asarray(one['mlm_weight']) > 0
  assert counts.sum() > 1000
  # none is first: those are special
  np.testing.assert_array_equal(np.asarray(other['mlm_weight']) > 0, counts)
  np.testing.assert_array_equal(
    np.asarray(one['mlm_position'])[counts] - 1, np.asarray(other['mlm_position'])[counts]
  )
  np.testing.assert_array_equal(one['mlm_target'], other['mlm_target'])


def test_mntp_never_predicts_from_another_document():
  random = np.random.default_rng(0)
  token = random.integers(5, 120, (200, 10)).astype(np.int32)
  segment = np.tile(SEGMENT[:1], (200, 1))
  asked = (
    row_keys(jax.random.key(1), jnp.arange(200)),
    dict(token=jnp.asarray(token), segment=jnp.asarray(segment)),
    setup(rate=0.5),
  )
  batch = mntp.prepare(*asked)
  position, weight = np.asarray(batch['mlm_position']), np.asarray(batch['mlm_weight'])
  before = np.take_along_axis(segment, position, axis=1)
  assert (before == np.take_along_axis(segment, position + 1, axis=1))[weight > 0].all()
  assert 0 < weight.sum() < np.asarray(mlm.prepare(*asked)['mlm_weight']).sum()
