"""To add a thing, touch one file: dropped into a copy of the tree, it trains and is scored.

Holds the table of README.md and CONTRIBUTING.md.
"""

import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest
import runs

ROOT = Path(__file__).resolve().parents[1]
ROOMS = sorted(path.parent.name for path in ROOT.glob('*/__init__.py'))

OBJECTIVE = '''
"""How many tokens a row has, as one of eight classes: a stand-in for an objective of one's own."""

import math

import jax.numpy as jnp

from objectives.term import Term, cross_entropy

HEADS = ('length',)
ROWS = 'packed'
PREDICTS = 'rows'
UNITS = dict(loss='nats a row, of lengths', accuracy='of lengths', longest='tokens')
CHANCE = math.log(8)


def predictions(T, masking, progress, *, prefix):
  return 0


def prepare(key_B, batch, setup):
  return batch


def weight(batch):
  return (batch['segment'][:, 0] > 0).sum()


def terms(outputs, batch, setup):
  length_B = (batch['segment'] > 0).sum(axis=1)
  class_B = jnp.minimum(length_B * 8 // batch['segment'].shape[1], 7)
  weight_B = (length_B > 0).astype(jnp.float32)
  return cross_entropy(outputs['length'][:, None], class_B[:, None], weight_B[:, None])


def scores(outputs, batch, setup):
  length_B = (batch['segment'] > 0).sum(axis=1)
  own = dict(longest=Term(length_B.sum(), (length_B > 0).sum()))
  return terms(outputs, batch, setup) | own
'''

# file: (what stands there, what stands there then)
EDITS = {
  'models/heads.py': (
    'HEADS = dict(\n',
    '''class LengthHead(nn.Module):
  """Eight classes from the first token."""

  config: ModelConfig

  @nn.compact
  def __call__(self, hidden_Bx1xD, batch, token_VxE):
    shape = (self.config.width, 8)
    return Linear(self.config, 'D', 'C', shape, name='classifier')(hidden_Bx1xD)[:, 0]


HEADS = dict(
  length=Head(LengthHead, _first, _one, head_costs.row_products),
''',
  ),
  'models/layers.py': (
    '  relu=jax.nn.relu,\n',
    '  softsign=lambda x: x / (1 + jnp.abs(x)),\n  relu=jax.nn.relu,\n',
  ),
  'models/positions.py': (
    'POSITIONS = dict(\n',
    '''def ramp(length: int, width: int) -> np.ndarray:
  """A fixed table that rises along the row."""
  return np.tile(np.linspace(-1, 1, length, dtype=np.float32)[:, None], (1, width))


POSITIONS = dict(
  ramp=Positions(table=ramp),
''',
  ),
  'models/masks.py': (
    'KINDS = dict(\n',
    """KINDS = dict(
  near=Kind(lambda query, key, prefix: abs(query - key) <= 1, window=(1, 1)),
""",
  ),
}

NORM = (
  'NORMS = dict(',
  '''def l1_normalise(x: jax.Array, epsilon: float) -> jax.Array:
  """`x` over the mean of its absolute values along the last axis."""
  return x / (jnp.abs(x).mean(axis=-1, keepdims=True) + epsilon)


NORMS = dict(l1=NormKind(l1_normalise, bias=False), ''',
)

TASK = '''
"""Is a word among those of a river?"""

from data.tasks.files import Example, lines

KIND = 'text'
CLASSES = ('no', 'yes')
FILES = dict(train=('train.txt',), test=('test.txt',))


def read(path):
  for _, line in lines(path):
    label, _, text = line.partition(' ')
    yield Example((text,), int(label))
'''


@pytest.fixture(scope='module')
def tree(tmp_path_factory) -> Path:
  """A copy of the code with a thing of each kind dropped in, and nothing else changed."""
  copy = tmp_path_factory.mktemp('copy')
  for room in ROOMS:
    shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns('__pycache__'))
  for program in ('train.py', 'eval.py'):
    shutil.copy(ROOT / program, copy)
  (copy / 'objectives/length.py').write_text(OBJECTIVE)
  (copy / 'data/tasks/river.py').write_text(TASK)
  for file, (before, after) in [*EDITS.items(), ('models/layers.py', NORM)]:
    text = (copy / file).read_text()
    assert text.count(before) == 1, file
    (copy / file).write_text(text.replace(before, after))
  runs.corpus(copy)
  return copy


