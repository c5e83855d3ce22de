"""Every error is a clear line and a documented code, at once: before jax is imported."""

import os
from pathlib import Path
import subprocess
import sys

import jax_stub
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def before_jax(tmp_path_factory) -> dict[str, str]:
  """Variables of processes that end with another code if they import jax."""
  return jax_stub.environment(tmp_path_factory.mktemp('jax'))


def call(
  *args: str, program: str = 'train.py', env: dict | None = None
) -> subprocess.CompletedProcess:
  env = env or dict(os.environ, JAX_PLATFORMS='cpu')
  return subprocess.run(
    [sys.executable, program, *args], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600
  )


def refused(result: subprocess.CompletedProcess, code: int = 2) -> str:
  assert result.returncode == code, result
  assert 'Traceback' not in result.stderr and result.stdout == ''
  assert result.stderr.count('\n') == 1, result.stderr
  return result.stderr


BERT = '--config=configs/bert_tiny.py'


@pytest.mark.parametrize(
  'args, words',
  [
    ([BERT, '--config.modle.width=3'], "'modle.width'. Did you mean --config.model.width?"),
    ([BERT, '--config.model.widht=3'], "'model.widht'. Did you mean --config.model.width?"),
    ([BERT, '--config.stepps=3'], "'stepps'. Did you mean --config.steps?"),
    ([BERT, '--config.steps=many'], 'a whole number is needed, as in --config.steps=1500.'),
    ([BERT, '--config.steps=1.5'], 'a whole number'),
    ([BERT, '--config.steps=0'], 'config.steps=0: must be from 1'),
    (['--config.steps=0'], 'config.steps=0'),  # the default config is checked like any other
    ([BERT, '--config.model.heads=7'], '4 and 8 do'),
    ([BERT, '--config.mask=causal'], 'nsp'),
    ([BERT, '--config.objectives.clm=1.0'], '--config.objectives=clm'),
    ([BERT, "--config.objectives={'clm': 1.0}"], 'see'),
    (['--cofnig=configs/bert_tiny.py'], 'Did you mean --config?'),
    ([BERT, '--wokdir=x'], 'Did you mean --workdir?'),
    ([BERT, 'steps=3'], "'steps=3' is no flag"),
    (
      ['--config=configs/bert_tin.py'],
      'no config file configs/bert_tin.py. Did you mean configs/bert_tiny',
    ),
    (['--config=configs'], 'is a folder'),
    (['--config=README.md'], 'README.md is no config'),
    (['--config=configs/sweeps/smoke.py'], 'python -m tools.sweep configs/sweeps/smoke.py'),
    (['--config=configs/schema/names.py'], 'no function get_config()'),
    ([BERT, '--config.model={}'], 'config.model is a group of fields'),
    ([BERT, '--config.validation.rate=nan'], 'config.validation.rate'),
    (['--config=configs/bert_base.py:corpsu=x'], "'corpsu=x': expected corpus=NAME, mesh=NAME"),
    (
      ['--config=configs/bert_base.py:cell=causal+clm;corpus=text:a'],
      'with a comma between two',
    ),
    (
      ['--config=configs/bert_base.py,cell=causal+clm'],
      'as in --config=configs/bert_base.py:cell=causal+clm.',
    ),
    (['--config=configs/bert_base.py:cell=clm+causal'], 'A cell is MASK+OBJECTIVE'),
    (['--config=configs/bert_base.py:cell=causal,clm'], "'cell=causal': expected corpus=NAME"),
    ([BERT, '--config.objectives.mask=1.0'], "config.objectives: 'mask' is none of clm"),
    ([BERT, '--config.optimizer.lr=3'], 'Did you mean --config.optimizer.learning_rate?'),
    ([BERT, '--lr=3'], 'Did you mean --config.optimizer.learning_rate?'),
    ([BERT, '--config.steps=30'], 'is --config.optimizer.warmup_steps=3.'),
    (['--config='], 'config'),
  ],
)
def test_a_mistake_on_the_command_line_is_explained_before_jax_is_imported(args, words, before_jax):
  assert words in refused(call(*args, env=before_jax))


@pytest.mark.parametrize(
  'flag, code, words',
  [
    ('--config.data.corpus=wiki_lead', 4, 'did you mean wiki_leads?'),
    ('--config.data.corpus=text:no/such.txt', 4, 'text:no/such.txt: no such file or folder'),
    ('--config.data.tokenizer=no/vocab.txt', 4, "data.tokenizer='no/vocab.txt': no such file"),
    ('--config.init_from=no/run', 3, 'config.init_from=no/run: no such folder'),
    ('--config.init_from=docs', 3, 'config.init_from=docs is not the folder of a run'),
    ('--config.init_from=ftp://run', 2, 'config.init_from=ftp://run: ftp:// is no store'),
  ],
)
def test_what_is_not_there_is_said_before_jax_and_before_a_folder_is_made(
  flag, code, words, tmp_path, before_jax
):
  result = call(BERT, flag, f'--workdir={tmp_path}/run', env=before_jax)
  assert words in refused(result, code) and not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  'body, words',
  [
    ('config.modle = 3', "config.py:4: config has no field 'modle'. Did you mean 'model'?"),
    ('config.steps = "many"', 'config.py:4: '),
    ('config.steps = nonsense', "config.py:4: name 'nonsense' is not defined"),
    ('config.mlm = dict(rate=0.2, maskd=0.8)', 'Did you mean config.mlm.masked?'),
    ('config.mlm = dict(rate=0.2)', 'config.mlm.final_rate is missing'),
    ('config.unlock().stepps = 3', 'Did you mean config.steps?'),
  ],
)
def test_a_mistake_in_a_config_file_is_explained_with_its_line(body, words, tmp_path, before_jax):
  path = tmp_path / 'config.py'
  path.write_text(
    f'from configs import base\ndef get_config():\n  config = base.get_config()\n  {body}\n'
    '  return config\n'
  )
  assert words in refused(call(f'--config={path}', env=before_jax))


