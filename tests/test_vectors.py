"""Objectives on sentence vectors: the anchor's losses, the gradient of the whole batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small

from configs import base
from configs.schema import grid
from models.network import make_network
from models.pooling import POOLINGS, pool, unit
from objectives import angle, cosent
from objectives.mix import make_objective, module_of
from objectives.term import Setup, VectorLoss
from parallel import sharding
from training.gradient import CellStep, cell_gradient
from training.step import prepare

B, K, T, D = 16, 3, 24, 32


def vectors(texts=K, rows=B, width=D, seed=0):
  return jnp.asarray(np.random.default_rng(seed).normal(size=(rows, texts, width)), jnp.float32)


def labels(rows=B):
  rng = np.random.default_rng(1)
  return dict(
    score=jnp.asarray(rng.integers(0, 6, rows) / 5, jnp.float32),
    label=jnp.asarray(rng.integers(0, 3, rows), jnp.int32),
    scores=jnp.asarray(rng.normal(size=(rows, K - 1)), jnp.float32),
    present=jnp.ones((rows, K), jnp.int32),
  )


def ours(name, loss=None, texts=K):
  """The mean of an objective as a function of the vectors."""
  batch = labels() | dict(present=jnp.ones((B, texts), jnp.int32))
  batch['target'] = vectors(texts, seed=3)
  module, setup = module_of(name), Setup(None, None, 0, vectors=loss or VectorLoss())

  def mean(vector_BxKxD):
    term = module.terms(dict(vector=vector_BxKxD), batch, setup)['loss']
    return term.total / term.weight

  return mean


DIRECTIONS = ('query_to_doc', 'doc_to_query', 'query_to_query', 'doc_to_doc')
# (objective, texts a group, how it scores, name of the loss in sentence-transformers, its options)
LOSSES = [
  ('cosine', 2, {}, 'CosineSimilarityLoss', {}),
  ('cosent', 2, {}, 'CoSENTLoss', {}),
  ('cosent', 2, dict(scale=5.0), 'CoSENTLoss', dict(scale=5.0)),
  ('angle', 2, {}, 'AnglELoss', {}),
  ('contrast', 2, {}, 'MultipleNegativesRankingLoss', {}),
  ('contrast', 3, {}, 'MultipleNegativesRankingLoss', {}),
  ('contrast', 3, dict(scale=50.0), 'MultipleNegativesRankingLoss', dict(scale=50.0)),
  (
    'contrast',
    3,
    dict(directions=DIRECTIONS),
    'MultipleNegativesRankingLoss',
    dict(directions=DIRECTIONS),
  ),
  (
    'contrast',
    2,
    dict(directions=DIRECTIONS[:2], partition='per_direction'),
    'MultipleNegativesRankingLoss',
    dict(directions=DIRECTIONS[:2], partition_mode='per_direction'),
  ),
  ('triplet', 3, {}, 'TripletLoss', {}),
  ('triplet', 3, dict(distance='cosine', margin=0.5), 'TripletLoss', dict(triplet_margin=0.5)),
  ('triplet', 3, dict(distance='manhattan'), 'TripletLoss', {}),
  ('margin', 3, {}, 'MarginMSELoss', {}),
  ('distill_vectors', 1, {}, 'MSELoss', {}),
  ('distill_vectors', 2, {}, 'MSELoss', {}),
  ('distill_vectors', 3, {}, 'MSELoss', {}),
]


def theirs(texts, name, options, distance, target):
  """(value, gradient BxKxD) of sentence-transformers' loss at the same vectors."""
  torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")
  package = pytest.importorskip('sentence_transformers', reason='needs sentence-transformers')
  losses = package.sentence_transformer.losses
  model = torch.nn.Module()
  model.get_embedding_dimension = lambda: D
  options = dict(options)
  if name == 'TripletLoss':
    options['distance_metric'] = getattr(losses.TripletDistanceMetric, distance.upper())
  loss = getattr(losses, name)(model, **options)
  columns = [
    torch.tensor(np.asarray(vectors(texts)[:, k]), requires_grad=True) for k in range(texts)
  ]
  said = torch.tensor(np.array(target))
  if name == 'MSELoss':  # a teacher's vectors, by column
    said = list(said.unbind(dim=1))
  value = loss.compute_loss_from_embeddings(columns, said)
  value.backward()
  return value.item(), np.stack([column.grad.numpy() for column in columns], axis=1)


