"""Layers that see a window: which ones they are, and that blocks of scores compute the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from configs import base
from configs.schema import check
from inference.decode import decode_layout
from models import banded, depth
from models.attention import attend
from models.masks import Mask
from models.network import by_path, make_network, parameter_shapes
from training import layers as by_layer
from training.step import block_norms

MODERN = dict(
  positions='rotary',
  window=2,
  global_every=3,
  window_rotary_base=30.0,
  skip_first_norm=True,
  gated=True,
  bias=False,
  norm_position='pre',
  final_norm=True,
  segment_types=0,
)


def masks(T: int, count: int):
  """Random masks with a window, whose blocks are fewer than T x T."""
  rng = np.random.default_rng(0)
  while count:
    causal = bool(rng.integers(2))
    segment = np.sort(rng.integers(1, 4, (2, T)), axis=1)
    segment[:, T - int(rng.integers(9)) :] = 0
    fields = dict(q_segment_BxT=segment, kv_segment_BxS=segment) if rng.integers(3) else {}
    if causal and rng.integers(2):
      fields |= dict(prefix_BxS=np.arange(T)[None] < rng.integers(0, T, (2, 1)))
    window = tuple(int(x) for x in rng.integers(0, 40, 2))
    arrays = {name: jnp.asarray(x) for name, x in fields.items()}
    mask = Mask(causal=causal, window=window, packed=bool(rng.integers(2)), **arrays)
    if banded.fits(mask, T, T):
      count -= 1
      yield mask


@pytest.mark.parametrize('implementation, T', [('reference', 151), ('xla', 128)])
def test_blocks_of_scores_compute_what_whole_rows_of_scores_do(implementation, T):
  """Output and gradients, for 4 random masks; sums of up to 80 products."""
  keys = jax.random.split(jax.random.key(0), 3)
  arrays = [
    jax.random.normal(key, (2, T, heads, 8)) for key, heads in zip(keys, (4, 2, 2), strict=True)
  ]
  index_1xT = jnp.arange(T)[None]
  for mask in masks(T, 4):
    # told its positions, a mask is drawn
    drawn = dataclasses.replace(mask, q_position_BxT=index_1xT, kv_position_BxS=index_1xT)
    assert not banded.fits(drawn, T, T)
    counted_BxTx1x1 = jnp.ones((2, T, 1, 1))
    if mask.q_segment_BxT is not None:
      counted_BxTx1x1 = (mask.q_segment_BxT > 0)[:, :, None, None]

    def loss(arrays, mask, counted=counted_BxTx1x1):
      out = jnp.where(counted, attend(*arrays, mask, implementation=implementation), 0)
      return (out * jnp.cos(jnp.arange(out.size).reshape(out.shape))).sum(), out

    both = [jax.grad(loss, has_aux=True)(arrays, one) for one in (mask, drawn)]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), *both)


def test_a_long_row_with_a_window_has_no_score_of_tokens_that_are_far_apart():
  T = 2048
  q = jax.ShapeDtypeStruct((1, T, 2, 8), jnp.float32)

  def kept(mask, implementation):
    run = jax.jit(jax.grad(lambda q: attend(q, q, q, mask, implementation=implementation).sum()))
    return run.lower(q).compile().memory_analysis().temp_size_in_bytes

  for implementation in ('reference', 'xla'):
    wide, narrow = (kept(one, implementation) for one in (Mask(), Mask(window=(64, 64))))
    assert narrow < wide / 4, implementation  # 3 blocks of 64 keys, and their copies


def test_dropout_of_blocks_keeps_the_expectation():
  T, mask = 128, Mask(window=(3, 3))
  q, k, v = (jax.random.normal(jax.random.key(n), (2, T, 2, 4)) for n in range(3))
  keys = jax.random.split(jax.random.key(1), (200, 2))
  drop = jax.jit(jax.vmap(lambda key_B: attend(q, k, v, mask, dropout=(key_B, 0.3))))
  np.testing.assert_allclose(drop(keys).mean(0), attend(q, k, v, mask), atol=0.3)


@pytest.mark.parametrize(
  'L, every, skip, published',
  [
    (22, 3, True, [0, 3, 6, 9, 12, 15, 18, 21]),  # ModernBERT-base
    (7, 3, True, [0, 3, 6]),  # Ettin 17M
    (5, 2, False, [0, 2, 4]),
    (3, 0, False, []),
    (2, 5, True, [0]),
  ],
)
def test_every_nth_layer_is_global_and_the_pattern_has_them_all(L, every, skip, published):
  config = small.model(layers=L, window=9, global_every=every, skip_first_norm=skip)
  kinds = depth.kinds(config)
  assert [layer for layer, kind in enumerate(kinds) if not kind.window] == published
  order = depth.order(config)
  assert order.lead + order.period * order.repeats + order.tail == kinds
  assert [kind.attention_norm for kind in kinds] == [not skip] + [True] * (L - 1)


def test_without_windows_all_layers_are_one_kind():
  order = depth.order(small.model(layers=4))
  assert (order.lead, order.repeats, order.tail) == ((), 4, ())


@pytest.fixture(scope='module')
def gradients():
  """(network, parameters, gradient) scanned, unrolled, and recomputed, of five layers."""
  found = []
  for changes in (dict(scan=True), dict(scan=False), dict(scan=True, remat='full')):
    net, params = small.network('bert_base', layers=5, **MODERN, **changes)
    batch = small.batch(small.tokens(2, 12), [[1] * 5 + [2] * 7, [1] * 9 + [0] * 3])

    def loss(params, net=net, batch=batch):
      return jnp.square(net.apply(params, batch)['hidden']).sum()

    found.append((net, params, jax.jit(jax.grad(loss))(params)))
  return found


def test_a_scanned_pattern_and_a_loop_have_the_same_gradient(gradients):
  size = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(gradients[0][2]))
  for _, _, other in gradients[1:]:
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5 * size),
      gradients[0][2],
      other,
    )


def test_a_first_layer_without_its_norm_has_no_parameters_of_it(gradients):
  config = small.model(layers=5, **MODERN)
  shapes = parameter_shapes(make_network(config, mask='bidirectional', packed=True))
  assert shapes['trunk/blocks/attention_norm/scale'] == (4, 32)
  assert shapes['trunk/blocks/feed_forward_norm/scale'] == (5, 32)
  _, params, gradient = gradients[0]
  layers = decode_layout(params, config)['trunk']['blocks']
  assert ['attention_norm' in layer for layer in layers] == [False] + [True] * 4
  np.testing.assert_array_equal(
    layers[1]['attention_norm']['scale'], params['trunk']['blocks']['attention_norm']['scale'][0]
  )
  norms = block_norms(gradient)['blocks']  # of each layer, although the first has an array less
  squares = sum(
    (np.asarray(x[3]) ** 2).sum() if len(x) == 5 else (np.asarray(x[2]) ** 2).sum()
    for x in by_path(gradient['trunk']['blocks']).values()
  )
  np.testing.assert_allclose(norms[3], np.sqrt(squares), rtol=1e-5)


def test_a_rate_by_layer_counts_layers_and_not_rows():
  ones = dict(embeddings=jnp.ones(1), trunk=dict(blocks=dict(attention=jnp.ones((3, 1)))))
  ones['trunk']['blocks']['attention_norm'] = jnp.ones((2, 1))
  found = by_layer.scaled(ones, by_layer.decayed(0.5), 0)['trunk']['blocks']
  np.testing.assert_allclose(found['attention'][1:], found['attention_norm'])


@pytest.mark.parametrize(
  'norm_bias, bias, biased',
  [('same', True, True), ('same', False, False), ('yes', False, True), ('no', True, False)],
)
def test_biases_of_norms_are_apart_from_those_of_linear_maps(norm_bias, bias, biased):
  config = small.model(norm_bias=norm_bias, bias=bias)
  shapes = parameter_shapes(make_network(config, mask='causal', packed=True))
  assert ('trunk/blocks/attention_norm/bias' in shapes) == biased
  assert ('trunk/blocks/attention/query/bias' in shapes) == bias


@pytest.mark.parametrize(
  'changes, words',
  [
    (dict(window=64), 'config.model.window=64: no layer has it'),
    (dict(global_every=3), 'config.model.global_every=3: needs model.window'),
    (dict(window_rotary_base=1e4), 'config.model.window_rotary_base=10000.0'),
    (
      dict(window=64, global_every=3, window_rotary_base=0.5, positions='rotary'),
      'config.model.window_rotary_base=0.5',
    ),
    (dict(skip_first_norm=True), 'config.model.skip_first_norm=True: only with norm_position'),
    (
      dict(skip_first_norm=True, norm_position='pre', shared_layers=True),
      'config.model.skip_first_norm=True: layers that share',
    ),
    (dict(norm_bias='maybe'), 'config.model.norm_bias'),
  ],
)
def test_knobs_that_contradict_each_other_are_refused_by_name(changes, words):
  config = base.get_config()
  config.model.update(changes)
  with pytest.raises(check.ConfigError) as error:
    check.check(config)
  assert words in str(error.value)
