"""Every implementation of the one attention function gives what `reference` gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import attention
from models.attention import attend, attention_weights
from models.masks import Mask

B, T, H, K = 2, 6, 4, 8
SEGMENT = jnp.array([[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
MASKS = dict(
    everything=Mask(),
    padding=Mask(q_segment_BxT=SEGMENT, kv_segment_BxS=SEGMENT),
    causal=Mask(causal=True),
    packed=Mask(causal=True, packed=True, q_segment_BxT=SEGMENT, kv_segment_BxS=SEGMENT),
    window=Mask(causal=True, window=(2, 0)),
    both_sides=Mask(window=(1, 2)),
    prefix=Mask(causal=True, prefix_BxS=jnp.arange(T)[None] < jnp.array([[3], [1]])),
    cached=Mask(causal=True, q_position_BxT=jnp.array([[0, 1, 2, 3, 4, 5], [3, 4, 5, 5, 5, 5]])),
)


def qkv(G: int):
  keys = jax.random.split(jax.random.key(0), 3)
  return [jax.random.normal(key, (B, T, heads, K)) for key, heads in zip(keys, (H, G, G), strict=True)]


@pytest.mark.parametrize('name', MASKS)
@pytest.mark.parametrize('G', [4, 2])
@pytest.mark.parametrize('implementation', [name for name in attention.IMPLEMENTATIONS if name != 'reference'])
def test_fused_equals_reference_forward_and_backward(name, G, implementation):
  bias = jax.random.normal(jax.random.key(9), (1, H, T, T)) if name == 'causal' else None

  def loss(q, k, v, implementation):
    out = attend(q, k, v, MASKS[name], bias_1xHxTxS=bias, implementation=implementation)
    return (out * jnp.cos(jnp.arange(out.size).reshape(out.shape))).sum(), out

  grads, out = jax.grad(loss, (0, 1, 2), has_aux=True)(*qkv(G), implementation)
  expected_grads, expected = jax.grad(loss, (0, 1, 2), has_aux=True)(*qkv(G), 'reference')
  for x, y in zip([out, *grads], [expected, *expected_grads], strict=True):
    np.testing.assert_allclose(x, y, atol=2e-6)  # float32, sums of at most 8 products


@pytest.mark.parametrize('name', MASKS)
def test_the_weights_shown_are_the_ones_used(name):
  q, k, v = qkv(2)
  weights = attention_weights(q, k, MASKS[name])
  np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
  product = jnp.einsum('BHTS,BSHK->BTHK', weights, jnp.repeat(v, H // 2, axis=2))
  np.testing.assert_allclose(product, attend(q, k, v, MASKS[name]), atol=2e-6)


def test_what_is_asked_for_by_name_never_falls_back():
  drop = (jax.random.key(0), 0.5)
  with pytest.raises(NotImplementedError, match='xla: no dropout'):
    attend(*qkv(4), Mask(), dropout=drop, implementation='xla')
  chosen = attend(*qkv(4), Mask(), dropout=drop)
  np.testing.assert_array_equal(chosen, attend(*qkv(4), Mask(), dropout=drop, implementation='reference'))
  with pytest.raises(ValueError, match='choose one of'):
    attend(*qkv(4), Mask(), implementation='flash')


def test_dropout_of_probabilities_keeps_their_expectation():
  q, k, v = qkv(4)
  keys = jax.random.split(jax.random.key(1), 4_000)
  mean = jax.vmap(lambda key: attend(q, k, v, Mask(), dropout=(key, 0.3)))(keys).mean(0)
  np.testing.assert_allclose(mean, attend(q, k, v, Mask()), atol=0.06)  # five standard errors


def test_a_query_that_sees_nothing_stays_finite():
  nothing = Mask(q_segment_BxT=jnp.ones((B, T), int), kv_segment_BxS=jnp.zeros((B, T), int))
  for implementation in attention.IMPLEMENTATIONS:
    assert jnp.isfinite(attend(*qkv(4), nothing, implementation=implementation)).all()
