"""The recipes of launch/: what they run, what they say of
it, and the real SLURM where there is one.

gcloud is a script here, which does what ssh would do: it runs the
command, as many times as the pod has workers.
"""

import json
import os
from pathlib import Path
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import runs
import yaml

from configs.schema.check import ConfigError
from data.errors import DataError
from runtime.errors import DeviceError, NumericalError, Preempted, StateError

ROOT = Path(__file__).resolve().parents[1]
GCLOUD = r"""#!/bin/bash
# gcloud compute tpus tpu-vm ssh NAME --zone=Z --worker=all --command=C --output-directory=D
expected="compute tpus tpu-vm ssh pod --zone=here --worker=all"
[[ "$1 $2 $3 $4 $5 $6 $7" == "$expected" ]] || { echo "$@" >&2; exit 9; }
[[ $8 == --command=* && $9 == --output-directory=* && -d ${9#*=} ]] || exit 9
for ((worker = 0; worker < WORKERS; worker++)); do
  (cd "$HOME" && TPU_WORKER_ID=$worker bash -c "${8#*=}") >"${9#*=}/$worker.log" 2>&1 &
done
wait
"""


@pytest.fixture
def pod(tmp_path, monkeypatch):
  """A function that gives a command to the two workers of a
  pod, whose home holds this tree as onemask.
  """
  (tmp_path / 'bin').mkdir()
  (tmp_path / 'bin/gcloud').write_text(GCLOUD)
  (tmp_path / 'bin/gcloud').chmod(0o755)
  (tmp_path / 'home').mkdir()
  (tmp_path / 'home/onemask').symlink_to(ROOT)
  monkeypatch.setenv('PATH', f'{tmp_path}/bin:{os.environ["PATH"]}')
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  monkeypatch.setenv('WORKERS', '2')

  def launch(*command: str, flags: tuple[str, ...] = (), env=None) -> subprocess.CompletedProcess:
    return subprocess.run(
      [ROOT / 'launch/tpu_pod.sh', f'--logs={tmp_path}/logs', *flags, 'pod', 'here', *command],
      cwd=tmp_path,
      env=env,
      capture_output=True,
      text=True,
      timeout=900,
    )

  return launch


def test_every_worker_runs_the_command_as_it_was_given(pod, tmp_path):
  done = pod(
    sys.executable,
    '-c',
    'import os, sys; print(os.environ["TPU_WORKER_ID"], sys.argv[1:], os.getcwd())',
    "--config.objectives={'mlm': 1.0}",
    '$HOME *',
  )
  assert done.returncode == 0, done.stderr
  for worker in '01':
    said = (tmp_path / f'logs/{worker}.log').read_text()
    assert said.splitlines() == [
      f'{worker} {["--config.objectives={" + repr("mlm") + ": 1.0}", "$HOME *"]} {ROOT}',
      'exit code 0',
    ]
    assert f'worker {worker}: exit code 0' in done.stdout
  assert 'to go on' not in done.stdout


@pytest.mark.parametrize('codes, worst', [((0, 143), 143), ((143, 6), 6), ((5, 143), 5)])
def test_the_worst_end_of_a_worker_is_the_end_and_the_command_to_go_on_is_said(pod, codes, worst):
  command = (
    'bash',
    '-c',
    f'codes=({codes[0]} {codes[1]}); echo "as it was"; exit ${{codes[TPU_WORKER_ID]}}',
  )
  done = pod(*command)
  assert done.returncode == worst
  again = shlex.split(done.stdout.partition('to go on from the last checkpoint:')[2])
  assert again == ['launch/tpu_pod.sh', '--dir=onemask', 'pod', 'here', *command]
  # the end of a log, of those that failed
  assert ('    as it was' in done.stdout) == (worst != 143)


def test_a_worker_that_was_cut_off_and_a_pod_that_is_not_there_are_failures(pod, monkeypatch):
  done = pod('bash', '-c', '[ $TPU_WORKER_ID = 1 ] && kill -9 $PPID; true')
  assert done.returncode == 6 and 'worker 1: exit code unknown' in done.stdout
  monkeypatch.setenv('WORKERS', '0')
  shutil.rmtree(next(Path(arg.partition('=')[2]) for arg in done.args[1:2]))
  assert 'no worker wrote a log' in pod('true').stderr


def test_a_dry_run_prints_the_commands_and_runs_none(pod, tmp_path):
  done = pod('python', 'train.py', '--config.name=a b', flags=('--dry-run', '--dir=work/onemask'))
  assert done.returncode == 0 and not (tmp_path / 'logs').exists()
  make, ssh = done.stdout.splitlines()
  assert shlex.split(make) == ['mkdir', '-p', f'{tmp_path}/logs']
  assert shlex.split(ssh)[:8] == [
    'gcloud',
    'compute',
    'tpus',
    'tpu-vm',
    'ssh',
    'pod',
    '--zone=here',
    '--worker=all',
  ]
  assert shlex.split(ssh)[8].startswith(
    r'--command=cd work/onemask && python train.py '
    r'--config.name=a\ b;'
  )


