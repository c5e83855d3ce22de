"""The loss that never has whole logits gives what whole logits give; sums are divided once."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from objectives import clm, mlm, nsp, projection, term
from parallel import sharding

B, P, E, V = 3, 7, 8, 40


def arrays():
  keys = jax.random.split(jax.random.key(0), 5)
  head = tuple(map(jax.random.normal, keys[:3], ((B, P, E), (V, E), (V,))))
  weight = jax.random.bernoulli(keys[4], 0.7, (B, P)).astype(jnp.float32)
  return head, jax.random.randint(keys[3], (B, P), 0, V), weight


def whole(hidden, table, bias):
  return jnp.einsum('BPE,VE->BPV', hidden, table) + bias[None, None]


@pytest.mark.parametrize('chunk', [1, 6, 9, 21, 1_000])
def test_chunks_change_neither_loss_nor_accuracy_nor_gradient(chunk):
  head, target, weight = arrays()
  chunked = lambda *p: projection.projected_cross_entropy(p, target, weight, chunk=chunk)
  plain = lambda *p: term.cross_entropy(whole(*p), target, weight)
  for kind in ('loss', 'accuracy'):
    np.testing.assert_allclose(chunked(*head)[kind], plain(*head)[kind], rtol=1e-6)
  gradient = lambda f: jax.grad(lambda *p: 3 * f(*p)['loss'].total, (0, 1, 2))(*head)
  for x, y in zip(gradient(chunked), gradient(plain), strict=True):
    np.testing.assert_allclose(x, y, atol=1e-5)  # float32 sums over V
  nats, hit = projection.projected_nats(head, target, chunk=chunk)
  np.testing.assert_allclose((nats * weight).sum(), plain(*head)['loss'].total, rtol=1e-6)
  np.testing.assert_array_equal((hit * weight).sum(), plain(*head)['accuracy'].total)


def test_chunks_save_the_memory_of_whole_logits():
  hidden, table, weight = jnp.ones((4, 256, 16)), jnp.ones((4_096, 16)), jnp.ones((4, 256))
  target = jnp.zeros((4, 256), int)

  def temporary(chunk):
    loss = lambda h, t: (
      projection.projected_cross_entropy((h, t, None), target, weight, chunk=chunk)['loss'].total
    )
    return (
      jax.jit(jax.grad(loss, (0, 1)))
      .lower(hidden, table)
      .compile()
      .memory_analysis()
      .temp_size_in_bytes
    )

  logits = 4 * 256 * 4_096 * 4
  assert temporary(1_024) > logits > 4 * temporary(64)


def test_nothing_that_counts_gives_zero_and_no_nan():
  head, target, weight = arrays()
  loss = lambda h: (
    projection.projected_cross_entropy((h, *head[1:]), target, 0 * weight, chunk=6)['loss'].total
  )
  value, gradient = jax.value_and_grad(loss)(head[0])
  assert value == 0 and (gradient == 0).all()


def test_clm_shifts_inside_and_never_crosses_documents():
  token = np.array([[5, 6, 7, 8, 9, 0], [1, 2, 3, 4, 5, 6]])
  segment = np.array([[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1]])
  logits = np.random.default_rng(0).normal(size=(2, 6, V)).astype(np.float32)
  log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  pairs = [(b, t) for b in range(2) for t in range(5) if segment[b, t] == segment[b, t + 1] > 0]
  term = clm.clm(jnp.asarray(logits), jnp.asarray(token), jnp.asarray(segment))
  assert len(pairs) == term.weight == 8
  np.testing.assert_allclose(
    term.total, -sum(log_p[b, t, token[b, t + 1]] for b, t in pairs), rtol=1e-6
  )


def test_pure_losses_are_negative_log_likelihoods():
  logits = jnp.log(jnp.array([[0.25, 0.75], [0.5, 0.5], [0.1, 0.9]]))
  term = nsp.nsp(logits, jnp.array([1, 0, 0]), jnp.array([1.0, 1.0, 0.0]))
  np.testing.assert_allclose(term.total, -np.log(0.75) - np.log(0.5), rtol=1e-6)
  assert term.weight == 2
  term = mlm.mlm(logits[None], jnp.array([[1, 0, 0]]), jnp.array([[0.0, 1.0, 1.0]]))
  np.testing.assert_allclose(term.total, -np.log(0.5) - np.log(0.1), rtol=1e-5)


def test_logits_stay_split_over_rows_and_vocabulary_on_a_mesh():
  config = base.get_config().mesh
  config.update(data=2, fsdp=2, tensor=2)
  mesh = sharding.make_mesh(config)

  def of(letters, shape, dtype='float32'):
    return jax.ShapeDtypeStruct(
      shape, dtype, sharding=jax.NamedSharding(mesh, sharding.spec(mesh, letters, shape))
    )

  def loss(head, target, weight):
    return projection.projected_cross_entropy(head, target, weight, chunk=64)['loss'].total

  head = of(('B', 'P', None), (16, 12, E)), of(('V', 'E'), (V, E)), of(('V',), (V,))
  program = (
    jax.jit(jax.grad(loss))
    .lower(head, of(('B', 'P'), (16, 12), 'int32'), of(('B', 'P'), (16, 12)))
    .compile()
    .as_text()
  )
  assert set(re.findall(rf'f32\[\d+,\d+,(?:{V}|{V // 2})\]', program)) == {f'f32[4,4,{V // 2}]'}


@pytest.mark.parametrize(
  'P, chunk, expected', [(20, 16, (3, 2, 7)), (20, 100, (1, 2, 20)), (3, 1, (3, 2, 1))]
)
def test_chunks_are_of_one_size_with_little_padding(P, chunk, expected):
  (split,) = projection._split(chunk, jnp.zeros((2, P)))
  assert split.shape == expected
