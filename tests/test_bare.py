"""A step without a corpus is the step of a run: any cell learns its batch."""

import jax
import numpy as np
import pytest

from configs import base
from training import sharding
from training.bare import bare


def config_of(**changes):
  config = base.get_config().copy_and_resolve_references()
  config.unlock()
  config.update_from_flattened_dict({
      'batch_size': 8, 'steps': 10, 'data.sequence_length': 16, 'model.vocab_size': 60, 'model.layers': 2,
      'model.width': 16, 'model.heads': 2, 'model.feed_forward': 32, 'optimizer.warmup_steps': 0,
      'optimizer.learning_rate': 1e-2, 'mlm.static': 1})  # the same masks each step, so that so few must be learnt
  for name, value in changes.items():
    config[name] = value
  return config


@pytest.mark.parametrize('cell', [
    dict(objectives=dict(mlm=1.0, nsp=1.0)), dict(mask='causal', objectives=dict(clm=1.0)),
    dict(mask='prefix', objectives=dict(mntp=1.0)),
    dict(objectives=dict(mntp=1.0), schedule='1 causal+clm & 3 bidirectional+mntp')], ids=str)
def test_any_cell_has_a_step_that_learns(cell):
  config = config_of(**cell)
  mesh = sharding.make_mesh(config.mesh)
  with jax.set_mesh(mesh):
    run = bare(config, mesh)
    state, losses = run.make(), []
    for _ in range(8):
      state, measured = run.step(state, sharding.place(run.batch, mesh))
      losses.append(float(measured['train/loss']))
  assert np.isfinite(losses).all() and losses[-1] < losses[0]
  assert jax.tree.map(lambda x: x.shape, state) == jax.tree.map(lambda x: x.shape, run.abstract)
