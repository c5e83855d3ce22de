"""What a student begins with and reads: its teacher's layers, and rare tokens masked more often."""

from collections import Counter
import itertools

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from test_distil import config_of, mesh_of, teacher_of

from configs import base
from configs.schema.check import ConfigError
from data.rows import documents
from models.dropout import row_keys
from models.network import by_path
from objectives import corrupt
from objectives.corrupt import Masking
from objectives.term import Vocabulary
from training import load, warm_start
from training.experiment import build_experiment, make_run_state
from training.frozen import validation_masking


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  return runs.corpus(tmp_path_factory.mktemp('corpus'))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory, corpus):
  """Five layers, with segments, a pooler and a classifier of pairs, which a student has not."""
  folder = tmp_path_factory.mktemp('teacher') / 'five'
  return teacher_of(corpus, folder, layers=5, heads=('mlm', 'nsp'))


def begun(corpus, teacher, layers: str, said=None, **changes):
  """(the parameters that a student begins with by path, those of its teacher)."""
  fields = {'init_from': str(teacher), 'init_layers': layers, 'model.segment_types': 0}
  fields |= {
    'model.heads': 4,
    'model.norm_epsilon': 1e-12,
    'model.layers': len(layers.split()) or 5,
  }
  experiment = build_experiment(config_of(corpus, teacher, **fields | changes))
  mesh = mesh_of('')
  with jax.set_mesh(mesh):
    _, make, *_ = make_run_state(experiment.config, experiment.network, mesh)
    say = (said if said is not None else []).append
    params = warm_start.begin_with(str(teacher), experiment, make().params, mesh, say)
  return by_path(params), by_path(load.load(epath.Path(teacher)).params)


@pytest.mark.parametrize('layers', ['0 2', '4 1 3', '0 2 4', '3', ''])
def test_a_student_begins_with_the_layers_that_are_named_in_their_order(corpus, teacher, layers):
  said = []
  ours, theirs = begun(corpus, teacher, layers, said)
  chosen = [int(layer) for layer in layers.split()] or list(range(5))
  for path, array in ours.items():
    expected = theirs[path][np.array(chosen)] if path.startswith('trunk/blocks/') else theirs[path]
    np.testing.assert_array_equal(array, expected, path)
  assert {'embeddings/token', 'mlm/bias', 'mlm/transform/kernel'} <= ours.keys()
  assert theirs.keys() - ours.keys() == {'embeddings/type'} | {p for p in theirs if 'nsp' in p}
  assert 'left behind: embeddings/type, nsp;' in said[0]


@pytest.mark.parametrize(
  'layers, changes, said',
  [
    ('0 5', {}, 'has layers 0 to 4'),
    ('0 two', {}, "as in '0 2 4'"),
    ('0, 2', {}, "as in '0 2 4'"),
    ('-1', {}, "as in '0 2 4'"),
    ('0 2', {'model.layers': 3}, 'for each of the 3 here'),
    ('0 2', {'model.shared_layers': True}, 'none of them shared'),
    ('0 2', {'init_from': ''}, 'layers of config.init_from'),
  ],
)
def test_layers_that_are_not_there_are_refused_by_name(corpus, teacher, layers, changes, said):
  with pytest.raises(ConfigError, match=said) as refused:
    begun(corpus, teacher, layers, **changes)
  assert f'config.init_layers={layers!r}' in str(refused.value)


def test_one_layer_that_is_used_several_times_has_no_layers_to_choose(corpus, tmp_path):
  folder = teacher_of(corpus, tmp_path / 'shared', shared_layers=True)
  with pytest.raises(ConfigError, match='the layers of .* are one'):
    begun(corpus, folder, '0 2')


COUNTS = np.array([9, 9, 1, 4, 16, 64, 256, 0])
ROW = np.array([0, 2, 3, 4, 5, 6, 7, 1])  # specials at both ends


def drawn(smoothing: float, rate: float, rows: int) -> np.ndarray:
  """How often each position is masked, in rows of all tokens."""
  masking = Masking(**vars(masking_like(smoothing)) | dict(rate=rate))
  vocabulary = Vocabulary(
    jnp.arange(8) < 2, jnp.ones(8, bool), 1, count_V=jnp.asarray(COUNTS, jnp.float32)
  )
  token = jnp.tile(jnp.asarray(ROW)[None], (rows, 1))
  out = jax.jit(
    lambda: corrupt.corrupt(
      row_keys(jax.random.key(3), jnp.arange(rows)),
      token,
      jnp.ones_like(token),
      vocabulary,
      masking,
      rate,
    )
  )()
  weight = np.asarray(out['mlm_weight']) > 0
  return np.bincount(np.asarray(out['mlm_position'])[weight], minlength=8) / rows


def masking_like(smoothing: float) -> Masking:
  return Masking(**vars(validation_masking(base.get_config())) | dict(smoothing=smoothing))


def expected(smoothing: float, masked: int) -> np.ndarray:
  """Chance of each position to be among so many, drawn one by one without replacement."""
  share = np.where(ROW < 2, 0, np.maximum(COUNTS[ROW], 1.0) ** -smoothing)
  chance = np.zeros(8)
  for order in itertools.permutations(range(1, 7), masked):
    probability, left = 1.0, share.sum()
    for position in order:
      probability *= share[position] / left
      left -= share[position]
    chance[list(order)] += probability
  return chance


@pytest.mark.parametrize('smoothing', [0.0, 0.7, 2.0])
@pytest.mark.parametrize('masked', [1, 3])
def test_tokens_are_masked_by_their_count_to_a_power(smoothing, masked):
  """Within four standard errors of the exact chance; specials never."""
  rows = 20_000
  found, chance = drawn(smoothing, masked / 8, rows), expected(smoothing, masked)
  error = np.sqrt(chance * (1 - chance) / rows)
  assert (np.abs(found - chance) <= 4 * error + 1e-9).all(), (found, chance)
  assert found[0] == found[-1] == 0 and np.isclose(found.sum(), masked)


def test_counts_are_those_of_the_training_documents_and_are_kept(corpus):
  prepared = build_experiment(config_of(corpus, 'teacher', **{'mlm.smoothing': 0.7})).prepared
  tokenizer, counted = prepared.tokenizer, Counter()
  texts = [text for text in corpus.read_text().split('\n\n') if text.strip()]
  for text in texts:
    if documents.position(text.strip()) >= 0.1:
      for line in text.strip().splitlines():
        counted.update(tokenizer.encode([line])[0].tolist())
  expected = np.zeros(tokenizer.size, int)
  expected[list(counted)] = list(counted.values())
  np.testing.assert_array_equal(prepared.count_tokens(), expected)
  kept = prepared.tokens.with_name(f'{prepared.tokens.name}-counts')
  assert kept.is_dir()
  assert prepared.count_tokens().sum() == prepared.report['train']['tokens']


@pytest.mark.parametrize(
  'changes', [{'mlm.unit': 'word'}, {'mlm.unit': 'span'}, {'mlm.smoothing': -0.1}]
)
def test_counts_are_for_single_tokens(corpus, changes):
  with pytest.raises(ConfigError, match='mlm.smoothing'):
    config_of(corpus, 'teacher', **{'mlm.smoothing': 0.7} | changes)
