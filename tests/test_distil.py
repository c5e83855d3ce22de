"""A student learns what its teacher says: by the published losses, in any parts, from a folder."""

import functools
from pathlib import Path

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
import small

from configs import base, bert_tiny
from configs.schema import check, grid
from configs.schema.check import ConfigError
from inference.model import Model
from models.network import make_params
from models.projection import Projection
from objectives import distill_hidden, soft_targets
from objectives.term import Setup
from parallel import sharding
from runtime import storage
from runtime.errors import StateError
from training import certificate, load
from training.certificate import RunDigest
from training.experiment import build_experiment, make_run_state
from training.frozen import taught_heads, trained_heads
from training.load_teacher import with_teacher
from training.step import jit_step

B, P, E, V = 4, 6, 8, 40


def random(*shape: int, seed: int, scale=1.0) -> jax.Array:
  return scale * jax.random.normal(jax.random.key(seed), shape)


def projection(seed: int, bias=True, width=E) -> Projection:
  table_VxE, bias_V = random(V, width, seed=seed + 1), random(V, seed=seed + 2)
  return Projection(random(B, P, width, seed=seed), table_VxE, bias_V if bias else None)


def whole(head: Projection) -> jax.Array:
  logits_BxPxV = jnp.einsum('BPE,VE->BPV', head.hidden_BxPxE, head.table_VxE)
  return logits_BxPxV if head.bias_V is None else logits_BxPxV + head.bias_V[None, None]


WEIGHT_BxP = (random(B, P, seed=9) > -0.5).astype(jnp.float32)


@pytest.mark.parametrize('temperature', [1.0, 2.0, 5.0])
@pytest.mark.parametrize('chunk, bias, width', [(1, True, E), (14, False, 5), (4096, True, 3)])
def test_chunks_change_neither_the_divergence_nor_its_gradient(chunk, bias, width, temperature):
  student, teacher = projection(0, bias), projection(10, bias, width)

  def chunked(student):
    terms = soft_targets.soft_target_terms(
      student, teacher, WEIGHT_BxP, temperature=temperature, chunk=chunk
    )
    return terms['loss'].total, terms

  def plain(student):
    scored = soft_targets.divergence(whole(student), whole(teacher), temperature)
    return (scored.nats_BxC * WEIGHT_BxP).sum(), scored

  (total, terms), gradient = jax.jit(jax.value_and_grad(chunked, has_aux=True))(student)
  (expected, scored), by_autodiff = jax.jit(jax.value_and_grad(plain, has_aux=True))(student)
  np.testing.assert_allclose(total, expected, rtol=1e-5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), gradient, by_autodiff
  )
  assert terms['loss'].weight == WEIGHT_BxP.sum()
  assert terms['agreement'].total == (scored.hit_BxC * WEIGHT_BxP).sum()


def test_a_student_that_says_what_its_teacher_says_has_no_loss_and_agrees():
  head = projection(0)
  terms = soft_targets.soft_target_terms(head, head, WEIGHT_BxP, temperature=2.0, chunk=8)
  assert abs(float(terms['loss'].total)) < 1e-5
  assert terms['agreement'].total == terms['agreement'].weight
  hidden = random(B, P, E, seed=0)
  np.testing.assert_allclose(distill_hidden.distance(hidden, 3 * hidden), 0, atol=1e-6)
  np.testing.assert_allclose(distill_hidden.distance(hidden, -hidden), 2, atol=1e-6)


def test_a_teacher_that_is_asked_chunk_by_chunk_takes_the_memory_of_no_teacher():
  """Two sets of logits exist at once, so half as many predictions are in a chunk."""
  head, chunk, seen = projection(0), 4 * B, []
  weigh = soft_targets.divergence

  def watch(logits_BxCxV, teacher_BxCxV, temperature):
    seen.append(logits_BxCxV.shape)
    return weigh(logits_BxCxV, teacher_BxCxV, temperature)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(soft_targets, 'divergence', watch)
    soft_targets.soft_target_terms(head, head, WEIGHT_BxP, temperature=2.0, chunk=chunk)
  assert seen and all(shape == (B, 2, V) for shape in seen)


