"""What each released version left works: its run resumes to the same bits, its models load.

tests/released/COMMIT.zip was made at that commit by tests/keep_release.py, which says what is in
it; 05202d7.zip by hand, before there was that script.
"""

import json
from pathlib import Path
import subprocess
import sys
import zipfile

import keep_release
import numpy as np
import pytest
import runs

from models.network import by_path
from runtime import workdir
from training import load

RELEASED = sorted(keep_release.RELEASED.glob('*.zip'))
# of 05202d7; later ones have them in fields.json
FIELDS = {
  'data.corpus': 'text:corpus.txt',
  'data.cache': 'cache',
  'batch_size': 8,
  'data.sequence_length': 32,
  'data.validation_share': 0.1,
  'data.max_unknown_share': 1.0,
  'model.vocab_size': 300,
  'model.layers': 2,
  'model.width': 32,
  'model.heads': 2,
  'model.feed_forward': 64,
  'model.max_length': 32,
  'model.dropout': 0,
  'model.attention_dropout': 0,
  'optimizer.warmup_steps': 4,
  'optimizer.learning_rate': '1e-3',
  'optimizer.schedule': 'constant',
  'validation.every': 4,
  'checkpoint.every': 4,
  'checkpoint.keep': 1,
  'validation.batch_size': 8,
  'log.tensorboard': False,
  'steps': 12,
}


@pytest.fixture(scope='module', params=RELEASED, ids=lambda path: path.stem)
def before(tmp_path_factory, request) -> Path:
  folder = tmp_path_factory.mktemp('before')
  with zipfile.ZipFile(request.param) as archive:
    archive.extractall(folder)
  return folder


def test_a_run_resumes_to_the_numbers_that_it_would_have_had(before):
  expected = {
    row['step']: row for row in json.loads((before / 'expected.json').read_text())['rows']
  }
  fields = before / 'fields.json'
  fields = json.loads(fields.read_text()) if fields.exists() else FIELDS
  done = subprocess.run(
    [
      sys.executable,
      *keep_release.train_command(
        'bert_tiny', 'run', fields | dict(steps=12), '--allow_change=steps'
      ),
    ],
    cwd=before,
    env=runs.environment() | dict(PYTHONPATH=str(keep_release.ROOT)),
    text=True,
    capture_output=True,
    timeout=600,
  )
  assert done.returncode == 0, done.stderr
  assert 'at step 8 of 12' in done.stdout
  found = {row['step']: row for row in runs.rows(before / 'run')}
  assert sorted(found) == sorted(expected) == list(range(13))
  for step, row in expected.items():
    for name, value in row.items():
      if isinstance(value, float):
        # Equal to the bit on the machine that made them; another one sums in another order.
        assert found[step][name] == pytest.approx(value, rel=2e-4), (step, name)
      else:
        assert found[step][name] == value, (step, name)


def test_its_config_is_read_in_todays_words(before):
  config = workdir.read_config(before / 'import')
  assert config.init_from == '' and config.mlm.fixed_maskings == 0


def test_an_old_release_has_knobs_that_are_called_otherwise_now():
  with zipfile.ZipFile(keep_release.RELEASED / '05202d7.zip') as archive:
    said = json.loads(archive.read('import/config.json'))
  assert 'start_from' in said and 'static' in said['mlm']


def test_an_import_and_an_export_load_and_are_one_model(before):
  imported, exported = (load.load(before / name) for name in ('import', 'export'))
  assert imported.heads == exported.heads == ('clm',) and imported.mask == 'causal'
  assert imported.add_bos and imported.tokenizer.sha256 == exported.tokenizer.sha256
  ours, theirs = by_path(imported.params), by_path(exported.params)
  assert ours.keys() == theirs.keys()
  for path in ours:
    np.testing.assert_array_equal(ours[path], theirs[path])
