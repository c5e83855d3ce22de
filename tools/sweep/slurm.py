"""The runs of a sweep as a job array of SLURM: python -m
tools.sweep FILE --workdir=DIR --slurm=time=240,cpus=8

submitit writes the batch script and submits it. Its usual way of saying what to run is a pickle;
here a JSON file in DIR/slurm does, a command a task, and
tools/sweep/slurm_task.py on the node reads it.
"""

from collections.abc import Sequence
import itertools
import json
import os
from pathlib import Path
import shlex
import shutil
import subprocess
import sys
from typing import Any

from configs.schema.check import ConfigError
from runtime.atomic import atomic_write
from runtime.console import Console
from tools.sweep import runs
from tools.sweep.runs import ROOT, Run, Sweep

# What --slurm= may hold, and what submitit calls it; the values of the first group are numbers.
NUMBERS = {
  'time': 'time',
  'cpus': 'cpus_per_task',
  'gpus': 'gpus_per_node',
  'parallel': 'array_parallelism',
}
WORDS = {
  name: name
  for name in ('partition', 'account', 'qos', 'constraint', 'gres', 'mem', 'nodelist', 'exclude')
}
_SAVE_S = 300  # before the time limit, or at half of it: when a run is told to save and to end
_REQUEUES = 100  # a run that never gets as far as a checkpoint goes back into the queue no oftener


def run(sweep: Sweep, options: list[str], directory: Path, console: Console, *, as_json: bool):
  """Submits a sweep and says what was submitted."""
  runs.note(sweep, directory)
  said = submit(sweep.runs, options, directory)
  job = f' as SLURM job {said["job"]}' if said['job'] else ''
  queued = f'; {len(said["queued"])} are in the queue already' if said['queued'] else ''
  console.say(f'{sweep.name}: {len(said["tasks"])} runs submitted{job}{queued}')
  if as_json:
    print(json.dumps(dict(sweep=sweep.name, **said)))


def submit(runs: Sequence[Run], options: list[str], directory: Path) -> dict[str, Any]:
  """Submits what is neither finished nor in the queue, a task a run;
  returns {job, tasks: folders, queued: folders}.

  Raises:
    ConfigError: an option is unknown or not what it must be, or submitit is not installed.
    OSError: there is no SLURM here, or it refused.
  """
  parameters = read(options)
  try:
    import submitit
    from submitit.core.utils import FailedJobError
  except ImportError:
    raise ConfigError("--slurm needs the extra slurm: pip install -e '.[slurm]'") from None
  if not all(map(shutil.which, ('sbatch', 'srun', 'squeue', 'scontrol'))):
    raise OSError(
      'there is no SLURM here: its programs sbatch, srun, squeue and scontrol are not all found.'
    )
  folder = directory / 'slurm'
  folder.mkdir(parents=True, exist_ok=True)
  there, left = in_queue(folder), [run for run in runs if run.result() is None]
  runs, queued = (
    [run for run in left if (run.folder.name in there) == known] for known in (False, True)
  )
  said = dict(
    job=None, tasks=[run.folder.name for run in runs], queued=[run.folder.name for run in queued]
  )
  if not runs:
    return said
  tasks = [dict(folder=run.folder.name, command=run.command(), log=str(run.log)) for run in runs]
  path = next(
    path for path in (folder / f'array_{n}.json' for n in itertools.count()) if not path.exists()
  )
  executor = submitit.SlurmExecutor(folder=folder)
  executor.update_parameters(**parameters)
  executor.parameters['map_count'] = len(runs)  # an array also where there is but one task
  _write(path, dict(requeues=_REQUEUES, tasks=tasks))
  try:
    # submitit's own executor submits `python -m
    # submitit.core._submit`, which would read a pickle; this reads JSON.
    job = executor._submit_command(
      shlex.join([sys.executable, '-u', '-m', 'tools.sweep.slurm_task', str(path)])
    )
  except FailedJobError as error:
    path.unlink()
    raise OSError(f'sbatch refused: {" ".join(str(error).split())}') from error
  _write(path, dict(requeues=_REQUEUES, tasks=tasks, job=job.job_id))
  return said | dict(job=job.job_id)


def read(options: list[str]) -> dict[str, Any]:
  """What `NAME=VALUE,...` asks for, as parameters of submitit's executor."""
  known, asked = NUMBERS | WORDS, {}
  for option in options:
    name, equals, value = option.partition('=')
    if name not in known or not equals or not value:
      raise ConfigError(
        f'--slurm: {option!r} must be NAME=VALUE with a name of {", ".join(known)}.'
      )
    if name in NUMBERS and not (value.isdigit() and int(value)):
      raise ConfigError(
        f'--slurm: {option!r} must be a number above 0' + ', in minutes.' * (name == 'time')
      )
    asked[known[name]] = int(value) if name in NUMBERS else value
  if 'time' not in asked:
    raise ConfigError(
      '--slurm: time=MINUTES is missing; a run that needs longer saves in time, '
      'and goes on by itself.'
    )
  save = min(_SAVE_S, 30 * asked['time'])
  return asked | dict(
    job_name='onemask',
    wckey='onemask',
    nodes=1,
    ntasks_per_node=1,
    setup=[f'cd {shlex.quote(str(ROOT))}'],
    stderr_to_stdout=True,
    srun_args=['--open-mode=append'],
    additional_parameters={'requeue': True, 'signal': f'TERM@{save}'},
  )


def in_queue(folder: Path) -> set[str]:
  """Names of the runs that earlier submissions still have in SLURM's queue."""
  asked = subprocess.run(
    ['squeue', '--noheader', '--array', '--user', str(os.getuid()), '--format=%i'],
    capture_output=True,
    text=True,
    check=False,
  )
  if asked.returncode:
    raise OSError(f'squeue does not answer: {asked.stderr.strip()}')
  waiting = {*asked.stdout.split()}
  arrays = [json.loads(path.read_text()) for path in folder.glob('array_*.json')]
  return {
    task['folder']
    for array in arrays
    if 'job' in array
    for number, task in enumerate(array['tasks'])
    if f'{array["job"]}_{number}' in waiting
  }


def _write(path: Path, said: dict[str, Any]):
  """At once or not at all: a task may be reading."""
  atomic_write(path, json.dumps(said, indent=1))
