"""Runs an ablation: python -m tools.sweep
configs/sweeps/mask_by_objective.py --workdir=DIR [--dry_run] [--list]

One file is one ablation and one table. Every run has a folder named by the hash of its config: what
is finished is skipped, what was begun goes on where it stopped, and the same command finishes a
sweep that was interrupted. With --task_data=DIR the evaluations that the file names follow each
run, and what has its answer is not asked again. `python -m tools.report DIR` makes the table.
"""

import json
from pathlib import Path
import signal
import sys
import time

from configs.schema.check import ConfigError
from data.errors import DataError
from runtime import cli

cli.group('The sweep')
cli.flags.DEFINE_string('sweep', None, 'A file of configs/sweeps.')
cli.flags.DEFINE_string('workdir', None, 'The folder of the sweep; each run has a folder in it.')
cli.flags.DEFINE_string(
  'task_data', None, 'The folder with the files of the tasks: sst2/, mrpc/, blimp/ ...'
)
cli.group('Where runs go')
cli.flags.DEFINE_integer('jobs', 1, 'Runs at a time. They share this machine.', lower_bound=1)
cli.flags.DEFINE_list(
  'devices', [], 'A run at a time on each of these accelerators, as in 0,1,2; or groups, 0+1,2+3.'
)
cli.flags.DEFINE_bool('dry_run', False, 'Only say what would run, and the predicted cost.')
cli.flags.DEFINE_bool('list', False, 'Only say which runs are finished, begun or waiting.')
cli.flags.DEFINE_list(
  'slurm', None, 'Submit to SLURM: time=MINUTES,partition=NAME,cpus=8,gpus=1,parallel=16 ...'
)
cli.define_json()


def main():
  flags = cli.FLAGS
  if not flags.sweep or not flags.workdir:
    raise ConfigError(
      'a sweep and a folder are needed: configs/sweeps/mask_by_objective.py --workdir=sweeps/mine'
    )

  # These import jax, which `--help` should not wait for.
  from runtime import storage
  from runtime.console import Console
  from tools.sweep import runs

  directory = storage.resolve_path(flags.workdir)
  if not storage.remote(directory):
    directory = directory.absolute()
  sweep = runs.load(Path(flags.sweep), directory)
  task_data = flags.task_data and str(Path(flags.task_data).expanduser().absolute())
  if task_data and not Path(task_data).is_dir():
    raise DataError(f'--task_data={flags.task_data}: no such folder.')
  console = Console(quiet=flags.json)
  unanswered = {run.folder.name: runs.unanswered(sweep, run) for run in sweep.runs}
  if flags.dry_run or flags.list:
    plan(sweep, console, unanswered)
  elif flags.slurm is not None:
    submit(sweep, directory, console, task_data)
  else:
    run_all(sweep, directory, console, unanswered, task_data)


def plan(sweep, console, unanswered: dict[str, list[str]]):
  """Says which runs are left, and with --dry_run what they would cost.

  Args:
    unanswered: {folder of a run: names of the evaluations that it has no answer for}.
  """
  from runtime.console import duration
  from tools.sweep import runs

  flags = cli.FLAGS
  facts = []
  for run in sweep.runs:
    name = run.folder.name
    facts.append(dict(title=run.title, folder=name, state=run.state(), unanswered=unanswered[name]))
  if flags.dry_run:
    for fact, run, seconds in zip(facts, sweep.runs, runs.predicted_seconds(sweep.runs)):
      fact |= dict(flops=run.flops(), seconds=seconds)
  if flags.json:
    print(json.dumps(dict(sweep=sweep.name, runs=facts)))
    return
  left = [fact for fact in facts if fact['state'] != 'finished']
  console.table(
    f'{sweep.name}: {len(facts)} runs, {len(left)} left to train',
    {f'{fact["state"]:8} {fact["folder"]}': _plan_line(fact) for fact in facts},
  )
  if flags.dry_run:
    total = sum(fact['seconds'] for fact in left)
    console.say(
      f'{len(left)} runs, about {duration(total)} of steps here (validation, compilation and '
      'evaluations come on top)'
    )


