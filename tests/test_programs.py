"""The programs are found by their names, and a flag of one meaning has one name in all of them."""

import configparser
import importlib
from pathlib import Path
import subprocess
import sys

import pytest

from tools import __main__ as tools

ROOT = Path(__file__).resolve().parents[1]


def call(*words: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, '-m', *words], cwd=ROOT, capture_output=True, text=True, timeout=60
  )


def test_every_program_is_listed_once():
  files = [path.stem for path in (ROOT / 'tools').glob('*.py') if not path.stem.startswith('__')]
  packages = [path.parent.name for path in (ROOT / 'tools').glob('*/__main__.py')]
  assert sorted(tools.PROGRAMS) == sorted([*files, *packages, 'train', 'eval'])


def test_the_list_has_a_line_of_words_for_each_program_and_imports_none():
  result = call('tools')
  assert result.returncode == 0
  for name in tools.PROGRAMS:
    [line] = [line for line in result.stdout.splitlines() if line.split()[:1] == [name]]
    assert len(line.split()) > 2, line
  code = 'import sys, tools.__main__ as t; t.listing(); sys.exit("absl" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.parametrize('wrong, right', [('atention', 'attention'), ('trian', 'train')])
def test_a_misspelt_program_is_answered_by_the_nearest(wrong, right):
  result = call('tools', wrong)
  assert result.returncode == 2 and result.stdout == '' and result.stderr.count('\n') == 1
  assert f'no program {wrong}. Did you mean {right}?' in result.stderr


def test_the_console_command_is_the_list():
  setup = configparser.ConfigParser()
  setup.read(ROOT / 'setup.cfg')
  name, _, target = setup['options.entry_points']['console_scripts'].strip().partition(' = ')
  module, _, function = target.partition(':')
  assert name == 'onemask' and getattr(importlib.import_module(module), function) is tools.main


@pytest.mark.parametrize('name', ['train', 'embed', 'report'])
def test_a_program_runs_by_its_name(name):
  by_name, as_module = call('tools', name, '--help'), call(tools.module_of(name), '--help')
  assert by_name.returncode == as_module.returncode == 0
  assert '--' in by_name.stdout and by_name.stdout == as_module.stdout


@pytest.mark.parametrize('name, old', [('batch', 'run'), ('bounds', 'runs'), ('report', 'sweep')])
def test_an_old_flag_names_the_new_one(name, old):
  result = call(f'tools.{name}', f'--{old}=runs/mine')
  assert result.returncode == 2 and result.stderr.count('\n') == 1
  assert f'there is no flag --{old} any more: it is --weights now' in result.stderr


@pytest.mark.parametrize(
  'name, arguments',
  [
    ('batch', ['--weights={}', '--step=3']),
    ('batch', ['--workdir={}', '--step=3']),
    ('batch', ['{}', '--step=3']),
    ('bounds', ['{}']),
    ('report', ['{}']),
  ],
)
def test_a_run_is_named_by_either_flag_or_by_none(name, arguments, tmp_path):
  result = call(f'tools.{name}', *(argument.format(tmp_path) for argument in arguments))
  assert result.returncode == 3 and str(tmp_path) in result.stderr, result.stderr


def test_eval_takes_weights_as_every_other_program_does(tmp_path):
  for flag in ('--weights', '--workdir'):
    result = call('eval', f'{flag}={tmp_path}')
    assert result.returncode == 3 and 'holds no run' in result.stderr
