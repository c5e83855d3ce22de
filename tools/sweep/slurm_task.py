"""One task of a job array: runs the command of its number, and goes
back into the queue when it was stopped in between.

  python -m tools.sweep.slurm_task FILE.json   (in a job of SLURM; tools/sweep/slurm.py writes it)

Before the time limit, on preemption, and on `scancel --signal=TERM`, SLURM sends SIGTERM to every
process of the task: the run saves a checkpoint and exits with 143. The same command resumes it, so
this process asks for the task to be queued again. It does not where the
job was cancelled, or is being queued again already.
"""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys

_PREEMPTED = (143, -signal.SIGTERM)  # with a checkpoint, or before there was anything to save


def main(path: str) -> int:
  said = json.loads(Path(path).read_text())
  number, job = (int(os.environ[f'SLURM_ARRAY_{name}_ID']) for name in ('TASK', 'JOB'))
  task = said['tasks'][number]
  # The run gets SLURM's signals itself and this process only
  # outlives it. Not SIG_IGN: the run would inherit that.
  for one in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(one, lambda *_: None)
  times = int(os.environ.get('SLURM_RESTART_COUNT', 0))
  print(
    f'{task["folder"]}: start {times + 1} on {os.uname().nodename}, log in {task["log"]}',
    flush=True,
  )
  with open(task['log'], 'a') as log:
    code = subprocess.call(task['command'], stdout=log, stderr=log)
  print(f'{task["folder"]}: exit code {code}', flush=True)
  if code in _PREEMPTED and _running(f'{job}_{number}'):
    if times < said['requeues']:
      print(f'{task["folder"]}: back into the queue', flush=True)
      return subprocess.call(['scontrol', 'requeue', f'{job}_{number}'])
    print(
      f'{task["folder"]}: was queued {times} times already; submit it again to go on', flush=True
    )
  return code if code >= 0 else 128 - code


def _running(job: str) -> bool:
  """Whether SLURM means the job to run: not where it was
  cancelled, or is on its way into the queue.
  """
  shown = subprocess.run(
    ['scontrol', 'show', 'job', '--oneliner', job], capture_output=True, text=True, check=False
  )
  return 'JobState=RUNNING' in shown.stdout.split()


if __name__ == '__main__':
  sys.exit(main(sys.argv[1]))