def test_what_a_teacher_says_of_padding_counts_nowhere():
  segment = jnp.array([[1, 1, 1, 2, 2, 0]] * B)
  hidden = random(B, P, E, seed=0)
  batch = dict(segment=segment, teacher=dict(hidden=random(B, P, E, seed=1)))
  other = batch | dict(teacher=dict(hidden=batch['teacher']['hidden'].at[:, -1].set(7.0)))
  setup = Setup(None, None, 8)
  one, two = (distill_hidden.terms(dict(hidden=hidden), rows, setup) for rows in (batch, other))
  assert one == two and distill_hidden.weight(batch) == one['loss'].weight == 5 * B


# Cells that learn from a teacher, and what the teacher has.
CELLS = {
  'bert': dict(objectives=dict(distill=5.0, distill_hidden=1.0, mlm=2.0)),
  'row': dict(objectives=dict(distill_row=5.0, mlm=0.0)),
  'gpt': dict(mask='causal', objectives=dict(distill=5.0, distill_hidden=1.0, clm=2.0)),
}


@pytest.fixture(scope='module')
def corpus(tmp_path_factory) -> Path:
  return runs.corpus(tmp_path_factory.mktemp('corpus'))


def config_of(corpus: Path, folder: Path | str, **changes):
  """bert_tiny's at the size of a test, with a teacher."""
  config = bert_tiny.get_config()
  fields = {name: value for name, value in runs.TINY.items() if name != 'log.tensorboard'}
  fields |= {'data.corpus': f'text:{corpus}', 'data.cache': str(corpus.parent / 'cache')}
  fields |= {'distill.teacher': str(folder), 'model.layers': 1, 'optimizer.epsilon': 1e-2}
  objectives = changes.pop('objectives', dict(distill=1.0, mlm=1.0))
  with config.unlocked():
    config.objectives = objectives
    config.update_from_flattened_dict(fields | changes)
  check.check(config)
  return config


def teacher_of(corpus: Path, folder: Path, *, heads=('mlm', 'clm'), mask='bidirectional', **shape):
  """A folder with a random teacher of the tokenizer of these runs."""
  tokenizer = build_experiment(config_of(corpus, folder)).prepared.tokenizer
  sizes = dict(layers=3, width=32, heads=4, vocab_size=300, max_length=32, positions='rotary')
  config = small.model('bert_base', **sizes | dict(init_scale=0.3) | shape)
  model = Model(config, mask, heads, None, None, tokenizer, True, 'a test')
  network = small.make_network(config, mask=mask, packed=False, heads=heads)
  load.save(model._replace(params=make_params(network, jax.random.key(5))), folder)
  return folder


@pytest.fixture(scope='module')
def folders(tmp_path_factory, corpus) -> dict[str, Path]:
  """A teacher for each mask."""
  made = tmp_path_factory.mktemp('teachers')
  return {mask: teacher_of(corpus, made / mask, mask=mask) for mask in ('bidirectional', 'causal')}


def taught(corpus, folders, cell: str, mesh, **changes):
  fields = CELLS[cell] | changes
  config = config_of(corpus, folders[fields.get('mask', 'bidirectional')], **fields)
  return with_teacher(build_experiment(config), mesh, lambda line: None)


def mesh_of(name: str):
  config = base.get_config().mesh
  config.update(base.mesh(name) if name else dict(data=1))
  return sharding.make_mesh(config, jax.devices() if name else jax.devices()[:1])


@pytest.fixture(scope='module')
def measured(corpus, folders):
  """A function that gives the metrics of two steps of a cell, made once."""

  @functools.cache
  def measure(cell: str, mesh_name: str, accumulate: int):
    mesh = mesh_of(mesh_name)
    experiment = taught(corpus, folders, cell, mesh)
    with jax.set_mesh(mesh):
      _, make, tx, schedule = make_run_state(experiment.config, experiment.network, mesh)
      stage = grid.stages(experiment.config)[0]
      step = jit_step(experiment.train_step(stage, tx, schedule, accumulate=accumulate), mesh)
      state, found, batches = make(), [], experiment.batches(32)
      for index in range(2):
        rows = sharding.shard_batch(batches[index], mesh)
        state, metrics = step(state, rows, experiment.teacher.params)
        del metrics['block_gradient_norm']
        found.append({name: float(value) for name, value in metrics.items()})
    return found, jax.device_get(state.params)

  return measure


