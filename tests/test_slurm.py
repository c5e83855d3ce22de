"""A sweep as a job array: options, the batch script, a task that goes back into the queue; and the
real SLURM, if any.

Without SLURM its four programs are scripts here: sbatch keeps the batch script, squeue and scontrol
answer from files. Tasks are started and stopped as SLURM does it, in a process group of their own.
"""

import importlib.util
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys

import pytest
import runs

from configs.schema.check import ConfigError
from tools.sweep import runs as sweeping
from tools.sweep import slurm

ROOT = Path(__file__).resolve().parents[1]
needs_submitit = pytest.mark.skipif(
  not importlib.util.find_spec('submitit'), reason='the extra slurm is not installed'
)
PROGRAMS = dict(
  sbatch='[ ! -e $CLUSTER/refuse ] || { echo "sbatch: error: no such partition" >&2; exit 1; }\n'
  'cp "$1" $CLUSTER/batch.sh\necho "Submitted batch job 7"',
  srun='exit 1',  # is only looked for
  squeue='cat $CLUSTER/queue',
  scontrol='if [ "$1" = show ]; then cat $CLUSTER/state; else echo "$@" >>$CLUSTER/requeued; fi',
)
SWEEP = """
BASE = 'configs/bert_tiny.py'
RUNS = [{'seed': 0}, {'seed': 1}]
TABLE = dict(rows='seed', columns='objectives', value='loss')
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Path:
  folder = tmp_path / 'cluster'
  folder.mkdir()
  for name, text in PROGRAMS.items():
    (folder / name).write_text(f'#!/bin/bash\n{text}\n')
    (folder / name).chmod(0o755)
  (folder / 'queue').write_text('')
  (folder / 'state').write_text('JobId=7 JobState=RUNNING Reason=None\n')
  monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
  monkeypatch.setenv('CLUSTER', str(folder))
  return folder


def two_runs(folder: Path) -> list[sweeping.Run]:
  (folder / 'two.py').write_text(SWEEP)
  return list(sweeping.load(folder / 'two.py', folder / 'out').runs)


def test_options_are_what_submitit_calls_them():
  found = slurm.parse_options(
    ['time=240', 'partition=gpu', 'cpus=8', 'gpus=1', 'parallel=16', 'mem=32GB']
  )
  assert (
    found.items()
    >= dict(
      time=240,
      partition='gpu',
      cpus_per_task=8,
      gpus_per_node=1,
      array_parallelism=16,
      mem='32GB',
      nodes=1,
    ).items()
  )
  assert found['additional_parameters'] == {'requeue': True, 'signal': 'TERM@300'}
  # half of a short limit
  assert slurm.parse_options(['time=2'])['additional_parameters']['signal'] == 'TERM@60'


@pytest.mark.parametrize(
  'options, words',
  [
    (['partition=gpu'], 'time=MINUTES is missing'),
    (['time=1:00'], "'time=1:00' must be a number above 0, in minutes"),
    (['time=0'], 'above 0'),
    (['time=5', 'gpu=1'], "'gpu=1' must be NAME=VALUE with a name of time"),
    (['time=5', 'qos'], "'qos' must be NAME=VALUE"),
    (['time=5', 'setup=rm'], "'setup=rm' must be"),
  ],
)
def test_an_option_that_is_none_is_refused(options, words):
  with pytest.raises(ConfigError, match=words):
    slurm.parse_options(options)


def test_without_submitit_the_error_names_the_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'submitit', None)
  with pytest.raises(ConfigError, match=r"pip install -e '\.\[slurm\]'"):
    slurm.submit(two_runs(tmp_path), ['time=5'], tmp_path / 'out')
  assert not (tmp_path / 'out/slurm').exists()


@needs_submitit
def test_without_slurm_the_error_says_so(tmp_path, monkeypatch):
  monkeypatch.setenv('PATH', str(tmp_path))
  with pytest.raises(OSError, match='there is no SLURM here'):
    slurm.submit(two_runs(tmp_path), ['time=5'], tmp_path / 'out')


@needs_submitit
def test_what_is_submitted_is_an_array_of_the_commands_and_no_pickle(tmp_path, cluster):
  both, out = two_runs(tmp_path), tmp_path / 'out'
  said = slurm.submit(both, ['time=5', 'partition=gpu', 'parallel=1'], out)
  assert said == dict(job='7', tasks=[run.folder.name for run in both], queued=[])
  batch = (cluster / 'batch.sh').read_text()
  for line in (
    '--array=0-1%1',
    '--partition=gpu',
    '--time=5',
    '--requeue',
    '--signal=TERM@150',
    '--open-mode=append',
  ):
    assert f'#SBATCH {line}\n' in batch
  tasks = json.loads((out / 'slurm/array_0.json').read_text())['tasks']
  assert [task['command'] for task in tasks] == [run.command() for run in both]
  assert not [*out.rglob('*.pkl')]

  (cluster / 'queue').write_text('7_1\n9_0\n')  # the second is still there
  again = slurm.submit(both, ['time=5'], out)
  assert again == dict(job='7', tasks=[both[0].folder.name], queued=[both[1].folder.name])
  assert '#SBATCH --array=0-0%1\n' in (cluster / 'batch.sh').read_text()
  (cluster / 'queue').write_text('7_0\n7_1\n')
  assert slurm.submit(both, ['time=5'], out)['job'] is None
  (cluster / 'queue').write_text('')
  both[0].folder.mkdir()  # the first is finished
  (both[0].folder / 'config.json').write_text(json.dumps(both[0].resolved))
  (both[0].folder / 'result.json').write_text(
    json.dumps(dict(step=both[0].config.steps, validation={}))
  )
  assert slurm.submit(both, ['time=5'], out)['tasks'] == [both[1].folder.name]


@needs_submitit
def test_what_sbatch_refuses_leaves_nothing_behind(tmp_path, cluster):
  (cluster / 'refuse').touch()
  with pytest.raises(OSError, match='sbatch refused: .*no such partition'):
    slurm.submit(two_runs(tmp_path), ['time=5', 'partition=none'], tmp_path / 'out')
  assert not [*(tmp_path / 'out/slurm').glob('array_*')]


def start(folder: Path, command: str, *, restarts: int = 0, requeues: int = 3) -> subprocess.Popen:
  """A task whose command is Python code, as SLURM starts it: in a process group of its own."""
  task = dict(
    folder='some-run', command=[sys.executable, '-uc', command], log=str(folder / 'some-run.log')
  )
  (folder / 'array_0.json').write_text(
    json.dumps(dict(requeues=requeues, tasks=[task | dict(command=['false']), task]))
  )
  env = dict(
    os.environ, SLURM_ARRAY_JOB_ID='7', SLURM_ARRAY_TASK_ID='1', SLURM_RESTART_COUNT=str(restarts)
  )
  return subprocess.Popen(
    [sys.executable, '-m', 'tools.sweep.slurm_task', str(folder / 'array_0.json')],
    cwd=ROOT,
    env=env,
    stdout=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )


def stopped(folder: Path, process: subprocess.Popen) -> tuple[int, str]:
  """SIGTERM to all of the task, once its command is at work; (exit code, what it said)."""
  log = folder / 'some-run.log'
  runs.wait_until(lambda: log.exists() and 'ready' in log.read_text())
  os.killpg(process.pid, signal.SIGTERM)
  said, _ = process.communicate(timeout=600)
  return process.returncode, said


SAVES = (
  'import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (print("saved"), '
  'sys.exit(143)))\n'
  'print("ready")\ntime.sleep(3_600)'
)
HEEDLESS = 'import time\nprint("ready")\ntime.sleep(3_600)'


@pytest.mark.parametrize('command, saved', [(SAVES, True), (HEEDLESS, False)])
def test_a_task_that_was_stopped_goes_back_into_the_queue(tmp_path, cluster, command, saved):
  code, said = stopped(tmp_path, start(tmp_path, command))
  assert code == 0 and 'back into the queue' in said and 'start 1 on' in said
  assert (cluster / 'requeued').read_text() == 'requeue 7_1\n'
  assert ('saved' in (tmp_path / 'some-run.log').read_text()) == saved


@pytest.mark.parametrize('state, restarts', [('COMPLETING', 0), ('CANCELLED', 0), ('RUNNING', 3)])
def test_a_task_that_was_cancelled_or_stopped_too_often_does_not(
  tmp_path, cluster, state, restarts
):
  (cluster / 'state').write_text(f'JobId=7 JobState={state} Reason=None\n')
  code, said = stopped(tmp_path, start(tmp_path, SAVES, restarts=restarts))
  assert code == 143 and 'back into the queue' not in said and not (cluster / 'requeued').exists()
  assert ('submit it again' in said) == (restarts == 3)


@pytest.mark.parametrize(
  'command, code',
  [('pass', 0), ('import sys; sys.exit(4)', 4), ('import os; os.kill(os.getpid(), 9)', 137)],
)
def test_a_task_that_ends_by_itself_says_how(tmp_path, cluster, command, code):
  process = start(tmp_path, command)
  process.communicate(timeout=600)
  assert process.returncode == code and not (cluster / 'requeued').exists()


@needs_submitit
@pytest.mark.slow
def test_a_run_that_slurm_stops_ends_in_the_same_bits(tmp_path):
  if (
    not shutil.which('sinfo')
    or subprocess.run(['sinfo', '--noheader'], capture_output=True).returncode
  ):
    pytest.skip('no SLURM answers here; launch/local_slurm.sh starts one')
  text = runs.corpus(tmp_path)
  fields = runs.TINY | {
    'data.corpus': f'text:{text}',
    'data.cache': str(tmp_path / 'cache'),
    'log.tensorboard': False,
    'steps': 3_000,
    'checkpoint.every': 5_000,
    'validation.every': 3_000,
  }
  (tmp_path / 'one.py').write_text(
    f'BASE = "configs/bert_tiny.py"\nRUNS = [{fields!r}]\n'
    'TABLE = dict(rows="seed", columns="objectives", value="loss")\n'
  )

  def submit(out: Path) -> tuple[str, Path]:
    result = subprocess.run(
      [
        sys.executable,
        '-m',
        'tools.sweep',
        str(tmp_path / 'one.py'),
        f'--workdir={out}',
        '--slurm=time=20,cpus=1',
        '--json',
      ],
      cwd=ROOT,
      capture_output=True,
      text=True,
    )
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    return f'{said["job"]}_0', out / said['tasks'][0]

  steps = lambda folder: (
    len((folder / 'metrics.jsonl').read_text().splitlines())
    if (folder / 'metrics.jsonl').exists()
    else 0
  )
  _, whole = submit(tmp_path / 'whole')
  runs.wait_until(lambda: (whole / 'result.json').exists(), 600)
  job, parts = submit(tmp_path / 'parts')
  runs.wait_until(lambda: steps(parts) > 500, 600)
  subprocess.run(['scancel', '--signal=TERM', job], check=True)
  runs.wait_until(
    lambda: (
      'back into the queue'
      in ''.join(path.read_text() for path in parts.parent.glob('slurm/*.out'))
    ),
    600,
  )
  stopped_at = steps(parts)
  assert 500 < stopped_at < 3_000
  subprocess.run(['scontrol', 'update', f'JobId={job}', 'StartTime=now'], check=True)
  runs.wait_until(lambda: (parts / 'result.json').exists(), 600)
  assert runs.digest(parts) == runs.digest(whole) and runs.rows(parts)[-1] == runs.rows(whole)[-1]
  assert 'resum' in parts.with_suffix('.log').read_text()