def _plan_line(fact: dict) -> str:
  """A run with its cost, if it is known, and the evaluations that it has no answer for."""
  from runtime.console import duration

  line = fact['title']
  if 'flops' in fact:
    line += f', {fact["flops"]:.3g} FLOPs, about {duration(fact["seconds"])}'
  if fact['unanswered']:
    line += f', without {", ".join(fact["unanswered"])}'
  return line


def submit(sweep, directory, console, task_data: str | None):
  """Submits the runs that are left to SLURM.

  Raises:
    ConfigError: --slurm does not go with the other flags.
  """
  from runtime import storage
  from tools.sweep import slurm

  flags = cli.FLAGS
  if task_data:
    raise ConfigError(
      '--slurm trains only: leave --task_data out, and when the runs are finished give the same '
      'command with --task_data and without --slurm.'
    )
  if storage.remote(directory):
    raise ConfigError(
      f'--slurm keeps its batch files in --workdir={directory}: name a folder that the nodes share.'
    )
  slurm.submit_sweep(sweep, flags.slurm, directory, console, as_json=flags.json)


def run_all(sweep, directory, console, unanswered: dict[str, list[str]], task_data: str | None):
  """Trains and evaluates the runs that are left, here.

  Args:
    unanswered: {folder of a run: names of the evaluations that it has no answer for}.

  Raises:
    OSError: some of the programs failed; the others have run.
  """
  from tools.sweep import runs

  device_groups = _device_groups()
  runs.write_manifest(sweep, directory)
  training = [run for run in sweep.runs if run.result() is None]
  answers = sum(map(len, unanswered.values())) if task_data else 0
  console.say(
    f'{sweep.name}: {len(sweep.runs)} runs in {directory}, {len(training)} to train, '
    f'{answers} evaluations to run'
  )
  if not task_data and any(unanswered.values()):
    names = sorted({name for names in unanswered.values() for name in names})
    console.say(f'without --task_data=DIR these evaluations are left out: {", ".join(names)}')
  left = [
    run for run in sweep.runs if run.result() is None or (task_data and unanswered[run.folder.name])
  ]
  failed = _execute(sweep, left, device_groups, task_data, console)
  if cli.FLAGS.json:
    print(json.dumps(dict(sweep=sweep.name, runs=[_run_json(sweep, run) for run in sweep.runs])))
  if failed:
    raise OSError(f'{len(failed)} of the programs failed: ' + '; '.join(failed))


def _device_groups() -> list[str | None]:
  """What each of the runs at a time may see: numbers of accelerators, or None for all of them.

  Raises:
    ConfigError: both --devices and --jobs say how many runs go at a time.
  """
  flags = cli.FLAGS
  if flags.devices and flags.jobs > 1:
    raise ConfigError('--devices says how many runs go at a time: leave --jobs out.')
  groups = [group.replace('+', ',') for group in flags.devices]
  return groups or [None] * flags.jobs


def _execute(sweep, left, device_groups, task_data, console) -> list[str]:
  """Runs what is left and says how it goes; returns what failed."""
  from runtime.console import duration
  from tools.sweep.execute import execute

  # SystemExit unwinds the stack, so `execute` can stop the processes that it started.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  failed, started = [], time.monotonic()
  # A run that only has evaluations left costs no training, which is what takes long.
  cost = {run.folder: 0.0 if run.result() else run.flops() for run in left}
  spent = 0.0
  finished = execute(
    sweep, left, device_groups, task_data, lambda what: console.say(f'  {what} ...')
  )
  for number, (run, errors) in enumerate(finished, start=1):
    failed += errors
    spent += cost[run.folder]
    result = run.result()
    outcome = f'loss {result["validation"]["loss"]:.4f}' if result else 'not finished'
    rest = ''
    if spent and number < len(left):
      seconds = (time.monotonic() - started) / spent * (sum(cost.values()) - spent)
      rest = f'; about {duration(seconds)} of training left'
    console.say(f'{number} of {len(left)}: {run.title}: {outcome}{rest}')
    for error in errors:
      console.say(f'  {error}')
  return failed


def _run_json(sweep, run) -> dict:
  from runtime import records
  from tools.sweep import runs

  return dict(
    title=run.title,
    folder=run.folder.name,
    state=run.state(),
    result=run.result(),
    evaluations=records.read_evaluations(run.folder),
    unanswered=runs.unanswered(sweep, run),
  )


if __name__ == '__main__':
  cli.run(main, positional='sweep')
