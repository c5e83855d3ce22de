"""The published optimisers, against their formulas in numpy."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import base
from configs.schema import check as schema
from training.optimizer import make_optimizer, make_schedule


def run(config, steps: int, total: int, gradient):
  params = {
    'layer': {'kernel': jnp.array([[1.0, -2.0]]), 'bias': jnp.array([0.5, 0.5])},
    'norm': {'scale': jnp.array([1.0])},
  }
  tx, schedule = make_optimizer(config, total)
  state = tx.init(params)
  for step in range(steps):
    updates, state = tx.update(gradient(step), state, params)
    params = jax.tree.map(jnp.add, params, updates)
  return params, schedule


def gradient(step):
  return {
    'layer': {'kernel': jnp.array([[0.3, -0.1 * (step + 1)]]), 'bias': jnp.array([0.2, 0.0])},
    'norm': {'scale': jnp.array([-0.4])},
  }


@pytest.mark.parametrize('name', ['bert_base', 'gpt2_small'])
def test_three_updates_are_the_published_formula(name):
  config = importlib.import_module(f'configs.{name}').get_config().optimizer
  config.warmup_steps, config.learning_rate = 2, 0.1
  params, schedule = run(config, 3, 10, gradient)
  expected = {
    'kernel': np.array([[1.0, -2.0]]),
    'bias': np.array([0.5, 0.5]),
    'scale': np.array([1.0]),
  }
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
        step = (
          m[k]
          / (1 - config.beta1 ** (t + 1))
          / (np.sqrt(v[k] / (1 - config.beta2 ** (t + 1))) + 1e-8)
        )
      if k == 'kernel':
        step = step + config.weight_decay * x
      expected[k] = x - rate * step
  for tree in params.values():
    for k, x in tree.items():
      np.testing.assert_allclose(x, expected[k], rtol=2e-6)


def share_by_formula(name: str, step: int, steps: int, warmup: int, final: float, decay: float):
  """Of the peak, in float64, as make_schedule's docstring says it."""
  if step < warmup:
    return step / warmup
  end = steps - 1 if final else steps
  if name == 'constant':
    return 1.0
  if name == 'linear':  # BERT's decay runs from step 0
    left = (end - step) / max(1, end)
  elif name == 'cosine':
    left = (1 + np.cos(np.pi * min(1, (step - warmup) / max(1, end - warmup)))) / 2
  else:
    left = min(1, (end - step) / max(1, decay * steps))
    if name == 'wsd one_minus_sqrt':
      left = 1 - np.sqrt(1 - left)
  return final if step == end else final + (1 - final) * left


def rates(name: str, steps: int, **changes):
  """The learning rate of each update of a run."""
  config = base.get_config().optimizer
  schedule, _, decay = name.partition(' ')
  config.update(schedule=schedule, learning_rate=2.0, decay_share=0.25, **changes)
  config.decay = decay or 'linear'
  return np.asarray(make_schedule(config, steps)(jnp.arange(steps)))


SHAPES = [(1, 0), (2, 0), (2, 1), (3, 2), (10, 0), (10, 4), (10, 9), (100, 10), (1_000, 30)]


