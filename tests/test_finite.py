"""Weights and results that are not finite end every program with exit code 5, and are not kept."""

import json
import math
from pathlib import Path
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import runs
from safetensors.numpy import load_file, save_file

from inference import model as models
from models.network import by_path, from_paths
from runtime import finite, records
from runtime.errors import NumericalError
from training import load

ROOT = Path(__file__).resolve().parents[1]
VALUES = (math.nan, math.inf, -math.inf)


@pytest.fixture(scope='module')
def before(tmp_path_factory) -> Path:
  folder = tmp_path_factory.mktemp('before')
  with zipfile.ZipFile(ROOT / 'tests/released/05202d7.zip') as archive:
    archive.extractall(folder)
  return folder


def poisoned(source: Path, folder: Path, value: float) -> Path:
  """A copy of a model with one weight changed."""
  shutil.copytree(source, folder)
  path = folder / 'model.safetensors'
  tensors = {name: np.array(x) for name, x in load_file(path).items()}
  name = sorted(name for name in tensors if name.endswith(('kernel', 'weight')))[0]
  tensors[name].reshape(-1)[3] = value
  save_file(tensors, path, metadata=dict(format='pt'))
  return folder


@pytest.mark.parametrize('value', VALUES)
@pytest.mark.parametrize('kind', ['import', 'export'])
def test_one_weight_that_is_not_finite_is_refused_by_its_name(kind, value, before, tmp_path):
  folder = poisoned(before / kind, tmp_path / kind, value)
  with pytest.raises(NumericalError, match='weights .* are not finite') as refused:
    load.load(folder)
  assert refused.value.exit_code == 5 and str(folder) in str(refused.value)
  assert load.load(before / kind).heads == ('clm',)


# The command that loads a model, of every program that does; {0} is the model, {1} a new folder.
PROGRAMS = {
  'convert': '-m tools.convert --from={0} --to={1}',
  'export': '-m tools.convert --export=hf --workdir={0} --to={1}',
  'eval': 'eval.py --workdir={0} --tasks=likelihood --task_data={3}',
  'generate': '-m tools.generate --weights={0} --prompt=a',
  'embed': '-m tools.embed --weights={0} --input={2} --output={1}.npy',
  'attention': '-m tools.attention --weights={0} --text=a --out={1}.html',
  'finetune': '-m tools.finetune {0} --tasks=sst2 --task_data={3} --finetune_mask=same',
  'poolings': '-m tools.poolings {0} --tasks=mean --task_data={3}',
}


@pytest.mark.slow
@pytest.mark.parametrize('program', PROGRAMS)
def test_every_program_ends_with_5_and_leaves_nothing(program, before, tmp_path):
  folder = poisoned(before / 'export', tmp_path / 'model', math.nan)
  (tmp_path / 'lines.txt').write_text('one\n')
  for task in ('sst2', 'likelihood', 'sts'):
    (tmp_path / 'tasks' / task).mkdir(parents=True)
  for split in ('train', 'dev', 'test'):
    rows = ''.join(f'{n % 2} a {"good" if n % 2 else "bad"} film\n' for n in range(8))
    (tmp_path / f'tasks/sst2/{split}.txt').write_text(rows)
  (tmp_path / 'tasks/likelihood/text.txt').write_text('one\n')
  (tmp_path / 'tasks/sts/2013.a.test.tsv').write_text('1\tone\ttwo\n0\tone\tfilm\n')
  places = [folder, tmp_path / 'out', tmp_path / 'lines.txt', tmp_path / 'tasks']
  done = subprocess.run(
    [sys.executable, *PROGRAMS[program].format(*places).split()],
    cwd=ROOT,
    env=runs.environment() | dict(PYTHONPATH=str(ROOT)),
    text=True,
    capture_output=True,
    timeout=600,
  )
  assert done.returncode == 5, done.stderr
  assert 'not finite' in done.stderr and 'Traceback' not in done.stderr
  assert not list(tmp_path.glob('out*')) and not (folder / 'evaluations.json').exists()


def test_weights_that_overflow_are_refused_where_they_are_used(before):
  """Every weight is finite, and no number that is made of them is."""
  from evaluation import likelihood
  from inference.attention_maps import attention_maps
  from inference.embed import Embedder
  from inference.generate import Generator
  from inference.sampling import Sampling

  model = load.load(before / 'import')
  large = {path: np.asarray(x) * np.float32(1e30) for path, x in by_path(model.params).items()}
  finite.check_weights(large, 'these')
  model = model._replace(params=from_paths(large))
  assert isinstance(model, models.Model)
  text = model.tokenizer.encode(['a few words of text'])
  uses = dict(
    nats=lambda: likelihood.scorer_of(model, 'causal')(text),
    vectors=lambda: Embedder(model)(['a few words of text']),
    attention=lambda: attention_maps(model, 'a few words of text'),
    probabilities=lambda: Generator(model, Sampling(), seed=0).write(['a few'], 3),
  )
  for what, use in uses.items():
    with pytest.raises(NumericalError, match=f'the {what} of .* not finite'):
      use()


@pytest.mark.parametrize('value', VALUES)
def test_a_result_that_is_not_finite_is_not_kept(value, tmp_path):
  records.note_evaluations(tmp_path, dict(a=dict(value=0.5)))
  with pytest.raises(NumericalError, match='the value of b'):
    records.note_evaluations(tmp_path, dict(b=dict(value=value)))
  assert json.loads((tmp_path / 'evaluations.json').read_text()) == dict(a=dict(value=0.5))
