"""Rates by layer and frozen layers: what each parameter's update is."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import base
from training import layers
from training.optimizer import make_optimizer, scale_by_layer

L = 3


def params():
  stacked = jnp.arange(1.0, 1 + L * 4).reshape(L, 2, 2)
  return dict(
    embeddings=dict(token=jnp.ones((5, 2))),
    trunk=dict(
      blocks=dict(kernel=stacked, scale=jnp.ones((L, 2))), final_norm=dict(scale=jnp.ones(2))
    ),
    sequence=dict(classifier=dict(kernel=jnp.ones((2, 2)))),
  )


def updates(steps: int, **changes) -> list:
  """The update of each step, for a gradient of ones."""
  config = base.get_config().optimizer
  config.update(
    dict(schedule='constant', warmup_steps=0, clip=0.0, bias_correction=True, weight_decay=0.5)
    | changes
  )
  tx, _ = make_optimizer(config, 10)
  tree, found = params(), []
  state = tx.init(tree)
  for _ in range(steps):
    update, state = tx.update(jax.tree.map(jnp.ones_like, tree), state, tree)
    found.append(update)
    tree = optax.apply_updates(tree, update)
  return found


def share(update, plain) -> dict[str, list[float]]:
  """By part, the update over that of the plain optimiser; of blocks one a layer."""
  ratio = jax.tree.map(lambda x, y: np.asarray(x / y), update, plain)
  return dict(
    embeddings=[float(ratio['embeddings']['token'].max())],
    blocks=[float(layer.max()) for layer in ratio['trunk']['blocks']['kernel']],
    above=[
      float(ratio['trunk']['final_norm']['scale'].max()),
      float(ratio['sequence']['classifier']['kernel'].max()),
    ],
  )


def test_the_rate_falls_by_a_factor_a_layer():
  [plain], [update] = updates(1), updates(1, layer_decay=0.5)
  found = share(update, plain)
  assert found == dict(
    embeddings=[pytest.approx(0.5**4)],
    blocks=pytest.approx([0.5**3, 0.5**2, 0.5]),
    above=pytest.approx([1, 1]),
  )


def test_frozen_layers_do_not_move_not_even_by_weight_decay():
  [plain], [update] = updates(1), updates(1, frozen_layers=2)
  assert share(update, plain) == dict(
    embeddings=[0], blocks=[0, 0, pytest.approx(1)], above=pytest.approx([1, 1])
  )


def test_what_is_frozen_is_not_in_the_norm_that_clips():
  [update] = updates(1, frozen_layers=3, clip=1.0, weight_decay=0.0, beta1=0.0)
  # Adam's first update has size 1 whatever the clipping; the moments keep the clipped gradient
  assert float(jnp.abs(update['embeddings']['token']).max()) == 0
  tx = optax.chain(scale_by_layer(layers.thawed(3, 0)), optax.clip_by_global_norm(1.0))
  tree = params()
  clipped, _ = tx.update(jax.tree.map(jnp.ones_like, tree), tx.init(tree), tree)
  assert float(optax.global_norm(clipped)) == pytest.approx(1)
  assert float(clipped['sequence']['classifier']['kernel'][0, 0]) == pytest.approx(6**-0.5)


def test_layers_thaw_from_the_head_down():
  plain, found = updates(9), updates(9, unfreeze_every=2)
  trained = [
    [bool(jnp.abs(update['embeddings']['token']).max() > 0)]
    + [bool(jnp.abs(layer).max() > 0) for layer in update['trunk']['blocks']['kernel']]
    + [bool(jnp.abs(update['sequence']['classifier']['kernel']).max() > 0)]
    for update in found
  ]
  assert trained[0] == trained[1] == [False, False, False, False, True]
  assert trained[2] == trained[3] == [False, False, False, True, True]
  assert trained[6] == [False, True, True, True, True] and trained[8] == [True] * 5
  assert share(found[0], plain[0])['above'] == pytest.approx([1, 1])
