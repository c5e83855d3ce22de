"""The runs of a sweep as a SLURM job array: a task of the array for each run.

  python -m tools.sweep FILE --workdir=DIR --slurm=time=240,cpus=8

submitit writes the batch script and submits it. submitit itself would pickle a function for the
node to call. Here DIR/slurm/array_N.json holds a command for each task, and
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
from tools.sweep import slurm_task
from tools.sweep.runs import ROOT, Run, Sweep, write_manifest

# Options of --slurm= and the parameters of submitit that they set. Values of the first are numbers.
NUMBERS = {
  'time': 'time',
  'cpus': 'cpus_per_task',
  'gpus': 'gpus_per_node',
  'parallel': 'array_parallelism',
}
_SAME_NAME = ('partition', 'account', 'qos', 'constraint', 'gres', 'mem', 'nodelist', 'exclude')
WORDS = {name: name for name in _SAME_NAME}
# Seconds before the time limit at which a run is told to save and exit; half of a shorter limit.
_SAVE_S = 300
# A run that never reaches a checkpoint would be requeued forever.
_REQUEUES = 100


def submit_sweep(
  sweep: Sweep, options: list[str], directory: Path, console: Console, *, as_json: bool
):
  """Submits the runs of a sweep that are left, and says what was submitted."""
  write_manifest(sweep, directory)
  submission = submit(sweep.runs, options, directory)
  job = f' as SLURM job {submission["job"]}' if submission['job'] else ''
  count = len(submission['queued'])
  queued = f'; {count} are in the queue already' if count else ''
  console.say(f'{sweep.name}: {len(submission["tasks"])} runs submitted{job}{queued}')
  if as_json:
    print(json.dumps(dict(sweep=sweep.name, **submission)))


def submit(runs: Sequence[Run], options: list[str], directory: Path) -> dict[str, Any]:
  """Submits the runs that are neither finished nor in the queue.

  Returns:
    job: the number of the array, None if nothing was left to submit; tasks: folders of the runs
    that were submitted; queued: folders of those that were in the queue already.

  Raises:
    ConfigError: an option is unknown or not what it must be, or submitit is not installed.
    OSError: there is no SLURM here, or it refused.
  """
  parameters = parse_options(options)
  try:
    import submitit
  except ImportError:
    raise ConfigError("--slurm needs the extra slurm: pip install -e '.[slurm]'") from None
  if not all(map(shutil.which, ('sbatch', 'srun', 'squeue', 'scontrol'))):
    raise OSError(
      'there is no SLURM here: its programs sbatch, srun, squeue and scontrol are not all found.'
    )
  folder = directory / 'slurm'
  folder.mkdir(parents=True, exist_ok=True)
  known, left = in_queue(folder), [run for run in runs if run.result() is None]
  queued = [run for run in left if run.folder.name in known]
  new = [run for run in left if run.folder.name not in known]
  job = None
  if new:
    executor = submitit.SlurmExecutor(folder=folder)
    executor.update_parameters(**parameters)
    job = _submit_array(executor, folder, new)
  return dict(
    job=job, tasks=[run.folder.name for run in new], queued=[run.folder.name for run in queued]
  )


def _submit_array(executor, folder: Path, runs: Sequence[Run]) -> str:
  """Writes the tasks of an array and submits it; returns the number of the job.

  Args:
    executor: of submitit.

  Raises:
    OSError: sbatch refused.
  """
  from submitit.core.utils import FailedJobError

  tasks = [dict(folder=run.folder.name, command=run.command(), log=str(run.log)) for run in runs]
  names = (folder / f'array_{number}.json' for number in itertools.count())
  path = next(path for path in names if not path.exists())
  executor.parameters['map_count'] = len(runs)  # an array also if there is a single task
  _write(path, dict(requeues=_REQUEUES, tasks=tasks))
  command = shlex.join([sys.executable, '-u', '-m', 'tools.sweep.slurm_task', str(path)])
  try:
    # `executor.submit` would submit `python -m submitit.core._submit`, which reads a pickle.
    job = executor._submit_command(command)
  except FailedJobError as error:
    path.unlink()
    raise OSError(f'sbatch refused: {" ".join(str(error).split())}') from error
  _write(path, dict(requeues=_REQUEUES, tasks=tasks, job=job.job_id))
  return job.job_id


def parse_options(options: list[str]) -> dict[str, Any]:
  """The parameters of submitit's executor that `NAME=VALUE,...` sets, and those that are fixed.

  Raises:
    ConfigError: an option is unknown or not what it must be, or time is missing.
  """
  parameters = dict(_parse_option(option) for option in options)
  if 'time' not in parameters:
    raise ConfigError(
      '--slurm: time=MINUTES is missing; a run that needs longer saves in time, '
      'and goes on by itself.'
    )
  half_of_limit = 30 * parameters['time']  # seconds
  return parameters | dict(
    job_name='onemask',
    wckey='onemask',
    nodes=1,
    ntasks_per_node=1,
    setup=[f'cd {shlex.quote(str(ROOT))}'],
    stderr_to_stdout=True,
    srun_args=['--open-mode=append'],
    additional_parameters={
      'requeue': True,
      'signal': f'TERM@{min(_SAVE_S, half_of_limit)}',
    },
  )


def _parse_option(option: str) -> tuple[str, int | str]:
  """(parameter of submitit, value) of NAME=VALUE."""
  known = NUMBERS | WORDS
  name, equals, value = option.partition('=')
  if name not in known or not equals or not value:
    raise ConfigError(f'--slurm: {option!r} must be NAME=VALUE with a name of {", ".join(known)}.')
  if name in WORDS:
    return known[name], value
  if not value.isdigit() or not int(value):
    unit = ', in minutes.' if name == 'time' else ''
    raise ConfigError(f'--slurm: {option!r} must be a number above 0{unit}')
  return known[name], int(value)


def in_queue(folder: Path) -> set[str]:
  """Folders of the runs that earlier submissions still have in SLURM's queue.

  Args:
    folder: DIR/slurm, with the array_N.json of those submissions.

  Raises:
    OSError: squeue fails.
  """
  squeue = subprocess.run(
    ['squeue', '--noheader', '--array', '--user', str(os.getuid()), '--format=%i'],
    capture_output=True,
    text=True,
    check=False,
  )
  if squeue.returncode:
    raise OSError(f'squeue does not answer: {squeue.stderr.strip()}')
  waiting = {*squeue.stdout.split()}  # JOB_TASK, as in 7_0
  found = set()
  for path in folder.glob('array_*.json'):
    array = slurm_task.read(path)
    for number, task in enumerate(array['tasks']):
      if f'{array.get("job")}_{number}' in waiting:
        found.add(task['folder'])
  return found


def _write(path: Path, content: dict[str, Any]):
  """Replaces a JSON file at once: a task on a node may be reading it."""
  atomic_write(path, json.dumps(content, indent=1))
