"""Ctrl-C at any moment of any program: exit 130, one line, no traceback."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest

from tools import __main__ as tools

ROOT = Path(__file__).resolve().parents[1]

# What makes each program import all that it needs, and then say no.
ARGUMENTS = dict(
  train=['--config.platform=tpu', '--workdir={}/run'],
  eval=['--workdir={}/no'],
  prepare=['--config=configs/bert_tiny.py', '--config.data.cache={}/file/cache'],
  finetune=['{}/no', '--tasks=sst2', '--task_data={}', '--finetune_mask=same'],
  sweep=['configs/sweeps/smoke.py', '--workdir={}/file'],
  report=['{}/no'],
  bounds=['{}/no'],
  claims=['{}/no'],
  generate=['--weights={}/no', '--prompt=a'],
  fill_mask=['--weights={}/no', 'a [MASK]'],
  embed=['--weights={}/no', '--input={}/file', '--search=a'],
  convert=['--from={}/no', '--to={}/new'],
  attention=['--weights={}/no', '--text=a', '--out={}/x.html'],
  batch=['{}/no', '--step=1'],
  grid=['--out={}/no/x.png'],
  architecture=['--tour={}/no'],
  configs=['--out={}/no/x.md'],
  plan=['--config=configs/bert_tiny.py', '--topology=cpu:x'],
  memory=['--config=configs/bert_tiny.py', '--config.mesh.data=7'],
  bench=['--only=no'],
  predict=['--weights={}/no', '--input={}/file'],
  transfer=['--workdir={}/no'],
  rank=['--weights={}/no', '--query=a', '--input={}/file'],
  poolings=['{}/no', '--tasks=mean', '--task_data={}'],
  mine=['--weights={}/no', '--groups={}/no.jsonl', '--output={}/new.jsonl'],
)


def interrupted(name: str, folder: Path, every: int) -> list[dict]:
  """What became of the program where SIGINT came at every so many of its imports."""
  (folder / 'file').write_text('text\n')
  arguments = [one.format(folder) for one in ARGUMENTS[name]]
  done = subprocess.run(
    [sys.executable, str(ROOT / 'tests/interrupted.py'), str(every), name, *arguments],
    cwd=ROOT,
    env=dict(os.environ, JAX_PLATFORMS='cpu'),
    capture_output=True,
    text=True,
    timeout=900,
  )
  assert done.returncode in (2, 3, 4, 6), done
  guarded, *copies = [json.loads(line) for line in done.stdout.splitlines() if line[:2] == '{"']
  # Until then Python itself answers, which nothing of ours can change.
  assert guarded['before'] <= 6, guarded
  return copies


@pytest.mark.parametrize(
  'name',
  [
    name if name == 'eval' else pytest.param(name, marks=pytest.mark.slow)
    for name in tools.PROGRAMS
  ],
)
def test_ctrl_c_while_a_program_is_imported_is_one_line_and_130(name, tmp_path):
  copies = interrupted(name, tmp_path, every=300)
  assert copies
  for copy in copies:
    assert copy['code'] == 130, copy
    program_of = copy['err'].removeprefix('tools.').replace('.py:', ':')
    assert program_of == f'{name}: interrupted.\n', copy


def program(body: str, folder: Path) -> subprocess.Popen:
  """A program whose main function is `body`, which says when it is ready."""
  path = folder / 'program.py'
  path.write_text(
    f'import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom runtime import interrupt\n'
    'interrupt.guard()\nimport hashlib, time\nfrom runtime import cli\n'
    f'ready = lambda: print("ready", flush=True)\ndef main():\n{body}\ncli.run(main)\n'
  )
  process = subprocess.Popen(
    [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == 'ready\n'
  return process


WAITS = {
  'clears away': """
  try:
    ready()
    time.sleep(3_600)
  finally:
    print("cleared", flush=True)""",
  'of another kind': """
  try:
    ready()
    time.sleep(3_600)
  except BaseException as error:
    print("cleared", flush=True)
    raise ImportError("a library made this of it") from error""",
  'in a finaliser': """
  class Slow:
    def __del__(self):
      print("cleared", flush=True)
      time.sleep(3_600)
  ready()
  Slow()""",
}


@pytest.mark.parametrize('body', WAITS.values(), ids=WAITS)
def test_ctrl_c_in_the_main_function_clears_away_and_is_one_line(body, tmp_path):
  process = program(body, tmp_path)
  if '__del__' in body:
    assert process.stdout.readline() == 'cleared\n'
  process.send_signal(signal.SIGINT)
  out, err = process.communicate(timeout=120)
  assert out == ('' if '__del__' in body else 'cleared\n')
  assert process.returncode == 130 and err == 'program.py: interrupted.\n', err


# Whoever says so must not be the thread that is there: it is another one, a little later.
IN_C = """
  import threading
  threading.Timer(2, ready).start()
  hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)"""


def test_a_second_ctrl_c_ends_a_program_that_is_in_c_code(tmp_path):
  process = program(IN_C, tmp_path)
  process.send_signal(signal.SIGINT)
  with pytest.raises(subprocess.TimeoutExpired):
    process.wait(1)
  process.send_signal(signal.SIGINT)
  _, err = process.communicate(timeout=120)
  assert process.returncode == 130 and err == 'program.py: interrupted.\n'


def test_a_program_that_has_ended_keeps_its_code(tmp_path):
  process = program('  ready()', tmp_path)
  assert process.wait(120) == 0 and process.stderr.read() == ''


def test_ctrl_c_in_the_last_moment_of_the_interpreter_changes_nothing(tmp_path):
  late = """
  import os
  class Late:
    def __del__(self, kill=os.kill, pid=os.getpid()):
      kill(pid, 2)
  sys.modules["__main__"].late = Late()
  ready()"""
  process = program(late, tmp_path)
  assert process.wait(120) == 0 and process.stderr.read() == ''
