"""The examples are complete runs that do what they say."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*args: str) -> str:
  env = dict(os.environ, JAX_PLATFORMS='cpu', PYTHONPATH=str(ROOT))
  done = subprocess.run(
    [sys.executable, *args], cwd=ROOT, env=env, text=True, capture_output=True, timeout=600
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_one_mask_shows_what_a_change_reaches():
  said = run('examples/one_mask.py')
  assert 'another word: [0, 1, 2]' in said and 'another word: [1, 2]' in said


@pytest.mark.parametrize('mask, bound', [('causal', 0.1), ('bidirectional', 2.5)])
def test_sixty_lines_learn_to_count(mask, bound):
  losses = [
    float(line.split()[3]) for line in run('examples/train_in_60_lines.py', mask).splitlines()
  ]
  assert losses[0] > 3.9 and losses[-1] < bound  # log 63 = 4.14 nats for who knows nothing


@pytest.mark.parametrize(
  'args',
  [['use_a_model.py'], ['finetune.py', 'runs/mine', 'many'], ['train_in_60_lines.py', 'dual']],
)
def test_a_wrong_argument_is_one_of_usage(args):
  env = dict(os.environ, JAX_PLATFORMS='cpu', PYTHONPATH=str(ROOT))
  command = [sys.executable, f'examples/{args[0]}', *args[1:]]
  done = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, timeout=600)
  assert done.returncode == 2 and done.stderr.startswith('usage: '), done.stderr


def test_no_example_is_long():
  for path in (ROOT / 'examples').glob('*.py'):
    assert len(path.read_text().splitlines()) <= 80, path