@pytest.mark.parametrize('name, texts, ours_with, theirs_name, options', LOSSES)
def test_value_and_gradient_are_those_of_sentence_transformers(
  name, texts, ours_with, theirs_name, options
):
  loss = VectorLoss(**ours_with)
  scores = labels()['scores']
  target = labels()['score']
  if name == 'margin':
    target = scores[:, :1] - scores[:, 1:]
  elif name == 'distill_vectors':
    target = vectors(texts, seed=3)
  value, gradient = jax.value_and_grad(ours(name, loss, texts))(vectors(texts))
  their_value, their_gradient = theirs(texts, theirs_name, options, loss.distance, target)
  np.testing.assert_allclose(value, their_value, rtol=1e-6)  # float32 sums in another order
  np.testing.assert_allclose(gradient, their_gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  'similar, expected', [((0.9, 0.1), 1.171101), ((0.1, 0.9), 0.371101), ((2, -1), 3.048587)]
)
def test_cosent_has_its_published_values(similar, expected):
  """Cosines of the pair that is scored lower and of the other; sentence-transformers #3984."""
  found = cosent.ranking(jnp.array(similar), jnp.array([0.0, 1.0]), jnp.ones(2), 1.0)
  np.testing.assert_allclose(found['loss'].total, expected, rtol=1e-6)


def test_first_dimensions_are_scored_as_vectors_of_their_own():
  whole = ours('contrast', VectorLoss(dimensions=((D, 1.0), (8, 0.5))))(vectors())
  cut = vectors()[:, :, :8]
  alone = [ours('contrast')(vectors()), ours('contrast')(cut)]
  np.testing.assert_allclose(whole, alone[0] + 0.5 * alone[1], rtol=1e-6)


def test_an_odd_width_has_an_angle():
  assert np.isfinite(angle.similarity(*vectors(2, width=7).swapaxes(0, 1))).all()


@pytest.mark.parametrize('name', ['contrast', 'cosent', 'cosine', 'triplet', 'margin'])
def test_rows_of_padding_change_nothing(name):
  """A last batch is filled up with rows without texts."""
  module, setup = module_of(name), Setup(None, None, 0)
  batch = labels()
  more = {key: jnp.concatenate([x, x[:4]]) for key, x in batch.items()}
  more['present'] = more['present'].at[B:].set(0)
  one = module.terms(dict(vector=vectors()), batch, setup)
  filled = jnp.concatenate([vectors(), vectors(rows=4, seed=5)])
  other = module.terms(dict(vector=filled), more, setup)
  for kind, term in one.items():
    np.testing.assert_allclose(other[kind].total, term.total, rtol=1e-6)
    np.testing.assert_allclose(other[kind].weight, term.weight)


def test_equal_texts_have_a_finite_gradient():
  same = jnp.broadcast_to(vectors(1), (B, K, D))
  for name in ('triplet', 'contrast', 'cosine', 'cosent', 'angle'):
    for at in (same, jnp.zeros_like(same)):
      assert np.isfinite(jax.grad(ours(name))(at)).all(), name


@pytest.mark.parametrize('pooling', POOLINGS)
def test_poolings_are_those_of_sentence_transformers(pooling):
  torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")
  package = pytest.importorskip('sentence_transformers', reason='needs sentence-transformers')
  names = dict(first='cls', last='lasttoken', weighted_mean='weightedmean')
  theirs = package.sentence_transformer.modules.Pooling(D, names.get(pooling, pooling))
  hidden = np.random.default_rng(0).normal(size=(4, 9, D)).astype(np.float32)
  segment = (np.arange(9)[None] < np.array([9, 5, 1, 2])[:, None]).astype(np.int32)
  said = theirs(dict(token_embeddings=torch.tensor(hidden), attention_mask=torch.tensor(segment)))[
    'sentence_embedding'
  ]
  found = pool(jnp.asarray(hidden), jnp.asarray(segment), pooling)[:, 0]
  np.testing.assert_allclose(found, said, rtol=1e-5, atol=1e-6)


