"""Every implementation of the one attention function gives what
`reference` gives, and each is tried where it fits.
"""

import contextlib
import math
import re

import attention_grid as grid
import jax
from jax._src.cudnn import fused_attention_stablehlo
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from models import attention
from models.attention import attend, attention_weights
from models.masks import Mask
from parallel import sharding

T, H = 6, 4
BLOCKS = 384  # three blocks of splash a row


def on(platform: str, *sizes: int) -> jax.sharding.AbstractMesh:
  """A mesh of devices that need not be there."""
  device = jax.sharding.AbstractDevice(device_kind='any', num_cores=1, platform=platform)
  return jax.sharding.AbstractMesh(
    sizes or (1, 1, 1), ('data', 'fsdp', 'tensor'), abstract_device=device
  )


def lowered(
  platform: str,
  mask: Mask,
  *,
  T=BLOCKS,
  K=64,
  dtype='bfloat16',
  implementation=None,
  gradient=True,
  sizes=(1, 1, 1),
  G=2,
  **options,
) -> str:
  """The program of attention and its gradient for a platform that is not here."""

  def loss(q, k, v):
    return attend(q, k, v, mask, implementation=implementation, **options).astype(jnp.float32).sum()

  with contextlib.ExitStack() as stack:
    # jax 0.12 lowers cuDNN's calls only for a mesh of devices that are there, of whatever kind
    if platform == 'gpu':
      stack.enter_context(pytest.MonkeyPatch.context()).setattr(
        attention, 'platform', lambda: 'gpu'
      )
      mesh = base.get_config().mesh
      mesh.update(dict(zip(('data', 'fsdp', 'tensor'), sizes)))
      stack.enter_context(jax.set_mesh(sharding.make_mesh(mesh, jax.devices()[: math.prod(sizes)])))
    else:
      stack.enter_context(jax.sharding.use_abstract_mesh(on(platform, *sizes)))
    traced = jax.jit(jax.grad(loss, (0, 1, 2)) if gradient else loss).trace(
      *jax.eval_shape(lambda: grid.qkv(T, G=G, K=K, B=8, dtype=dtype))
    )
    return traced.lower(lowering_platforms=('cuda' if platform == 'gpu' else platform,)).as_text()


@pytest.fixture
def cudnn(monkeypatch):
  """All that lowering for cuDNN asks of this machine is which version it has."""
  monkeypatch.setattr(fused_attention_stablehlo, 'check_cudnn_version', lambda: 91000)


@pytest.mark.parametrize('name', grid.NAMES)
@pytest.mark.parametrize('G', [4, 2])
def test_xla_equals_reference_forward_and_backward(name, G):
  bias = jax.random.normal(jax.random.key(9), (1, H, T, T)) if name == 'causal' else None
  # sums of at most 8 products
  grid.compare('xla', grid.mask(name, T), *grid.qkv(T, G=G), bias=bias, atol=2e-6)


@pytest.mark.parametrize('name', grid.BY_INDEX)
def test_splash_equals_reference_forward_and_backward(name):
  """Interpreted; over more than one block a row, and heads that share keys."""
  options = dict(soft_cap=2.0, scale=0.5) if name == 'causal' else {}
  # sums of 384 products
  grid.compare('splash', grid.mask(name, BLOCKS), *grid.qkv(BLOCKS), atol=1e-5, **options)


def test_splash_in_bfloat16_is_as_close_as_bfloat16_is():
  q, k, v = grid.qkv(BLOCKS, dtype='bfloat16')
  # values up to 4 in 8 bits
  grid.compare('splash', grid.mask('causal_packed', BLOCKS), q, k, v, atol=0.05)


@pytest.mark.parametrize('sizes', [(2, 2, 2), (1, 2, 4)])
def test_splash_on_eight_devices_equals_reference_and_gathers_nothing(sizes):
  mesh_config = base.get_config().mesh
  mesh_config.update(dict(zip(('data', 'fsdp', 'tensor'), sizes)))
  mesh = sharding.make_mesh(mesh_config)
  mask, (q, k, v) = grid.mask('causal_packed', 128, B=4), grid.qkv(128, B=4)
  with jax.set_mesh(mesh):
    grid.compare('splash', mask, q, k, v, atol=1e-5)
    split = jax.NamedSharding(mesh, sharding.spec(mesh, ('B', None, 'H', None), q.shape))
    program = (
      jax.jit(lambda q, k, v: attend(q, k, v, mask, implementation='splash'))
      .lower(*(jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=split) for x in (q, q, q)))
      .compile()
    )
  assert 'all-gather' not in program.as_text()


