"""The pages of docs/ that are programs, lists or settings do what they say."""

import ast
import re
import shutil
import subprocess

import pytest
from test_convert import random_weights
from test_readme import FOLDERS, HISTORY, ROOT, commands, text
import yaml

from interop.families import FAMILIES
from training import load


@pytest.fixture
def a_run(tmp_path, monkeypatch):
  """A folder with a GPT as runs/gpt, to be in."""
  load.save(random_weights('gpt2'), tmp_path / 'runs/gpt')
  monkeypatch.chdir(tmp_path)
  return tmp_path


def test_the_api_page_runs_from_top_to_bottom(a_run, capsys):
  blocks = re.findall(r'```python\n(.*?)```', text('docs/api.md'), re.DOTALL)
  names = {}
  for block in blocks:
    exec(compile(block, 'docs/api.md', 'exec'), names)  # noqa: S102
  said = capsys.readouterr().out
  assert len(blocks) == 5 and 'causal' in said
  T = len(names['ids']) + 1
  assert names['hidden_1xTxD'].shape == (1, T, names['model'].config.width)
  assert names['maps'].weight_LxHxTxT.shape[2:] == (T, T)


@pytest.mark.parametrize('name, last', [('gpt2', 'text'), ('bert', 'a vector')])
def test_a_model_is_used_in_twenty_lines(name, last, a_run, monkeypatch, capsys):
  load.save(random_weights(name), a_run / 'model')
  monkeypatch.syspath_prepend(str(ROOT / 'examples'))
  use_a_model = __import__('use_a_model')
  use_a_model.main('model', 'the old river')
  lines = capsys.readouterr().out.splitlines()
  end = ['[SEP]'] if name == 'bert' else []
  assert lines[0] == f'tokens {["[CLS]", "the", "old", "river", *end]}'
  assert lines[1].endswith(f'{(2, 4, 4 + len(end), 4 + len(end))}')
  assert lines[-1].startswith(last)


def test_the_pages_of_weights_name_families_that_load():
  kinds = re.findall(r'^\| `([\w-]+)` \| `', text('docs/weights.md'), re.MULTILINE)
  assert len(kinds) == 14 and set(kinds) <= set(FAMILIES)


def said() -> str:
  """Every string of the product, a line each."""
  folders = [ROOT / name for name in FOLDERS if name not in ('docs', 'tests')]
  files = [
    ROOT / 'train.py',
    ROOT / 'eval.py',
    *(f for folder in folders for f in folder.rglob('*.py')),
  ]
  nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
  words = [node.value for node in nodes if isinstance(node, ast.Constant)]
  return '\n'.join(word for word in words if isinstance(word, str))


def test_every_message_of_the_troubleshooting_page_is_said_somewhere():
  rows = [line for line in text('docs/troubleshooting.md').splitlines() if line.startswith('| ')]
  symptoms = [line.split('|')[1] for line in rows]
  quoted = [words for symptom in symptoms for words in re.findall(r'"([^"]+)"', symptom)]
  known = said()
  assert len(quoted) > 10 and [words for words in quoted if words not in known] == []


ELSEWHERE = ('docs/', 'gs:', 'shared/')  # tracked, a bucket, a disk of several nodes


def made() -> set[str]:
  """What the commands of all pages write here."""
  flag = re.compile(r'--(?:to|out|workdir|task_data|input|local-dir)=([\w./:-]+)')
  lines = [line for page, line in commands() if page not in HISTORY]
  found = {path for line in lines for path in flag.findall(line)}
  return {path for path in found if path.islower() and not path.startswith(ELSEWHERE)}


@pytest.mark.skipif(shutil.which('git') is None, reason='no git here')
def test_git_ignores_what_the_pages_make_a_reader_write(tmp_path):
  subprocess.run(['git', 'init', '-q', tmp_path], check=True)
  shutil.copy(ROOT / '.gitignore', tmp_path)
  assert {'map.html', 'lines.txt', 'runs/gpt'} <= made()
  written = [path if '.' in path else f'{path}/x' for path in sorted(made())]
  done = subprocess.run(
    ['git', '-C', tmp_path, 'check-ignore', *written], capture_output=True, text=True
  )
  assert set(done.stdout.split()) == set(written)


def test_the_citation_is_of_this_version():
  citation = yaml.safe_load(text('CITATION.cff'))
  setup = text('setup.cfg')
  assert citation['version'] == re.search(r'^version = (.*)$', setup, re.MULTILINE)[1]
  assert citation['license'] == re.search(r'^license = (.*)$', setup, re.MULTILINE)[1]
  assert {'cff-version', 'message', 'title', 'authors'} <= citation.keys()
