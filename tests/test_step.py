"""One update: the same on one device and on eight, in one piece and in many; and it learns."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small

from configs import base
from configs.schema import grid
from models.network import example_batch, make_network
from objectives.corrupt import Masking
from objectives.mix import make_objective
from objectives.term import Setup, Vocabulary
from parallel import sharding
from training.gradient import CellStep, cell_gradient, mask_hash
from training.optimizer import make_optimizer
from training.step import jit_step, make_state, make_train_step, prepare, step_keys

V, B, T = 48, 16, 16
VOCABULARY = Vocabulary(jnp.arange(V) < 5, jnp.ones(V, bool), 4)
CELLS = {
  'bert': ('bert_base', 'bidirectional', dict(mlm=1.0, nsp=0.5)),
  'gpt': ('gpt2_small', 'causal', dict(clm=1.0)),
}


def batch() -> dict[str, np.ndarray]:
  """Ragged rows; the third has no token that may be hidden."""
  token = small.tokens(B, T, V)
  segment = (np.arange(T)[None] < np.random.default_rng(1).integers(4, T + 1, (B, 1))).astype(
    np.int32
  )
  token[2] = 2
  return dict(
    token=token * segment,
    segment=segment,
    type=(np.arange(T)[None] > 5) * segment,
    label=np.arange(B, dtype=np.int32) % 2,
  )


def make(
  cell: str,
  mesh,
  *,
  accumulate=1,
  rate=0.15,
  learning_rate=1e-2,
  steps=100,
  optimizer='adamw',
  epsilon=1e-6,
  scan=True,
  last_layer='whole',
  dropout=0.0,
  attention_dropout=0.0,
  **options,
):
  name, mask, weights = CELLS[cell]
  config = base.get_config()
  config.optimizer.update(
    name=optimizer,
    learning_rate=learning_rate,
    warmup_steps=2,
    schedule='constant',
    epsilon=epsilon,
  )
  masking = Masking(**config.mlm.to_dict() | dict(rate=rate))
  objective = make_objective(weights, Setup(VOCABULARY, masking, 32))
  shape = small.model(
    name,
    vocab_size=V,
    max_length=T,
    init_scale=0.1,
    scan=scan,
    last_layer=last_layer,
    dropout=dropout,
    attention_dropout=attention_dropout,
  )
  network = make_network(shape, mask=mask, packed=False, heads=objective.heads)
  tx, schedule = make_optimizer(config.optimizer, steps)
  abstract, start = make_state(
    network,
    tx,
    seeds=[0],
    mesh=mesh,
    average=bool(options.get('average')),
    batch=example_batch(1, T, masking.predictions(T)),
  )
  whole = grid.BatchShare(grid.Cell(mask, tuple(weights.items())), 0, 1, 1)
  work = CellStep(whole, network.apply, objective)
  step = jit_step(
    make_train_step([work], tx, schedule, seed=0, accumulate=accumulate, **options), mesh
  )
  return abstract, start(), step, network, objective


def mesh_of(data, fsdp=1, tensor=1):
  config = base.get_config().mesh
  config.update(data=data, fsdp=fsdp, tensor=tensor)
  return sharding.make_mesh(config, jax.devices()[: data * fsdp * tensor])


def train(cell, mesh, steps, **options):
  with jax.set_mesh(mesh):
    _, state, step, *_ = make(cell, mesh, **options)
    first = jax.device_get(state.params)
    losses = []
    for _ in range(steps):
      state, metrics = step(state, sharding.shard_batch(batch(), mesh))
      losses.append(float(metrics['train/loss']))
    return first, jax.device_get(state.params), losses


@functools.cache
def on_one_device(cell):
  return train(cell, mesh_of(1), 6, epsilon=1e-2)


MESHES = ('replicated', 'fsdp', 'tensor4+data', 'data2+fsdp', 'fsdp+tensor2', 'data2+fsdp2+tensor2')


@pytest.mark.parametrize(
  'cell, name, accumulate, scan',
  [
    pytest.param(
      cell,
      name,
      accumulate,
      scan,
      marks=()
      if (cell, name, accumulate, scan)
      in (('bert', 'data2+fsdp2+tensor2', 2, True), ('bert', 'data2+fsdp2+tensor2', 1, False))
      else pytest.mark.slow,
    )
    for cell in CELLS
    for name in MESHES
    for accumulate, scan in ((1, True), (2, True), (1, False))
  ],
)
def test_eight_devices_in_any_mesh_agree_with_one(cell, name, accumulate, scan):
  """Adam divides a gradient by its own size, so that where it is zero its rounding counts as much
  as any other; a large epsilon keeps rounding what it is, and so parameters comparable."""
  first, last, losses = on_one_device(cell)
  config = base.get_config().mesh
  config.update(base.mesh(name))
  mesh = sharding.make_mesh(config)
  other_first, other_last, other_losses = train(
    cell, mesh, 6, accumulate=accumulate, epsilon=1e-2, scan=scan
  )
  jax.tree.map(np.testing.assert_array_equal, first, other_first)
  np.testing.assert_allclose(losses, other_losses, rtol=1e-5)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), last, other_last)


def test_muon_on_eight_devices_agrees_with_one():
  first, last, losses = train('gpt', mesh_of(1), 6, optimizer='muon', epsilon=1e-2)
  other_first, other_last, other_losses = train(
    'gpt', mesh_of(2, 2, 2), 6, optimizer='muon', epsilon=1e-2
  )
  jax.tree.map(np.testing.assert_array_equal, first, other_first)
  np.testing.assert_allclose(losses, other_losses, rtol=1e-5)
  # as a whole, rounding grows
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=2e-3), last, other_last)


@pytest.mark.parametrize('cell', ['bert', pytest.param('gpt', marks=pytest.mark.slow)])
def test_micro_batches_are_exactly_the_big_batch(cell):
  gradient_norms, losses = [], []
  for accumulate in (1, 4):
    mesh = mesh_of(1)
    with jax.set_mesh(mesh):
      _, state, step, *_ = make(cell, mesh, accumulate=accumulate)
      _, metrics = step(state, sharding.shard_batch(batch(), mesh))
      gradient_norms.append(float(metrics['gradient_norm']))
      losses.append(float(metrics['train/loss']))
  np.testing.assert_allclose(losses, losses[0], rtol=1e-6)
  np.testing.assert_allclose(gradient_norms, gradient_norms[0], rtol=1e-5)  # sums in another order


@functools.cache
def with_dropout(cell, mesh_name, accumulate, scan):
  """(gradient by parameter, metrics) of one step with dropout on embeddings, branches, weights."""
  config = base.get_config().mesh
  config.update(base.mesh(mesh_name) if mesh_name else dict(data=1))
  mesh = sharding.make_mesh(config, jax.devices() if mesh_name else jax.devices()[:1])
  shape = dict(dropout=0.1, attention_dropout=0.1, scan=scan, last_layer='read')
  with jax.set_mesh(mesh):
    _, state, _, network, objective = make(cell, mesh, **shape)
    mask, weights = CELLS[cell][1:]
    whole = grid.BatchShare(grid.Cell(mask, tuple(weights.items())), 0, 1, 1)

    @jax.jit
    def measure(params, rows):
      work = CellStep(whole, network.apply, objective)
      rows = prepare(work, rows, seed=0, step=3, steps=100, fixed_maskings=0)
      _, key = step_keys(0, 3)
      return cell_gradient(work, params, rows, key, accumulate)

    return jax.device_get(measure(state.params, sharding.shard_batch(batch(), mesh)))


@pytest.mark.parametrize(
  'mesh_name, accumulate', [('', 2), ('', 4), ('replicated', 1), ('data2+fsdp2+tensor2', 2)]
)
@pytest.mark.parametrize('cell, scan', [('bert', True), ('bert', False), ('gpt', True)])
def test_dropout_belongs_to_its_row(cell, scan, mesh_name, accumulate):
  """To rounding: sums in another order. Keyed by micro-batch, gradients were 56% apart."""
  one, one_means = with_dropout(cell, '', 1, scan)
  many, many_means = with_dropout(cell, mesh_name, accumulate, scan)
  np.testing.assert_allclose(many.loss, one.loss, rtol=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5 + 1e-5 * np.abs(y).max()),
    many.gradient,
    one.gradient,
  )
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), many_means, one_means)


def test_dropout_is_on_and_drawn_anew_each_step():
  one, _ = with_dropout('bert', '', 1, True)
  mesh = mesh_of(1)
  with jax.set_mesh(mesh):
    _, state, step, *_ = make('bert', mesh, dropout=0.1, attention_dropout=0.1)
    _, metrics = step(state, sharding.shard_batch(batch(), mesh))
    _, still, plain, *_ = make('bert', mesh)
    _, without = plain(still, sharding.shard_batch(batch(), mesh))
  assert float(metrics['train/loss']) not in (float(one.loss), float(without['train/loss']))


def test_every_micro_batch_ticks():
  ticks = []
  mesh = mesh_of(1)
  with jax.set_mesh(mesh):
    _, state, step, *_ = make(
      'gpt', mesh, accumulate=4, tick=lambda index: ticks.append(int(index))
    )
    jax.block_until_ready(step(state, sharding.shard_batch(batch(), mesh)))
    jax.effects_barrier()
  assert sorted(ticks) == [0, 1, 2, 3]


def test_nan_is_reported_and_leaves_the_parameters():
  mesh = mesh_of(1)
  with jax.set_mesh(mesh):
    _, state, step, *_ = make('bert', mesh)
    # Finite, and large enough for a loss that is not.
    far = jax.tree.map(lambda x: x * 1e30, state.params['embeddings'])
    state = dataclasses.replace(state, params=state.params | dict(embeddings=far))
    before = jax.device_get(state.params)
    state, metrics = step(state, sharding.shard_batch(batch(), mesh))
  assert not metrics['finite'] and not np.isfinite(metrics['gradient_norm'])
  jax.tree.map(np.testing.assert_array_equal, before, jax.device_get(state.params))


def test_the_average_follows_the_parameters():
  mesh = mesh_of(1)
  with jax.set_mesh(mesh):
    _, state, step, *_ = make('gpt', mesh, average=0.9)
    old, start = jax.device_get((state.params, state.average))
    state, _ = step(state, sharding.shard_batch(batch(), mesh))
    state, _ = step(state, sharding.shard_batch(batch(), mesh))
  jax.tree.map(np.testing.assert_array_equal, old, start)
  # the first rate is 0
  jax.tree.map(
    lambda a, p, o: np.testing.assert_allclose(a, 0.9 * o + 0.1 * p, atol=1e-6),
    state.average,
    state.params,
    old,
  )


@pytest.mark.parametrize('cell', CELLS)
def test_one_batch_is_learnt_by_heart_in_a_hundred_steps(cell):
  """The batch is prepared once, so that the masks are the same each time."""
  mesh = mesh_of(1)
  with jax.set_mesh(mesh):
    _, state, _, network, objective = make(cell, mesh, learning_rate=1e-2)
    data = {name: jnp.asarray(x) for name, x in batch().items()}
    data['token'] = data['token'].at[2].set(data['token'][3])  # something to predict in every row
    data = objective.prepare(jax.random.key(0), data, jnp.arange(B))
    config = base.get_config()
    config.optimizer.update(learning_rate=1e-2, warmup_steps=10, weight_decay=0.0)
    tx, _ = make_optimizer(config.optimizer, 101)

    def loss(params):
      terms = objective.terms(network.apply(params, data), data)
      return sum(term['loss'].total / term['loss'].weight for term in terms.values())

    @jax.jit
    def step(params, opt_state):
      updates, opt_state = tx.update(jax.grad(loss)(params), opt_state, params)
      return jax.tree.map(jnp.add, params, updates), opt_state

    params, opt_state = state.params, tx.init(state.params)
    start = float(loss(params))
    for _ in range(100):
      params, opt_state = step(params, opt_state)
    assert start > 3 and float(loss(params)) < 0.1


def test_the_negative_control_collapses_where_an_honest_cell_cannot():
  """On random tokens there is nothing to learn but the answer, if
  it is shown: V = 48 gives log 48 = 3.87 nats.
  """
  losses = {}
  for mask in ('causal', 'bidirectional'):
    CELLS[mask] = ('gpt2_small', mask, dict(clm=1.0))
    mesh = mesh_of(1)
    with jax.set_mesh(mesh):
      # At 1e-2 the order of sums decides whether it settles at 0 or
      # sticks near 1; at half of that three seeds reach 0.
      _, state, step, *_ = make(mask, mesh, learning_rate=5e-3)
      random, segment = np.random.default_rng(0), np.ones((B, T), np.int32)
      for _ in range(300):
        fresh = dict(
          token=random.integers(0, V, (B, T), np.int32), segment=segment, type=0 * segment
        )
        state, metrics = step(state, sharding.shard_batch(fresh, mesh))
    losses[mask] = float(metrics['train/loss'])
  assert losses['bidirectional'] < 1 < 3.7 < losses['causal']


SHARED = '1 causal+clm & 3 bidirectional+mlm'


def shared_config():
  config = base.get_config()
  config.schedule, config.batch_size = SHARED, B
  config.optimizer.update(learning_rate=1e-2, warmup_steps=2, schedule='constant')
  return config, small.model('bert_base', vocab_size=V, max_length=T, init_scale=0.1)


def shared_works(fixed_maskings=0) -> list[CellStep]:
  """Two cells that share a batch."""
  config, shape = shared_config()
  masking = Masking(**config.mlm.to_dict() | dict(fixed_maskings=fixed_maskings))
  setup = Setup(VOCABULARY, masking, 32)
  return [
    CellStep(
      part,
      make_network(shape, mask=part.cell.mask, packed=False, heads=('clm', 'mlm')).apply,
      make_objective(dict(part.cell.weights), setup),
    )
    for part in grid.stages(config)[0].shares
  ]


def shared_step(mesh, *, accumulate=1):
  """(parameters, metrics) of one step of theirs."""
  config, shape = shared_config()
  works = shared_works()
  network = make_network(shape, mask='bidirectional', packed=False, heads=('clm', 'mlm'))
  tx, schedule = make_optimizer(config.optimizer, 100)
  with jax.set_mesh(mesh):
    _, start = make_state(
      network, tx, seeds=[0], mesh=mesh, average=False, batch=example_batch(1, T, 3)
    )
    state = start()
    params = jax.device_get(state.params)
    step = jit_step(
      make_train_step(works, tx, schedule, seed=0, steps=100, accumulate=accumulate), mesh
    )
    _, metrics = step(state, sharding.shard_batch(batch(), mesh))
  return params, jax.device_get(metrics)


def test_cells_that_share_a_batch_count_by_their_rows_and_do_not_meet():
  (params, metrics), works = shared_step(mesh_of(1)), shared_works()

  def alone(params):
    total = 0.0
    for work, share in zip(works, (1 / 4, 3 / 4)):
      prepared = prepare(work, batch(), seed=0, step=0, steps=100, fixed_maskings=0)
      ((name, terms),) = work.objective.terms(work.apply(params, prepared), prepared).items()
      total += share * terms['loss'].total / work.objective.counts(prepared)[name]
    return total

  loss, gradient = jax.value_and_grad(alone)(params)
  np.testing.assert_allclose(metrics['train/loss'], loss, rtol=1e-6)
  # sums in another order
  np.testing.assert_allclose(metrics['gradient_norm'], optax.global_norm(gradient), rtol=1e-5)
  clm, mlm = (prepare(work, batch(), seed=0, step=0, steps=100, fixed_maskings=0) for work in works)
  assert 'mlm_position' not in clm and clm['token'].shape[0] == 4 and mlm['token'].shape[0] == 12
  np.testing.assert_array_equal(clm['token'], batch()['token'][::4])


def test_a_row_hides_the_same_whatever_it_shares_the_batch_with():
  works = shared_works()
  mixed = prepare(works[1], batch(), seed=0, step=7, steps=100, fixed_maskings=0)
  alone = prepare(
    works[1]._replace(share=grid.BatchShare(works[1].share.cell, 0, 1, 1)),
    batch(),
    seed=0,
    step=7,
    steps=100,
    fixed_maskings=0,
  )
  np.testing.assert_array_equal(
    mixed['token'], np.delete(alone['token'], np.arange(0, B, 4), axis=0)
  )


@pytest.mark.parametrize(
  'devices, accumulate', [pytest.param(1, 2, marks=pytest.mark.slow), (4, 1)]
)
def test_shares_of_a_batch_do_not_depend_on_devices_or_micro_batches(devices, accumulate):
  _, one = shared_step(mesh_of(1))
  _, many = shared_step(mesh_of(devices), accumulate=accumulate)
  for name in (
    'train/loss',
    'gradient_norm',
    'train/causal+clm/clm_loss',
    'train/bidirectional+mlm/mlm_loss',
  ):
    np.testing.assert_allclose(many[name], one[name], rtol=1e-5)  # sums in another order
  assert many['mask_hash'] == one['mask_hash'] and many['predictions'] == one['predictions']


def test_static_masks_come_round_again_and_dynamic_ones_do_not():
  works = shared_works(fixed_maskings=3)

  def token(step, epoch, fixed_maskings):
    data = batch() | dict(id=np.arange(B, dtype=np.int32), epoch=np.full(B, epoch, np.int32))
    return np.asarray(
      prepare(works[1], data, seed=0, step=step, steps=100, fixed_maskings=fixed_maskings)['token']
    )

  np.testing.assert_array_equal(token(0, 0, 3), token(50, 3, 3))
  assert (token(0, 0, 3) != token(1, 1, 3)).any() and (token(1, 1, 3) != token(2, 2, 3)).any()
  assert (token(0, 0, 0) != token(50, 3, 0)).any()


def test_the_mask_hash_tells_what_was_masked():
  cell = shared_works()[1]
  rows = {
    step: prepare(cell, batch(), seed=0, step=step, steps=100, fixed_maskings=0) for step in (0, 1)
  }
  hashed = lambda rows: int(mask_hash(rows, cell.objective.draws))
  moved = rows[0] | dict(
    mlm_position=rows[0]['mlm_position'][::-1], mlm_weight=rows[0]['mlm_weight'][::-1]
  )
  assert len({hashed(rows[0]), hashed(rows[1]), hashed(moved)}) == 3