@pytest.mark.parametrize(
  'name, kernel, rule, window',
  [
    ('everything', 'Softmax', 'NO_MASK', 0),
    ('padding', 'Softmax', 'PADDING', 0),
    ('causal', 'Softmax', 'CAUSAL', 0),
    # padding is on the right: no query that counts sees it
    ('causal_padding', 'Softmax', 'CAUSAL', 0),
    ('window', 'Softmax', 'CAUSAL', BLOCKS // 3 + 1),  # cuDNN counts the query itself
    ('packed', 'ScaleBiasSoftmax', 'NO_MASK', 0),
    ('causal_packed', 'ScaleBiasSoftmax', 'CAUSAL', 0),
    ('both_sides', 'ScaleBiasSoftmax', 'NO_MASK', 0),
    ('prefix', 'ScaleBiasSoftmax', 'NO_MASK', 0),
    ('cached', 'ScaleBiasSoftmax', 'NO_MASK', 0),  # top-left causal would be wrong
  ],
)
def test_cudnn_is_told_what_it_can_skip_and_gets_the_rest_drawn(cudnn, name, kernel, rule, window):
  for sizes in ((1, 1, 1), (2, 2, 2)):
    text = lowered('gpu', grid.mask(name, BLOCKS, B=8), sizes=sizes)
    assert re.findall(r'@__cudnn\$fmha(\w+)', text) == [kernel, f'{kernel}Backward']
    said = (
      re.findall(r'mask_type\\22: \\22(\w+)\\22', text),
      re.findall(r'sliding_window_length\\22: (\d+)', text),
    )
    assert said == ([rule] * 2, [str(window)] * 2)
    rows, heads = 8 // (sizes[0] * sizes[1]), 4 // sizes[2]
    assert f'{rows}x{BLOCKS}x{heads}x64xbf16' in text
    if kernel != 'Softmax':
      assert f'{rows}x1x{BLOCKS}x{BLOCKS}xbf16' in text  # every query has its own row of the mask


@pytest.mark.parametrize(
  'implementation, platform, options, reason',
  [
    ('cudnn', 'cpu', {}, 'cudnn: needs an NVIDIA GPU, and this is for cpu'),
    ('cudnn', 'tpu', {}, 'cudnn: needs an NVIDIA GPU, and this is for tpu'),
    ('cudnn', 'gpu', dict(dtype='float32'), 'bfloat16 or float16 only, not float32'),
    ('cudnn', 'gpu', dict(K=12), 'multiple of 8 up to 128, not 12'),
    ('cudnn', 'gpu', dict(K=136), 'multiple of 8 up to 128, not 136'),
    ('cudnn', 'gpu', dict(soft_cap=30.0), 'no soft cap'),
    ('cudnn', 'gpu', dict(dropout=(jax.random.key(0), 0.1)), 'no dropout'),
    ('cudnn', 'gpu', dict(T=127), 'even lengths only, not 127 x 127'),
    ('splash', 'gpu', {}, 'needs a TPU, and this is for gpu'),
    ('splash', 'tpu', dict(T=192), 'multiples of 128, not 192 x 192'),
    ('splash', 'tpu', dict(mask='cached'), 'no explicit positions and no prefix'),
    ('splash', 'tpu', dict(mask='prefix'), 'no explicit positions and no prefix'),
    ('splash', 'tpu', dict(bias_1xHxTxS=jnp.zeros((1, 4, BLOCKS, BLOCKS))), 'no bias'),
    ('splash', 'tpu', dict(dropout=(jax.random.key(0), 0.1)), 'no dropout'),
    ('xla', 'cpu', dict(soft_cap=30.0), 'no soft cap'),
  ],
)
def test_what_an_implementation_cannot_do_is_said(cudnn, implementation, platform, options, reason):
  options = dict(options)
  mask = grid.mask(options.pop('mask', 'everything'), options.get('T', BLOCKS), B=8)
  with pytest.raises(NotImplementedError, match=reason):
    lowered(platform, mask, implementation=implementation, **options)


def test_a_query_of_another_length_than_the_keys_is_aligned_by_nobody():
  q, k, v = grid.qkv(BLOCKS)
  with pytest.raises(NotImplementedError, match='as many queries as keys, not 128 x 384'):
    attend(q[:, :128], k, v, Mask(causal=True), implementation='splash')
  grid.compare('splash', Mask(), q[:, :128], k, v, atol=1e-5)


@pytest.mark.parametrize(
  'platform, options, picked',
  [
    ('gpu', {}, 'cudnn'),
    ('gpu', dict(mask='packed'), 'cudnn'),
    ('gpu', dict(T=127), 'xla'),
    ('gpu', dict(dtype='float32'), 'xla'),
    ('gpu', dict(soft_cap=30.0), 'reference'),
    ('tpu', dict(T=512), 'splash'),
    ('tpu', dict(T=512, mask='causal_packed'), 'splash'),
    ('tpu', dict(T=512, mask='prefix'), 'xla'),
    ('tpu', dict(T=BLOCKS), 'xla'),  # short
    ('tpu', dict(T=520), 'xla'),
    ('cpu', dict(T=512), 'reference'),
  ],
)
def test_each_platform_has_its_order_and_what_fits_first_is_picked(
  cudnn, monkeypatch, platform, options, picked
):
  options, tried = dict(options), []
  for name, function in attention.IMPLEMENTATIONS.items():

    def noted(*args, name=name, function=function, **rest):
      tried.append(name)
      return function(*args, **rest)

    monkeypatch.setitem(attention.IMPLEMENTATIONS, name, noted)
  mask = grid.mask(options.pop('mask', 'everything'), options.get('T', BLOCKS), B=8)
  text = lowered(platform, mask, **options)
  order = attention.preference(platform, options.get('T', BLOCKS))
  assert tried == list(order[: order.index(picked) + 1])
  assert ('__cudnn$fmha' in text) == (picked == 'cudnn') and ('splash_mha' in text) == (
    picked == 'splash'
  )


def test_a_gpu_without_cudnn_takes_what_needs_none(monkeypatch):
  monkeypatch.setattr(fused_attention_stablehlo, 'cuda_versions', None)
  with pytest.raises(NotImplementedError, match='cuDNN is not detected'):
    lowered('gpu', Mask(), implementation='cudnn')
  assert 'cudnn' not in lowered('gpu', Mask())


def test_the_platform_is_that_of_the_mesh_in_context():
  assert attention.platform() == jax.default_backend()
  with jax.sharding.use_abstract_mesh(on('gpu')):
    assert attention.platform() == 'gpu'
  with jax.sharding.use_abstract_mesh(on('tpu')):
    assert attention.platform() == 'tpu'
    assert (
      jax.jit(lambda: jnp.zeros(()) if attention.platform() == 'tpu' else None)
      .trace()
      .jaxpr.out_avals
    )
  with jax.set_mesh(sharding.make_mesh(base.get_config().mesh)):
    assert attention.platform() == jax.devices()[0].platform


@pytest.mark.parametrize('name', grid.NAMES)
def test_the_weights_shown_are_the_ones_used(name):
  q, k, v = grid.qkv(T)
  mask = grid.mask(name, T)
  weights = attention_weights(q, k, mask)
  np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
  product = jnp.einsum('BHTS,BSHK->BTHK', weights, jnp.repeat(v, H // 2, axis=2))
  np.testing.assert_allclose(product, attend(q, k, v, mask), atol=2e-6)


def test_what_is_asked_for_by_name_never_falls_back():
  q, *_ = grid.qkv(T)
  drop = (jax.random.split(jax.random.key(0), q.shape[0]), 0.5)
  with pytest.raises(NotImplementedError, match='xla: no dropout'):
    attend(*grid.qkv(T), Mask(), dropout=drop, implementation='xla')
  chosen = attend(*grid.qkv(T), Mask(), dropout=drop)
  np.testing.assert_array_equal(
    chosen, attend(*grid.qkv(T), Mask(), dropout=drop, implementation='reference')
  )
  with pytest.raises(ValueError, match='choose one of'):
    attend(*grid.qkv(T), Mask(), implementation='flash')


def test_dropout_of_probabilities_keeps_their_expectation():
  q, k, v = grid.qkv(T)
  keys = jax.random.split(jax.random.key(1), (4_000, q.shape[0]))
  mean = jax.vmap(lambda key_B: attend(q, k, v, Mask(), dropout=(key_B, 0.3)))(keys).mean(0)
  np.testing.assert_allclose(mean, attend(q, k, v, Mask()), atol=0.06)  # five standard errors


def test_a_query_that_sees_nothing_stays_finite():
  for T, implementation in ((6, 'reference'), (6, 'xla'), (128, 'splash')):
    nothing = Mask(
      q_segment_BxT=jnp.ones((grid.B, T), int), kv_segment_BxS=jnp.zeros((grid.B, T), int)
    )
    assert jnp.isfinite(attend(*grid.qkv(T), nothing, implementation=implementation)).all()
