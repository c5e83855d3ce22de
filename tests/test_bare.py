"""A step without a corpus is the step of a run: any cell learns its batch, in either precision."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from parallel import sharding
from training.bare_step import build_step


def config_of(**changes):
  config = base.get_config().copy_and_resolve_references()
  config.unlock()
  config.update_from_flattened_dict(
    {
      'batch_size': 8,
      'steps': 10,
      'data.sequence_length': 16,
      'model.vocab_size': 60,
      'model.layers': 2,
      'model.width': 16,
      'model.heads': 2,
      'model.feed_forward': 32,
      'optimizer.warmup_steps': 0,
      # the same masks each step, so that so few must be learnt
      'optimizer.learning_rate': 1e-2,
      'mlm.fixed_maskings': 1,
    }
  )
  for name, value in changes.items():
    config[name] = value
  return config


@pytest.mark.parametrize(
  'cell',
  [
    dict(objectives=dict(mlm=1.0, nsp=1.0)),
    dict(mask='causal', objectives=dict(clm=1.0)),
    dict(mask='prefix', objectives=dict(mntp=1.0)),
    dict(objectives=dict(mntp=1.0), schedule='1 causal+clm & 3 bidirectional+mntp'),
  ],
  ids=str,
)
def test_any_cell_has_a_step_that_learns(cell):
  config = config_of(**cell)
  mesh = sharding.make_mesh(config.mesh)
  with jax.set_mesh(mesh):
    run = build_step(config, mesh)
    state, losses = run.make(), []
    for _ in range(8):
      state, measured = run.step(state, sharding.shard_batch(run.batch, mesh))
      losses.append(float(measured['train/loss']))
  assert np.isfinite(losses).all() and losses[-1] < losses[0]
  assert jax.tree.map(lambda x: x.shape, state) == jax.tree.map(lambda x: x.shape, run.abstract)


@pytest.mark.parametrize(
  'cell',
  [
    pytest.param(dict(objectives=dict(mlm=1.0, nsp=1.0)), marks=pytest.mark.slow),
    dict(mask='causal', objectives=dict(clm=1.0)),
  ],
  ids=str,
)
def test_steps_in_bfloat16_follow_float32_and_keep_their_parameters_in_it(cell):
  losses = {}
  for dtype in ('float32', 'bfloat16'):
    config = config_of(**cell)
    config.model.update(dtype=dtype, dropout=0.0, attention_dropout=0.0)
    mesh = sharding.make_mesh(config.mesh)
    with jax.set_mesh(mesh):
      run = build_step(config, mesh)
      batch = sharding.shard_batch(run.batch, mesh)
      program = run.step.lower(run.abstract, batch).as_text()
      state, losses[dtype] = run.make(), []
      for _ in range(5):
        state, measured = run.step(state, batch)
        losses[dtype].append(float(measured['train/loss']))
    kinds = {leaf.dtype for leaf in jax.tree.leaves((state.params, state.opt_state)) if leaf.ndim}
    assert kinds == {jnp.dtype('float32')} and measured['train/loss'].dtype == jnp.float32
  # 8 bits, five updates
  np.testing.assert_allclose(losses['bfloat16'], losses['float32'], rtol=0.01)
  wide = [
    operands
    for operands in re.findall(r'dot_general.* : (\(.*?\)) ->', program)
    if 'xf32>' in operands
  ]
  # In bfloat16 all products take bfloat16. Scores keep the float32 that softmax gave them: their
  # two gradients, in a loop over layers, are the only others.
  assert len(wide) == 2, wide
  # logits
  assert re.search(
    r'dot_general.*xbf16>, tensor<[0-9x]*60x16xbf16>\) -> tensor<[0-9x]+x60xf32>', program
  )
