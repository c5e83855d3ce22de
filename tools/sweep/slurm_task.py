"""One task of a SLURM job array: runs its command, and requeues itself if it was stopped.

  python -m tools.sweep.slurm_task FILE.json   (in a job of SLURM; tools/sweep/slurm.py writes it)

Before the time limit, on preemption, and on `scancel --signal=TERM`, SLURM sends SIGTERM to every
process of the task: the run saves a checkpoint and exits with 143. The same command resumes it, so
this process asks SLURM to requeue the task, unless the job was cancelled or is being requeued
already.
"""

import os
from pathlib import Path
import signal
import subprocess
import sys

from runtime import json_file
from runtime.errors import StateError

_PREEMPTED = (
  143,
  -signal.SIGTERM,
)  # exit codes: with a checkpoint, or before there was anything to save


def main(path: str) -> int:
  """Runs the task of this process; returns the exit code.

  Args:
    path: a JSON file {requeues: how often at most, tasks: [{folder, command, log}]}.
  """
  try:
    array = read(Path(path))
  except StateError as error:
    print(f'slurm_task: {error}', file=sys.stderr)
    return error.exit_code
  number, job = (int(os.environ[f'SLURM_ARRAY_{name}_ID']) for name in ('TASK', 'JOB'))
  task = array['tasks'][number]
  folder = task['folder']
  # SLURM signals the run itself, and this process only has to outlive it. Not SIG_IGN, which the
  # run would inherit.
  for one in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(one, lambda *_: None)
  restarts = int(os.environ.get('SLURM_RESTART_COUNT', 0))
  _say(f'{folder}: start {restarts + 1} on {os.uname().nodename}, log in {task["log"]}')
  with open(task['log'], 'a') as log:
    code = subprocess.call(task['command'], stdout=log, stderr=log)
  _say(f'{folder}: exit code {code}')
  if code in _PREEMPTED and _running(f'{job}_{number}'):
    if restarts < array['requeues']:
      _say(f'{folder}: back into the queue')
      return subprocess.call(['scontrol', 'requeue', f'{job}_{number}'])
    _say(f'{folder}: was queued {restarts} times already; submit it again to go on')
  return code if code >= 0 else 128 - code  # as a shell says that a signal ended it


def read(path: Path) -> dict:
  """The tasks of a job array, as tools/sweep/slurm.py wrote them.

  Raises:
    StateError: the file is damaged.
  """
  advice = 'Remove it, and submit the sweep again when its jobs have left the queue.'
  fields = dict(requeues=int, tasks=list)
  array = json_file.read_object(path, fields, refuse=StateError, todo=advice)
  for number, task in enumerate(array['tasks'], start=1):
    try:
      json_file.check_fields(task, dict(folder=str, command=list, log=str))
    except ValueError as error:
      raise StateError(f'{path} is damaged: task {number}: {error}. {advice}') from error
  return array


def _say(line: str):
  print(line, flush=True)


def _running(job: str) -> bool:
  """Whether SLURM still wants the job to run: it is not cancelled, nor being requeued."""
  shown = subprocess.run(
    ['scontrol', 'show', 'job', '--oneliner', job], capture_output=True, text=True, check=False
  )
  return 'JobState=RUNNING' in shown.stdout.split()


if __name__ == '__main__':
  sys.exit(main(sys.argv[1]))
