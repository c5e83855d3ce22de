"""cuDNN's attention is the reference's, and it trains: all
that needs an NVIDIA GPU, and skips without one.

What cuDNN is told, and what it refuses, is tested everywhere, in tests/test_attention.py.
"""

import attention_grid as grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from models.attention import attend, chosen
from models.masks import Mask
from parallel import sharding
from training.bare_step import build_step

pytestmark = pytest.mark.skipif(
  jax.default_backend() != 'gpu', reason='cuDNN attention needs an NVIDIA GPU'
)

# A bfloat16 has 8 bits: outputs and gradients up to 4 are off by
# 4 / 2^8 from rounding alone, a few times over.
ATOL = 0.06


@pytest.mark.parametrize('T', [128, 250])
@pytest.mark.parametrize('G', [4, 2])
@pytest.mark.parametrize('name', grid.NAMES)
def test_cudnn_equals_reference_forward_and_backward(name, G, T):
  grid.compare('cudnn', grid.mask(name, T), *grid.qkv(T, G=G, K=64, dtype='bfloat16'), atol=ATOL)


@pytest.mark.parametrize('K', [8, 64, 128])
def test_cudnn_equals_reference_for_every_head_width(K):
  grid.compare('cudnn', grid.mask('causal', 256), *grid.qkv(256, K=K, dtype='bfloat16'), atol=ATOL)


def test_cudnn_adds_a_bias_and_gives_its_gradient():
  bias_1xHxTxS = jax.random.normal(jax.random.key(1), (1, 4, 128, 128), jnp.bfloat16)
  grid.compare(
    'cudnn',
    grid.mask('packed', 128),
    *grid.qkv(128, K=64, dtype='bfloat16'),
    bias=bias_1xHxTxS,
    atol=ATOL,
  )


def test_a_row_of_padding_alone_stays_finite():
  empty_BxT = jnp.zeros((2, 128), jnp.int32)
  q, k, v = grid.qkv(128, K=64, dtype='bfloat16')
  mask = Mask(q_segment_BxT=empty_BxT, kv_segment_BxS=empty_BxT)
  assert jnp.isfinite(attend(q, k, v, mask, implementation='cudnn')).all()


def test_cudnn_is_what_a_gpu_takes_by_itself():
  assert chosen(*grid.qkv(128, K=64, dtype='bfloat16'), grid.mask('packed', 128)) == 'cudnn'
  assert chosen(*grid.qkv(128, K=64), grid.mask('packed', 128)) == 'xla'


@pytest.mark.parametrize(
  'cell',
  [dict(objectives=dict(mlm=1.0, nsp=1.0)), dict(mask='causal', objectives=dict(clm=1.0))],
  ids=str,
)
@pytest.mark.parametrize('remat', ['none', 'dots', 'full'])
def test_steps_with_cudnn_follow_steps_with_the_reference(cell, remat):
  losses = {}
  for attention in ('reference', 'cudnn'):
    config = base.get_config().copy_and_resolve_references()
    config.unlock()
    config.update(batch_size=8, steps=100, **cell)
    config.data.sequence_length = 128
    config.optimizer.update(warmup_steps=0, learning_rate=1e-3)
    config.model.update(
      layers=2,
      width=128,
      heads=2,
      feed_forward=256,
      vocab_size=500,
      dropout=0.0,
      attention_dropout=0.0,
      dtype='bfloat16',
      attention=attention,
      remat=remat,
    )
    mesh = sharding.make_mesh(config.mesh)
    with jax.set_mesh(mesh):
      run = build_step(config, mesh)
      state, losses[attention] = run.make(), []
      for _ in range(8):
        state, measured = run.step(state, sharding.shard_batch(run.batch, mesh))
        losses[attention].append(float(measured['train/loss']))
  # both round to 8 bits
  np.testing.assert_allclose(losses['cudnn'], losses['reference'], rtol=0.01)