@pytest.mark.parametrize(
  'content, args, code, words',
  [
    (None, [], 2, '--workdir=DIR is missing'),
    (None, ['--workdir={folder}'], 3, 'holds no run'),
    ('{"steps": ', ['--workdir={folder}'], 3, 'config.json is damaged'),
    ('{"steps": 3}', ['--workdir={folder}'], 2, 'is missing'),
    (None, ['--workdir={folder}', '--step=last'], 2, '--step=last: a whole number'),
  ],
)
def test_eval_says_what_is_wrong_with_a_folder(content, args, code, words, tmp_path):
  if content:
    (tmp_path / 'config.json').write_text(content)
  flags = [arg.format(folder=tmp_path) for arg in args]
  assert words in refused(call(*flags, program='eval.py'), code)


def test_a_device_that_is_not_there_is_an_error_of_the_environment(tmp_path):
  # Whatever the machine has, it has no device of this platform: no plugin of this name exists.
  env = dict(os.environ, JAX_PLATFORMS='abacus')
  result = subprocess.run(
    [sys.executable, 'train.py', BERT, f'--workdir={tmp_path}/run'],
    cwd=ROOT,
    env=env,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert result.returncode == 6 and 'Traceback' not in result.stderr, result.stderr
  assert (
    'no device of platform abacus' in result.stderr and '--config.platform=cpu' in result.stderr
  )


def test_nothing_of_the_command_line_imports_jax():
  code = 'import sys, train; sys.exit("jax" in sys.modules or "matplotlib" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, timeout=600).returncode == 0


def test_help_names_the_flags_and_ends_well(before_jax):
  result = call('--help', env=before_jax)
  assert result.returncode == 0
  assert all(
    flag in result.stdout for flag in ('--config', '--workdir', '--restart', '--allow_change')
  )


@pytest.mark.parametrize(
  'raises, code, words',
  [
    ('check.ConfigError("no such thing")', 2, 'no such thing'),
    ('errors.StateError("in use")', 3, 'in use'),
    ('DataError("no text")', 4, 'no text'),
    ('errors.NumericalError("line 1\\nline 2")', 5, 'line 1\nline 2'),
    ('errors.Preempted("stopped")', 143, 'stopped'),
    ('OSError(28, "No space left", "/disk")', 6, 'No space left: /disk'),
    ('OSError("offline")', 6, 'offline'),
    ('KeyboardInterrupt()', 130, 'interrupted'),
  ],
)
def test_an_error_of_a_program_has_its_documented_code_and_no_traceback(
  raises, code, words, tmp_path
):
  result = program(f'raise {raises}', tmp_path)
  assert result.returncode == code and words in result.stderr and 'Traceback' not in result.stderr
  if code != 130:
    assert 'Traceback' in program(f'raise {raises}', tmp_path, '--debug').stderr


@pytest.mark.parametrize('encoding', ['ascii', 'utf-8:strict', 'latin-1'])
def test_what_a_terminal_cannot_write_is_an_escape(tmp_path, encoding):
  program = tmp_path / 'program.py'
  program.write_text(
    'from runtime import cli\nfrom runtime.console import Console\ndef main():\n'
    "  Console().table('\\u65e5', {'[b] \\udcff': '\\u65e5'})\n  print('\\u65e5 \\udcff')\n"
    'cli.run(main)\n'
  )
  env = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING=encoding, PYTHONUTF8='0')
  done = subprocess.run([sys.executable, program], env=env, capture_output=True, timeout=600)
  assert done.returncode == 0, done.stderr
  words = '\u65e5' if encoding.startswith('utf') else '\\u65e5'
  lines = done.stdout.decode().splitlines()
  assert [line.split() for line in lines] == [
    [words],
    ['[b]', '\\udcff', words],
    [words, '\\udcff'],
  ]


def test_a_bug_of_ours_keeps_its_traceback_and_exits_1(tmp_path):
  result = program('{}["width"]', tmp_path)
  assert result.returncode == 1 and 'Traceback' in result.stderr and 'KeyError' in result.stderr


def program(body: str, folder: Path, *args: str) -> subprocess.CompletedProcess:
  path = folder / 'program.py'
  path.write_text(
    f'import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom configs.schema import check\n'
    'from data.errors import DataError\nfrom runtime import cli, errors\n'
    f'def main():\n  {body}\ncli.run(main)\n'
  )
  return call(*args, program=str(path))


@pytest.mark.parametrize('name', ['configs/bert_tiny.py', 'bert_tiny.py', 'configs/bert_tin.py'])
def test_from_another_folder_the_config_that_is_meant_is_named(name, tmp_path, before_jax):
  result = subprocess.run(
    [sys.executable, str(ROOT / 'train.py'), f'--config={name}'],
    cwd=tmp_path,
    env=before_jax,
    capture_output=True,
    text=True,
    timeout=600,
  )
  line = refused(result)
  assert f'{name} in {tmp_path}, where this command runs' in line
  assert f'Did you mean {ROOT}/configs/bert_tiny.py?' in line
