"""The published optimisers, against their formulas in numpy."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from training.optimizer import make_optimizer, make_schedule


def run(config, steps: int, total: int, gradient):
  params = {'layer': {'kernel': jnp.array([[1.0, -2.0]]), 'bias': jnp.array([0.5, 0.5])},
            'norm': {'scale': jnp.array([1.0])}}
  tx, schedule = make_optimizer(config, total)
  state = tx.init(params)
  for step in range(steps):
    updates, state = tx.update(gradient(step), state, params)
    params = jax.tree.map(jnp.add, params, updates)
  return params, schedule


def gradient(step):
  return {'layer': {'kernel': jnp.array([[0.3, -0.1 * (step + 1)]]), 'bias': jnp.array([0.2, 0.0])},
          'norm': {'scale': jnp.array([-0.4])}}


@pytest.mark.parametrize('name', ['bert_base', 'gpt2_small'])
def test_three_updates_are_the_published_formula(name):
  config = importlib.import_module(f'configs.{name}').get_config().optimizer
  config.warmup_steps, config.learning_rate = 2, 0.1
  params, schedule = run(config, 3, 10, gradient)
  expected = {'kernel': np.array([[1.0, -2.0]]), 'bias': np.array([0.5, 0.5]), 'scale': np.array([1.0])}
  m, v = ({k: np.zeros_like(x) for k, x in expected.items()} for _ in 'mv')
  for t in range(3):
    g = {k: np.asarray(x, np.float64) for tree in gradient(t).values() for k, x in tree.items()}
    norm = np.sqrt(sum((x**2).sum() for x in g.values()))
    rate = float(schedule(t))
    for k, x in expected.items():
      clipped = g[k] * min(1, config.clip / norm)
      m[k] = config.beta1 * m[k] + (1 - config.beta1) * clipped
      v[k] = config.beta2 * v[k] + (1 - config.beta2) * clipped**2
      if name == 'bert_base':  # optimization.py: no correction
        step = m[k] / (np.sqrt(v[k]) + 1e-6)
      else:  # torch.optim.AdamW
        step = m[k] / (1 - config.beta1 ** (t + 1)) / (np.sqrt(v[k] / (1 - config.beta2 ** (t + 1))) + 1e-8)
      if k == 'kernel':
        step = step + config.weight_decay * x
      expected[k] = x - rate * step
  for tree in params.values():
    for k, x in tree.items():
      np.testing.assert_allclose(x, expected[k], rtol=2e-6)


def test_schedules_at_their_landmarks():
  config = base.get_config().optimizer
  config.learning_rate, config.warmup_steps, config.final_share, config.decay_share = 2.0, 10, 0.1, 0.25
  rate = {}
  for name in ('linear', 'cosine', 'wsd', 'constant'):
    config.schedule = name
    schedule = make_schedule(config, 100)
    rate[name] = [round(float(schedule(step)), 5) for step in (0, 5, 10, 55, 75, 100)]
  assert rate['linear'] == [0, 1.0, 1.82, 1.01, 0.65, 0.2]  # BERT's decay runs from step 0
  assert rate['cosine'] == [0, 1.0, 2.0, 1.1, round(0.2 + 0.9 * (1 + np.cos(np.pi * 65 / 90)), 5), 0.2]
  assert rate['wsd'] == [0, 1.0, 2.0, 2.0, 2.0, 0.2]
  assert rate['constant'] == [0, 1.0, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize('name', ['linear', 'cosine', 'wsd', 'constant'])
def test_no_warmup_is_no_nan(name):
  config = base.get_config().optimizer
  config.schedule, config.warmup_steps = name, 0
  assert np.isfinite([float(make_schedule(config, 10)(step)) for step in range(11)]).all()
  assert float(make_schedule(config, 10)(0)) == pytest.approx(config.learning_rate)