def test_recipes_are_clean_for_shellcheck():
  if not shutil.which('shellcheck'):
    pytest.skip('no shellcheck here: apt-get install shellcheck')
  checked = subprocess.run(
    ['shellcheck', *sorted((ROOT / 'launch').iterdir())], capture_output=True, text=True
  )
  assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_a_run_that_was_killed_on_every_worker_goes_on_with_the_command_that_is_said(pod, tmp_path):
  text = runs.corpus(tmp_path)
  # ssh and its processes are stood in for, train.py is not: here each worker trains by itself.
  command = [
    arg
    for arg in runs.command('bert_tiny', tmp_path / 'none', text)
    if not arg.startswith('--workdir')
  ]
  own = lambda name: f'{tmp_path}/{name}$TPU_WORKER_ID'
  inner = f'{shlex.join(command)} --workdir={own("run")} --config.data.cache={own("cache")}'
  killed = pod('bash', '-c', inner, env=runs.environment('die_at_step:6'))
  assert killed.returncode == 137, killed.stdout
  again = shlex.split(killed.stdout.partition('to go on from the last checkpoint:')[2])
  done = subprocess.run(
    [ROOT / again[0], *again[1:]],
    cwd=tmp_path,
    env=runs.environment(),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  assert runs.digest(tmp_path / 'run0') == runs.digest(tmp_path / 'run1')
  assert [row['step'] for row in runs.rows(tmp_path / 'run0')] == list(range(13))


def state(job: str) -> str:
  asked = ['squeue', '--noheader', f'--jobs={job}', '--format=%T']
  return subprocess.run(asked, capture_output=True, text=True).stdout.strip()


@pytest.mark.slow
def test_a_job_that_slurm_stops_goes_back_into_the_queue_and_ends_in_the_same_bits(tmp_path):
  if (
    not shutil.which('sinfo')
    or subprocess.run(['sinfo', '--noheader'], capture_output=True).returncode
  ):
    pytest.skip('no SLURM answers here; launch/local_slurm.sh starts one')
  text = runs.corpus(tmp_path)
  env = runs.environment() | {'ONEMASK_PYTHON': sys.executable}

  def submit(name: str) -> tuple[str, Path, Path]:
    log = tmp_path / f'{name}.log'
    flags = runs.command(
      'bert_tiny',
      tmp_path / name,
      text,
      **{'steps': 3_000, 'checkpoint.every': 5_000, 'validation.every': 3_000},
    )[2:]
    command = [
      'sbatch',
      '--parsable',
      '--time=20',
      f'--output={log}',
      ROOT / 'launch/slurm.sbatch',
      *flags,
    ]
    said = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout.strip(), tmp_path / name, log

  _, whole, _ = submit('whole')
  runs.wait_until((whole / 'result.json').exists, 900)
  job, parts, log = submit('parts')
  steps = lambda: (
    len((parts / 'metrics.jsonl').read_text().splitlines())
    if (parts / 'metrics.jsonl').exists()
    else 0
  )
  runs.wait_until(lambda: steps() > 300, 900)
  subprocess.run(['scancel', '--signal=TERM', job], check=True)
  runs.wait_until(lambda: 'back into the queue' in log.read_text(), 600)
  assert 300 < steps() < 3_000
  runs.wait_until(lambda: state(job) == 'PENDING', 600)
  subprocess.run(['scontrol', 'update', f'JobId={job}', 'StartTime=now'], check=True)
  runs.wait_until((parts / 'result.json').exists, 900)
  assert 'start 2 on' in log.read_text() and 'resuming' in log.read_text()
  assert runs.digest(parts) == runs.digest(whole)
  assert [json.dumps(row) for row in runs.rows(parts)] == [
    json.dumps(row) for row in runs.rows(whole)
  ]


def manifests() -> list[dict]:
  page = (ROOT / 'docs/pods.md').read_text()
  return [yaml.safe_load(block.partition('```')[0]) for block in page.split('```yaml\n')[1:]]


def test_the_manifest_of_the_page_restarts_whole_and_stops_for_good_on_the_stated_codes():
  [jobset] = manifests()
  assert (jobset['apiVersion'], jobset['kind']) == ('jobset.x-k8s.io/v1alpha2', 'JobSet')
  [slices] = jobset['spec']['replicatedJobs']
  job = slices['template']['spec']
  assert (
    job['parallelism'] == job['completions']
    and job['completionMode'] == 'Indexed'
    and job['backoffLimit'] == 0
  )
  pod = job['template']['spec']
  # which Kubernetes asks for where there is a podFailurePolicy
  assert pod['restartPolicy'] == 'Never'
  [rule], [stop] = job['podFailurePolicy']['rules'], jobset['spec']['failurePolicy']['rules']
  final = {one.exit_code for one in (ConfigError, StateError, DataError, NumericalError)}
  assert rule['action'] == 'FailJob' and {*rule['onExitCodes']['values']} == final
  assert not final & {Preempted.exit_code, DeviceError.exit_code}
  assert (stop['action'], stop['onJobFailureReasons']) == ('FailJobSet', ['PodFailurePolicy'])
  [container] = pod['containers']
  assert container['name'] == rule['onExitCodes']['containerName']
  rows, columns = map(int, pod['nodeSelector']['cloud.google.com/gke-tpu-topology'].split('x'))
  assert rows * columns == job['parallelism'] * container['resources']['limits']['google.com/tpu']


def test_commands_of_the_page_have_only_flags_that_there_are():
  page = (ROOT / 'docs/pods.md').read_text()
  [jobset] = manifests()
  container = jobset['spec']['replicatedJobs'][0]['template']['spec']['template']['spec'][
    'containers'
  ][0]
  said = ' '.join([*container['command'], *container['args']])
  commands = {
    said,
    *re.findall(r'train\.py((?: --[\w.]+=[^\s"`]+)+)', page),
    *re.findall(r'slurm\.sbatch((?: --[\w.]+=[^\s"`]+)+)', page),
  }
  assert len(commands) == 3
  known = (ROOT / 'train.py').read_text()
  for command in commands:
    for flag, value in re.findall(r'--([\w.]+)=(\S+)', command):
      assert flag == 'config' or re.search(rf"DEFINE_\w+\(\s*'{flag}'", known), flag
      assert flag != 'config' or (ROOT / value).is_file(), value