@pytest.mark.parametrize(
  'cell, mesh_name, accumulate',
  [
    ('bert', '', 4),
    ('bert', 'data2+fsdp2+tensor2', 2),
    pytest.param('row', 'replicated', 1, marks=pytest.mark.slow),
    pytest.param('row', 'fsdp', 1, marks=pytest.mark.slow),
    pytest.param('gpt', '', 2, marks=pytest.mark.slow),
    pytest.param('gpt', 'data2+fsdp2+tensor2', 1, marks=pytest.mark.slow),
  ],
)
def test_a_gradient_depends_neither_on_micro_batches_nor_on_devices(
  measured, cell, mesh_name, accumulate
):
  """To rounding; a large epsilon keeps Adam from making much of it."""
  one, params = measured(cell, '', 1)
  other, other_params = measured(cell, mesh_name, accumulate)
  for before, after in zip(one, other):
    assert before.keys() == after.keys() and before['mask_hash'] == after['mask_hash']
    np.testing.assert_allclose([*after.values()], [*before.values()], rtol=1e-4)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), params, other_params)


def test_the_loss_is_the_weighted_sum_and_predictions_are_counted_once(measured):
  first = measured('bert', '', 1)[0][0]
  parts = [5 * first['train/distill_loss'], 2 * first['train/mlm_loss']]
  parts.append(first['train/distill_hidden_loss'])
  assert np.isclose(first['train/loss'], sum(parts), rtol=1e-5)
  assert 0 < first['predictions'] <= 8 * 5 and 0 <= first['train/distill_agreement'] <= 1


def test_a_teacher_is_split_over_the_devices_and_held_once(corpus, folders):
  experiment = taught(corpus, folders, 'bert', mesh_of('fsdp'))
  params = experiment.teacher.params
  assert params.keys() == {'embeddings', 'trunk', 'mlm'}  # the head of clm is not asked
  total = sum(x.nbytes for x in jax.tree.leaves(params))
  assert experiment.teacher.bytes_a_device < total / 4
  alone = taught(corpus, folders, 'bert', mesh_of('')).teacher
  assert alone.bytes_a_device == total and alone.sha256 == experiment.teacher.sha256


def test_a_digest_is_of_what_a_teacher_says(corpus, folders, tmp_path):
  same = teacher_of(corpus, tmp_path / 'same', attention='reference', dropout=0.3)
  other = teacher_of(corpus, tmp_path / 'other', activation='relu')
  digests = {
    name: taught(corpus, dict(bidirectional=folder), 'bert', mesh_of('')).teacher.sha256
    for name, folder in dict(one=folders['bidirectional'], same=same, other=other).items()
  }
  assert digests['one'] == digests['same'] != digests['other']


def test_validation_asks_no_teacher(corpus, folders):
  experiment = taught(corpus, folders, 'bert', mesh_of(''))
  assert experiment.held_out.weights == dict(mlm=2.0)
  assert taught(corpus, folders, 'row', mesh_of('')).held_out.weights == dict(mlm=1.0)
  assert experiment.objective.weights.keys() == {'distill', 'distill_hidden', 'mlm'}


def test_the_certificate_has_the_teacher_and_what_it_costs(corpus, folders, tmp_path):
  experiment = taught(corpus, folders, 'row', mesh_of(''))
  digest = experiment.teacher.sha256
  storage.write_json(tmp_path / 'data.json', dict(data='d', tokenizer='t', teacher=digest))
  certificate.write_initial(epath.Path(tmp_path), 'i')
  written = certificate.write(
    epath.Path(tmp_path), experiment.config, RunDigest(), {}, 'x', 12, experiment.teacher.flops
  )
  assert written['teacher_sha256'] == experiment.teacher.sha256
  # three layers of width 32, forward, against one layer, forward and backward
  assert written['teacher_flops'] < written['flops'] < 2 * written['teacher_flops']
  said = certificate.rows(written)
  assert said['teacher'] == f'sha256 {experiment.teacher.sha256[:16]}'
  assert 'of the teacher' in said['spent']