def test_a_text_has_its_vector_wherever_it_stands_in_a_row():
  hidden = jnp.asarray(np.random.default_rng(0).normal(size=(1, 12, D)), jnp.float32)
  segment = jnp.asarray([[1, 1, 1, 1, 2, 2, 3, 3, 3, 0, 0, 0]])
  for pooling in POOLINGS:
    together = pool(hidden, segment, pooling, 4)[0]
    for text, place in enumerate((slice(0, 4), slice(4, 6), slice(6, 9))):
      ones = jnp.ones_like(segment[:, place])
      alone = pool(hidden[:, place], ones, pooling)[0, 0]
      np.testing.assert_allclose(together[text], alone, rtol=1e-6, atol=1e-6)
    assert not together[3].any()


def test_a_text_that_a_row_lacks_leaves_the_gradient_of_vectors_at_length_1_finite():
  hidden, segment = vectors(T, rows=2), jnp.zeros((2, T), int).at[:, :5].set(1)
  gradient = jax.grad(lambda hidden: unit(pool(hidden, segment, 'mean', K)).sum())(hidden)
  assert np.isfinite(gradient).all()


def groups() -> dict:
  """A batch of B groups of two or three texts of some tokens each."""
  rng = np.random.default_rng(0)
  segment = np.zeros((B, T), np.int32)
  present = np.zeros((B, K), np.int32)
  for row in range(B):
    ends = np.cumsum(rng.integers(3, 9, 2 + row % 2))
    for text, (start, end) in enumerate(zip([0, *ends], ends)):
      segment[row, start:end] = text + 1
      present[row, text] = 1
  token = np.where(segment > 0, rng.integers(5, 50, (B, T)), 0).astype(np.int32)
  batch = dict(token=token, segment=segment, type=np.zeros_like(token), present=present)
  batch |= dict(id=np.arange(B, dtype=np.int32), epoch=np.zeros(B, np.int32))
  return batch | dict(score=np.asarray(labels()['score']))


def gradient(weights, accumulate, devices, dropout=0.1):
  """(loss, means, gradient) of one step's rows."""
  config = base.get_config().mesh
  mesh = sharding.make_mesh(config, jax.devices()[:devices])
  objective = make_objective(weights, Setup(None, None, 0))
  shape = small.model(dropout=dropout, attention_dropout=dropout)
  network = make_network(shape, mask='bidirectional', packed=True, heads=objective.heads)
  share = grid.BatchShare(grid.Cell('bidirectional', tuple(weights.items())), 0, 1, 1)
  cell = CellStep(share, network.apply, objective)

  @jax.jit
  def step(params, batch):
    rows = prepare(cell, batch, seed=0, step=0, steps=1, fixed_maskings=0)
    measured, means = cell_gradient(cell, params, rows, jax.random.key(1), accumulate)
    return measured.loss, means, measured.gradient

  with jax.set_mesh(mesh):
    _, params = small.network(heads=objective.heads, init_scale=0.3)
    return jax.device_get(step(jax.device_get(params), sharding.shard_batch(groups(), mesh)))


@functools.cache
def of_the_whole_batch(weights):
  return gradient(dict(weights), 1, 1)


@pytest.mark.parametrize(
  'accumulate, devices',
  [(4, 1), *(pytest.param(*each, marks=pytest.mark.slow) for each in [(16, 1), (1, 8), (2, 8)])],
)
@pytest.mark.parametrize(
  'weights',
  [
    (('contrast', 1.0), ('cosent', 0.5)),
    pytest.param((('contrast', 1.0),), marks=pytest.mark.slow),
    pytest.param((('contrast', 1.0), ('triplet', 0.5)), marks=pytest.mark.slow),
  ],
)
def test_in_batch_negatives_are_of_the_whole_batch_in_the_memory_of_a_micro_batch(
  weights, accumulate, devices
):
  """With dropout on: float32 sums in another order are all that differs."""
  loss, means, expected = of_the_whole_batch(weights)
  found_loss, found_means, found = gradient(dict(weights), accumulate, devices)
  np.testing.assert_allclose(found_loss, loss, rtol=1e-5)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), found_means, means)
  norm = optax.global_norm(expected)
  assert optax.global_norm(jax.tree.map(jnp.subtract, found, expected)) < 1e-5 * norm