def python(tree: Path, *args: str) -> str:
  env = runs.environment() | dict(PYTHONPATH=str(tree))
  done = subprocess.run(
    [sys.executable, *args], cwd=tree, env=env, text=True, capture_output=True, timeout=600
  )
  assert done.returncode == 0, done.stderr + done.stdout
  return done.stdout


def train(tree: Path, workdir: str, **changes) -> dict:
  """The result of three steps."""
  fields = runs.TINY | {'steps': 3, 'optimizer.warmup_steps': 1, 'data.cache': 'cache'}
  fields |= {'data.corpus': 'text:corpus.txt', 'validation.every': 3, 'checkpoint.every': 3}
  named = [f'--config.{name}={value}' for name, value in (fields | changes).items()]
  python(tree, 'train.py', '--config=configs/bert_tiny.py', f'--workdir={workdir}', *named)
  return json.loads((tree / workdir / 'result.json').read_text())


@pytest.fixture(scope='module')
def own(tree) -> dict:
  """The result of a run in the folder `own`: the objective with a head of its own, beside MLM."""
  return train(tree, 'own', objectives="{'length': 1.0, 'mlm': 1.0}")


def test_an_objective_with_a_head_of_its_own_trains_is_scored_and_says_its_unit(tree, own):
  result = own
  assert 0 < result['validation']['length_loss'] < 5
  assert 'length_perplexity' not in result['validation']
  said = python(tree, 'eval.py', '--workdir=own')
  assert 'nats a row, of lengths' in said and 'nats a masked token' in said
  assert 1 < result['validation']['length_longest'] <= 32
  assert re.search(r'length_longest +[\d.]+ +tokens', said)


def test_values_of_four_tables_train(tree):
  changes = {
    'model.activation': 'softsign',
    'model.norm': 'l1',
    'model.positions': 'ramp',
    'mask': 'near',  # and the network is held to its rule before the run
  }
  result = train(tree, 'values', objectives="{'mlm': 1.0}", **changes)
  assert result['step'] == 3 and result['validation']['mlm_loss'] < 10
  kept = json.loads((tree / 'values/config.json').read_text())
  model = {name: kept['model'][name] for name in ('activation', 'norm', 'positions')}
  assert model == dict(activation='softsign', norm='l1', positions='ramp')
  assert kept['mask'] == 'near'


def test_a_labelled_task_is_fine_tuned_on(tree, own):
  folder = tree / 'tasks/river'
  folder.mkdir(parents=True)
  lines = [f'{number % 2} the {"river" if number % 2 else "boat"} was deep' for number in range(40)]
  (folder / 'train.txt').write_text('\n'.join(lines[:30]) + '\n')
  (folder / 'test.txt').write_text('\n'.join(lines[30:]) + '\n')
  said = python(
    tree, '-m', 'tools.finetune', 'own', '--tasks=river', '--task_data=tasks',
    '--finetune_mask=same', '--steps=3', '--seeds=2', '--json',
  )  # fmt: skip
  found = json.loads(said)['finetune_river']
  assert found['unit'] == 'accuracy' and len(found['values']) == 2 and found['steps'] == 3


def test_a_misspelt_name_is_told_what_there_is(tree):
  env = runs.environment() | dict(PYTHONPATH=str(tree))
  done = subprocess.run(
    [
      sys.executable,
      'train.py',
      '--config=configs/bert_tiny.py',
      '--config.model.activation=softsine',
    ],
    cwd=tree,
    env=env,
    text=True,
    capture_output=True,
    timeout=600,
  )
  assert done.returncode == 2 and 'softsign' in done.stderr


def test_the_environment_of_these_tests_sees_the_copy(tree):
  said = python(tree, '-c', 'import objectives, os; print(os.path.dirname(objectives.__file__))')
  assert Path(said.strip()) == tree / 'objectives' and os.path.isdir(tree)
