"""The pages: what they tell a reader to run or to open is there."""

import ast
import importlib
from pathlib import Path
import re
import shlex
import subprocess

import pytest

from configs.schema import check

ROOT = Path(__file__).parents[1]
PAGES = (
  'README.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  *(f'docs/{path.name}' for path in sorted((ROOT / 'docs').glob('*.md'))),
)
FOLDERS = (
  'claims',
  'configs',
  'data',
  'docs',
  'examples',
  'evaluation',
  'inference',
  'interop',
  'launch',
  'models',
  'objectives',
  'parallel',
  'runtime',
  'tests',
  'tools',
  'training',
)
HISTORY = ('docs/LOG.md', 'CHANGELOG.md')  # they name things as they were
NEWCOMERS = ('lines.txt',)  # files that a reader writes
SPAN = r'`((?:\.venv/bin/)?python [^`\n]+)`'  # a command within a sentence
A_RUN_LEAVES = (
  'config.json',
  'metrics.jsonl',
  'merges.txt',
  'tokenizer.json',
  'curves.png',
  'labels.png',
  'learning_curve.png',
  'result.json',
  'vocab.txt',
  'evaluations.json',
  'certificate.json',
)


def text(page: str) -> str:
  return (ROOT / page).read_text()


def commands() -> list[tuple[str, str]]:
  """(page, command) of every line of every bash block."""
  return [
    (page, line)
    for page in PAGES
    for block in re.findall(r'^```bash\n(.*?)^```', text(page), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
  ]


def programs() -> list[tuple[str, list[str]]]:
  """(program, its arguments) of every call of ours: train.py, eval.py and `-m tools.NAME`."""
  spans = [span for page in PAGES for span in re.findall(SPAN, text(page))]
  found = []
  for line in [line for _, line in commands()] + spans:
    for part in line.split('&&'):
      words = shlex.split(part)
      for place, word in enumerate(words):
        if word in ('train.py', 'eval.py'):
          found.append((word, words[place + 1 :]))
        elif (
          word == '-m'
          and words[place + 1].startswith('tools.')
          and words[place + 1] != 'tools.NAME'
        ):
          found.append((words[place + 1], words[place + 2 :]))
  return found


@pytest.mark.parametrize('page, command', commands())
def test_every_command_parses_as_shell(page, command):
  subprocess.run(['bash', '-n', '-c', command], check=True, capture_output=True)


def test_both_commands_stand_on_python_alone():
  lines = [line for page, line in commands() if page == 'README.md']
  setups = [line for line in lines if line.startswith('python3 -m venv')]
  assert len(setups) == 2
  for line in setups:
    assert '-c constraints.txt' in line
    programs_run = [part.split()[0] for part in line.split('&&')]
    assert programs_run == ['python3', '.venv/bin/pip', '.venv/bin/python']


def test_extras_that_are_named_exist():
  setup = text('setup.cfg')
  for name in re.findall(r'\.\[(\w+)\]', text('README.md')):
    assert re.search(rf'^{name} =$', setup, re.MULTILINE), name


def source_of(program: str) -> str:
  """The file of a program: train.py, tools.X as tools/X.py or tools/X/__main__.py."""
  if not program.startswith('tools.'):
    return program
  path = program.replace('.', '/')
  return f'{path}/__main__.py' if (ROOT / path).is_dir() else f'{path}.py'


def flags_in(source: str) -> set[str]:
  """Flags that a source defines by itself."""
  absl = re.findall(r"""DEFINE_\w+\(\s*'(\w+)\'""", source)
  return {*absl, *re.findall(r"add_argument\('--([\w-]+)'", source)}


def shared_flags() -> dict[str, set[str]]:
  """The flags of each `cli.define_*`, by its name."""
  source = text('runtime/cli.py')
  functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
  defining = [node for node in functions if node.name.startswith('define_')]
  return {node.name: flags_in(ast.get_source_segment(source, node)) for node in defining}


def defined_flags(program: str) -> set[str]:
  """Flags of a program: its own, those of the `cli.define_*` that it calls, and --debug."""
  source = text(source_of(program))
  found = flags_in(source) | {'debug'}
  for name in re.findall(r'cli\.(define_\w+)\(', source):
    found |= shared_flags()[name]
  return found


def choices(program: str) -> dict[str, list[str]]:
  """The values of each flag of a program that takes one of a list."""
  found = {}
  for node in ast.walk(ast.parse(text(source_of(program)))):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
      if node.func.attr == 'DEFINE_enum' and isinstance(node.args[2], ast.List):
        found[ast.literal_eval(node.args[0])] = ast.literal_eval(node.args[2])
  return found


def test_a_flag_belongs_to_the_programs_that_define_it():
  assert {'weights', 'workdir', 'step', 'json', 'text'} <= defined_flags('tools.attention')
  assert 'workdir' in defined_flags('train.py') and 'weights' not in defined_flags('train.py')


@pytest.mark.parametrize('program, arguments', programs())
def test_every_flag_that_is_named_exists(program, arguments):
  for argument in arguments:
    name = argument.removeprefix('--').partition('=')[0]
    if argument.startswith('--') and not name.startswith('config.'):
      names = {name, name.removeprefix('no')}  # --nospecial switches --special off
      assert names & defined_flags(program), f'{program} {argument}'


@pytest.mark.parametrize('program, arguments', programs())
def test_every_value_that_is_named_is_a_choice(program, arguments):
  for argument in arguments:
    name, _, value = argument.removeprefix('--').partition('=')
    assert value in choices(program).get(name, [value]), f'{program} {argument}'


@pytest.mark.parametrize('page, command', commands())
def test_every_file_of_ours_in_a_command_exists(page, command):
  for word in re.findall(r'[\w./-]+\.(?:py|sh|txt|sbatch)\b', command):
    ours = word.split('/')[0] in FOLDERS or '/' not in word.removeprefix('./')
    if ours and word not in NEWCOMERS and 'NAME' not in word:
      assert (ROOT / word).exists(), f'{page}: {word}'


@pytest.mark.parametrize('page', [page for page in PAGES if page not in HISTORY])
def test_every_knob_in_a_sentence_exists(page):
  known = check.flatten(importlib.import_module('configs.base').get_config())
  groups = {name.rpartition('.')[0] for name in known}
  for name in re.findall(r'--config\.([a-z_.]+[a-z_])', text(page)):
    assert name in known or name in groups or name.startswith(('objectives', 'mesh')), name


@pytest.mark.parametrize('program, arguments', programs())
def test_every_config_and_knob_that_is_named_exists(program, arguments):
  named = dict(argument.split('=', 1) for argument in arguments if argument.startswith('--config'))
  if named:
    file, _, argument = named.pop('--config').partition(':')
    module = importlib.import_module(file.removesuffix('.py').replace('/', '.'))
    known = check.flatten(module.get_config(argument))
    assert {name.removeprefix('--config.') for name in named} <= known.keys()


def paths() -> list[tuple[str, str]]:
  """Words in back quotes and targets of links that look like a file of the repository."""
  found = []
  for page in PAGES:
    if page in HISTORY:
      continue
    for word in re.findall(r'`([\w./-]+)`', text(page)) + re.findall(r'\]\(([^)]+)\)', text(page)):
      inside = word.split('/')[0] in FOLDERS
      if (inside and '/' in word) or re.search(r'\w\.(py|md|txt|cfg|toml|png)$', word):
        found.append((page, word))
  return found


@pytest.mark.parametrize('page, path', paths())
def test_every_path_exists(page, path):
  if path.startswith('PATH') or 'NAME' in path or path in A_RUN_LEAVES:
    return
  assert any((folder / path).exists() for folder in (ROOT, (ROOT / page).parent)), (
    f'{page} names {path}'
  )


def test_exit_codes_are_those_of_the_command_line():
  documented = set(re.findall(r'^\| (\d+) \|', text('README.md'), re.MULTILINE))
  said = importlib.import_module('runtime.cli').__doc__
  assert documented == set(re.findall(r'\b(\d+) (?=[a-z])', said)) and len(documented) == 8


def test_the_alphabet_is_whole():
  section = text('README.md').partition('## The alphabet')[2].partition('##')[0]
  assert set(re.findall(r'`([A-Z])` ', section)) == set('BTSPDEHGKFVCL')


@pytest.mark.parametrize('page', PAGES)
def test_lines_are_no_longer_than_a_reader_can_take(page):
  for line in text(page).splitlines():
    if not line.startswith(('|', '!', 'python3', 'beam/bin', '.venv/bin')):
      assert len(line) <= 130, f'{page}: {line}'


@pytest.mark.parametrize('page', PAGES)
def test_pages_name_nothing_outside_the_repository(page):
  assert not re.search(r'(?<![\w.])/(work|tmp|root|home)/|\.\./', text(page))