@pytest.mark.parametrize('final', [0.0, 0.1, 1.0])
@pytest.mark.parametrize('name', ['linear', 'cosine', 'wsd', 'wsd one_minus_sqrt', 'constant'])
def test_schedules_are_their_formulas_from_the_first_update_to_the_last(name, final):
  for steps, warmup in SHAPES:
    rate = rates(name, steps, warmup_steps=warmup, final_share=final)
    for step in {0, warmup // 2, warmup, (warmup + steps - 1) // 2, steps - 1}:
      expected = 2.0 * share_by_formula(name, step, steps, warmup, final, 0.25)
      # float32: a cosine near its end loses digits against 1
      assert rate[step] == pytest.approx(expected, rel=1e-5, abs=1e-6), (steps, warmup, step)


@pytest.mark.parametrize('final', [1e-4, 0.1, 0.5])
@pytest.mark.parametrize('name', ['linear', 'cosine', 'wsd', 'wsd one_minus_sqrt'])
def test_the_last_update_has_the_final_share_of_the_peak(name, final):
  for steps, warmup in SHAPES:
    assert rates(name, steps, warmup_steps=warmup, final_share=final)[-1] == np.float32(2 * final)


@pytest.mark.parametrize('name', ['linear', 'cosine', 'wsd', 'wsd one_minus_sqrt'])
def test_a_rate_that_falls_to_0_wastes_no_update(name):
  for steps, warmup in SHAPES:
    assert (rates(name, steps, warmup_steps=warmup, final_share=0.0)[warmup:] > 0).all()


@pytest.mark.parametrize(
  'name, warmup',
  [
    ('linear', 0),  # BERT's falls from step 0, theirs from the end of warm-up
    *((name, warmup) for name in ('cosine', 'wsd', 'constant') for warmup in (0, 10)),
  ],
)
def test_rates_that_fall_to_0_are_those_of_transformers(name, warmup):
  theirs = pytest.importorskip('transformers.optimization')
  options = dict(num_warmup_steps=warmup)
  if name == 'constant':
    share = theirs._get_constant_schedule_with_warmup_lr_lambda
  elif name == 'linear':
    share, options['num_training_steps'] = theirs._get_linear_schedule_with_warmup_lr_lambda, 100
  elif name == 'cosine':
    share = theirs._get_cosine_schedule_with_warmup_lr_lambda
    options |= dict(num_training_steps=100, num_cycles=0.5)
  else:
    share = theirs._get_wsd_scheduler_lambda
    options |= dict(num_stable_steps=75 - warmup, num_decay_steps=25, min_lr_ratio=0.0)
    options |= dict(warmup_type='linear', decay_type='linear', num_cycles=0.5)
  expected = [2.0 * share(step, **options) for step in range(100)]
  np.testing.assert_allclose(
    rates(name, 100, warmup_steps=warmup, final_share=0.0), expected, rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize('name', ['linear', 'cosine', 'wsd', 'constant'])
def test_no_warmup_is_no_nan(name):
  config = base.get_config().optimizer
  config.schedule, config.warmup_steps = name, 0
  assert np.isfinite([float(make_schedule(config, 10)(step)) for step in range(11)]).all()
  assert float(make_schedule(config, 10)(0)) == pytest.approx(config.learning_rate)


# LxDxHxK, LxHxKxD, LxDxF, LxFxD; and how many numbers a layer's matrix reads and writes
KERNELS = dict(query=(3, 8, 2, 4), output=(3, 2, 4, 8), up=(3, 8, 20), down=(3, 20, 8))
SIZES = dict(query=(8, 8), output=(8, 8), up=(8, 20), down=(20, 8))


def orthogonalised(g):
  """Newton-Schulz as Jordan et al. published it, of one matrix."""
  x = g / np.linalg.norm(g)
  x = x.T if g.shape[0] > g.shape[1] else x
  for _ in range(5):
    a = x @ x.T
    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
  return x.T if g.shape[0] > g.shape[1] else x


@pytest.mark.parametrize('stacked', [True, False])
def test_muon_orthogonalises_each_matrix_of_each_layer_by_itself_and_adam_has_the_rest(stacked):
  config = base.get_config().optimizer
  config.update(
    name='muon',
    learning_rate=0.1,
    adam_learning_rate=0.01,
    schedule='constant',
    warmup_steps=0,
    clip=0.0,
    weight_decay=0.5,
    bias_correction=True,
  )
  random = np.random.default_rng(0)
  draw = lambda shape: random.normal(size=shape if stacked else shape[1:])
  kernels, first, second = (
    {name: draw(shape) for name, shape in KERNELS.items()} for _ in range(3)
  )
  tree = lambda leaves, other: jax.tree.map(
    jnp.float32,
    dict(
      trunk=dict(
        blocks={name: dict(kernel=x) for name, x in leaves.items()}, final_norm=dict(scale=other)
      ),
      embeddings=dict(token=other),
      clm=dict(kernel=other),
    ),
  )
  other = random.normal(size=(6, 8))
  params = tree(kernels, other)
  tx, _ = make_optimizer(config, 10)
  state = tx.init(params)
  for gradient in (first, second):
    updates, state = tx.update(tree(gradient, other), state, params)
  for name, kernel in kernels.items():
    mean = 0.05 * (0.95 * first[name] + second[name])
    # Nesterov, as optax corrects it
    momentum = 0.95 * mean / (1 - 0.95**3) + 0.05 * second[name] / (1 - 0.95**2)
    found = np.asarray(updates['trunk']['blocks'][name]['kernel']).reshape(-1, *SIZES[name])
    flat, decayed = momentum.reshape(found.shape), kernel.reshape(found.shape)
    for layer in range(len(found)):
      wanted = orthogonalised(flat[layer]) * max(1, SIZES[name][1] / SIZES[name][0]) ** 0.5
      # float32 against float64, through five polynomials of degree five
      np.testing.assert_allclose(found[layer], -0.1 * (wanted + 0.5 * decayed[layer]), atol=2e-4)
  for x, decay in (
    (updates['embeddings']['token'], 0.5),
    (updates['clm']['kernel'], 0.5),
    (updates['trunk']['final_norm']['scale'], 0.0),
  ):
    # Adam on a constant gradient
    np.testing.assert_allclose(x, -0.01 * (np.sign(other) + decay * other), atol=1e-4)


def lamb_config(**changes):
  config = base.get_config().optimizer
  config.update(name='lamb', learning_rate=0.1, schedule='constant', warmup_steps=0, clip=0.0)
  config.update(weight_decay=0.3, **changes)
  return config


def updated(config, params, gradients):
  tx, _ = make_optimizer(config, 10)
  state = tx.init(params)
  for gradient in gradients:
    updates, state = tx.update(gradient, state, params)
    params = jax.tree.map(jnp.add, params, updates)
  return params


def lamb_by_formula(x, gradients, of_norm_or_bias: bool):
  """google-research/albert, lamb_optimizer.py, of one variable in float64."""
  m = v = np.zeros_like(x)
  for g in gradients:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    update = m / (np.sqrt(v) + 1e-6)
    ratio = 1.0
    if not of_norm_or_bias:
      update = update + 0.3 * x
      x_norm, update_norm = np.linalg.norm(x), np.linalg.norm(update)
      ratio = x_norm / update_norm if x_norm > 0 and update_norm > 0 else 1.0
    x = x - ratio * 0.1 * update
  return x


@pytest.mark.parametrize('stacked', [True, False])
def test_lamb_is_alberts_with_a_ratio_for_each_kernel_of_each_layer(stacked):
  random = np.random.default_rng(0)

  def draw(scale):
    of = lambda *shape: scale * random.normal(size=shape if stacked else shape[1:])
    blocks = {name: dict(kernel=of(*shape)) for name, shape in KERNELS.items()}
    blocks['up']['bias'], blocks['norm'] = of(3, 20), dict(scale=of(3, 8))
    tables = dict(token=random.normal(size=(6, 8)), position=np.zeros((5, 8)))
    still = dict(kernel=np.zeros((4, 4)), bias=np.zeros(4))
    return dict(trunk=dict(blocks=blocks), embeddings=tables, still=still)

  params, gradients = draw(5.0), [draw(1.0) for _ in range(3)]
  float32 = lambda tree: jax.tree.map(jnp.float32, tree)
  found = updated(lamb_config(), float32(params), map(float32, gradients))

  def check(path, x, found, *gradients):
    """Layer by layer, where there are layers."""
    layers = stacked and path[0].key == 'trunk'
    plain = path[-1].key in ('bias', 'scale')
    in_layers = lambda array: list(array) if layers else [array]
    for one, one_found, *its in zip(*map(in_layers, (x, found, *gradients))):
      expected = lamb_by_formula(one, its, plain)
      np.testing.assert_allclose(one_found, expected, rtol=2e-5, atol=1e-6)

  jax.tree_util.tree_map_with_path(check, params, found, *gradients)


def test_lamb_of_kernels_with_bias_correction_is_that_of_optax():
  random = np.random.default_rng(1)
  draw = lambda: {'a': {'kernel': jnp.float32(random.normal(size=(5, 7)))}}
  params, gradients = draw(), [draw() for _ in range(4)]
  theirs = optax.lamb(0.1, 0.9, 0.999, 1e-6, weight_decay=0.3)
  expected, state = params, theirs.init(params)
  for gradient in gradients:
    updates, state = theirs.update(gradient, state, expected)
    expected = jax.tree.map(jnp.add, expected, updates)
  found = updated(lamb_config(bias_correction=True), params, gradients)
  np.testing.assert_allclose(found['a']['kernel'], expected['a']['kernel'], rtol=1e-6)


def stable_by_formula(x, gradients, decays: bool):
  """Wortsman et al. 2023, algorithm 2, of one tensor in float64, with its names."""
  v = u = np.zeros_like(x)
  for t, g in enumerate(gradients, start=1):
    beta1 = 0.9 * (1 - 0.9 ** (t - 1)) / (1 - 0.9**t)
    beta2 = 0.98 * (1 - 0.98 ** (t - 1)) / (1 - 0.98**t)
    v = beta1 * v + (1 - beta1) * g
    u = beta2 * u + (1 - beta2) * g**2
    rms = np.sqrt(np.mean(g**2 / np.maximum(u, 1e-6**2)))
    rate = 0.1 / max(1, rms)
    x = x - rate * (0.3 if decays else 0.0) * x - rate * v / (np.sqrt(u) + 1e-6)
  return x


@pytest.mark.parametrize('stacked', [True, False])
def test_stable_adamw_is_its_papers_with_a_rate_for_each_tensor_of_each_layer(stacked):
  """Gradients that grow a hundredfold, by which the rate falls; one that stays 0."""
  random = np.random.default_rng(0)

  def draw(scale):
    of = lambda *shape: scale * random.normal(size=shape if stacked else shape[1:])
    attention = dict(query=dict(kernel=of(3, 8, 2, 4), bias=of(3, 2, 4)))
    blocks = dict(attention=attention, attention_norm=dict(scale=of(2, 8)))
    rest = dict(still=dict(kernel=np.zeros((4, 4))), token=scale * random.normal(size=(6, 8)))
    return dict(trunk=dict(blocks=blocks), embeddings=rest)

  params, gradients = draw(5.0), [draw(scale) for scale in (1.0, 0.1, 100.0, 1.0)]
  config = base.get_config().optimizer
  config.update(name='stable_adamw', learning_rate=0.1, schedule='constant', warmup_steps=0)
  config.update(clip=0.0, beta2=0.98, weight_decay=0.3, bias_correction=True)
  float32 = lambda tree: jax.tree.map(jnp.float32, tree)
  found = updated(config, float32(params), map(float32, gradients))

  def check(path, x, found, *gradients):
    layers = stacked and path[0].key == 'trunk'
    in_layers = lambda array: list(array) if layers else [array]
    for one, one_found, *its in zip(*map(in_layers, (x, found, *gradients))):
      expected = stable_by_formula(one, its, path[-1].key not in ('bias', 'scale'))
      np.testing.assert_allclose(one_found, expected, rtol=2e-5, atol=1e-6)

  jax.tree_util.tree_map_with_path(check, params, found, *gradients)


def test_one_minus_sqrt_is_that_of_transformers():
  theirs = pytest.importorskip('transformers.optimization')
  share = theirs._get_wsd_scheduler_lambda
  known = dict(num_warmup_steps=10, num_stable_steps=65, num_decay_steps=25, num_cycles=0.5)
  rule = dict(warmup_type='linear', decay_type='1-sqrt', min_lr_ratio=0.0)
  expected = [2 * share(step, **known, **rule) for step in range(100)]
  np.testing.assert_allclose(
    rates('wsd one_minus_sqrt', 100, warmup_steps=10, final_share=0.0), expected, rtol=1e-5
  )


@pytest.mark.parametrize(
  'changes, words',
  [
    (dict(decay='one_minus_sqrt'), 'config.optimizer.decay'),
    (dict(name='stable_adamw'), 'config.optimizer.bias_correction=False'),
  ],
)
def test_an_optimiser_that_would_not_be_as_published_is_refused(changes, words):
  config = base.get_config()
  config.optimizer.update(changes)
  with pytest.raises(schema.ConfigError, match=words):
    schema.check(config)