REFUSED = {
  'rows of the vocabulary': (dict(vocab_size=310), {}, 'vocabulary has 310 rows'),
  'length': (dict(max_length=16), {}, 'reads 16 tokens at most'),
  'width': (dict(width=64), dict(objectives=dict(distill_hidden=1.0, mlm=1.0)), 'have width 64'),
  'head': (dict(heads=('clm',)), {}, 'no head mlm'),
  'kind of head': ({}, dict(objectives=dict(distill=1.0, mntp=1.0)), 'trained with mlm'),
  'mask': (
    {},
    dict(mask='causal', objectives=dict(distill=1.0, clm=1.0)),
    "mask is 'bidirectional'",
  ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_a_teacher_that_a_run_cannot_learn_from_is_refused_by_name(corpus, tmp_path, case):
  shape, changes, said = REFUSED[case]
  folder = teacher_of(corpus, tmp_path / 'teacher', **shape)
  experiment = build_experiment(config_of(corpus, folder, **changes))
  with pytest.raises(ConfigError, match=said) as refused:
    with_teacher(experiment, mesh_of(''), print)
  assert str(folder) in str(refused.value) and 'config.distill.teacher' in str(refused.value)


def test_a_teacher_of_another_tokenizer_is_refused_by_name(corpus, folders):
  config = config_of(corpus, folders['bidirectional'], **{'data.lowercase': False})
  with pytest.raises(StateError, match='config.distill.teacher=.*another tokenizer'):
    with_teacher(build_experiment(config), mesh_of(''), print)


@pytest.mark.parametrize(
  'changes, said',
  [
    (dict(objectives=dict(distill=1.0)), 'distill stands beside clm or mlm or mntp'),
    (
      dict(mask='causal', objectives=dict(distill_row=1.0, clm=1.0)),
      'distill_row stands beside mlm or mntp',
    ),
    (dict(objectives=dict(mlm=1.0)), 'no objective learns from it'),
    ({'distill.teacher': ''}, 'name it, as in --config.distill.teacher='),
    (dict(objectives=dict(mlm=0.0)), 'a number above 0'),
    (dict(objectives=dict(distill=0.0, mlm=1.0)), 'a number above 0'),
    ({'distill.temperature': 0.0}, 'distill.temperature=0.0: must be from 0.001'),
    ({'data.task': 'csv:x.csv'}, 'read a corpus|reads a corpus'),
  ],
)
def test_a_config_that_cannot_learn_says_what_to_change(corpus, changes, said):
  with pytest.raises(ConfigError, match=said):
    config_of(corpus, 'teacher', **changes)


def test_what_has_no_teacher_at_hand_refuses_the_step(corpus):
  experiment = build_experiment(config_of(corpus, 'teacher'))
  with pytest.raises(ConfigError, match='learns from a teacher, which train.py loads'):
    experiment.train_step(grid.stages(experiment.config)[0], None, None, accumulate=1)


def test_a_student_is_loaded_without_its_teacher(corpus):
  """Its heads are those of its own objectives: what it is compared at has no parameters."""
  config = config_of(corpus, 'gone', objectives=dict(distill_row=1.0, distill_hidden=1.0, mlm=1.0))
  assert trained_heads(config) == ('mlm',)
  assert sorted(taught_heads(config)) == ['hidden', 'mlm', 'mlm_row']


@pytest.mark.slow
def test_a_killed_student_resumes_to_the_bit_and_another_teacher_is_refused(corpus, tmp_path):
  teacher = tmp_path / 'teacher'
  assert runs.run(runs.command('bert_tiny', teacher, corpus)).returncode == 0
  changes = {
    'objectives': 'distill_row+distill_hidden+mlm',
    'distill.teacher': teacher,
    'model.layers': 1,
  }
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  assert runs.run(runs.command('bert_tiny', whole, corpus, **changes)).returncode == 0
  command = runs.command('bert_tiny', killed, corpus, **changes)
  assert runs.run(command, fault='die_at_step:9').returncode not in (0, 3)
  moved = teacher.rename(tmp_path / 'moved')
  missing = runs.run(command)
  assert missing.returncode == 3 and 'no such folder' in missing.stderr
  assert runs.run(runs.command('bert_tiny', teacher, corpus, seed=1)).returncode == 0
  other = runs.run(command)
  assert other.returncode == 3 and 'teacher: was' in other.stderr
  there = [*command, f'--config.distill.teacher={moved}', '--allow_change=distill.teacher']
  assert runs.run(there).returncode == 0
  assert runs.rows(killed) == [
    row | dict(config_hash=ours['config_hash'])
    for row, ours in zip(runs.rows(whole), runs.rows(killed))
  ] and runs.digest(killed) == runs.digest(whole)
