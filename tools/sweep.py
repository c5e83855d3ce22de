"""Runs an ablation: python -m tools.sweep configs/sweeps/mask_by_objective.py --workdir=DIR [--dry_run] [--list]

One file is one ablation and one table. Every run has a folder named by the hash of its config: what is finished is
skipped, what was begun goes on where it stopped, and the same command finishes a sweep that was interrupted.
`python -m tools.report DIR` makes the table.
"""

import json
from pathlib import Path
import time

from configs import cli
from configs.check import ConfigError

cli.flags.DEFINE_string('sweep', None, 'A file of configs/sweeps.')
cli.flags.DEFINE_string('workdir', None, 'The folder of the sweep; each run has a folder in it.')
cli.flags.DEFINE_integer('jobs', 1, 'Runs at a time. They share this machine.', lower_bound=1)
cli.flags.DEFINE_bool('dry_run', False, 'Only say what would run, and the predicted cost.')
cli.flags.DEFINE_bool('list', False, 'Only say which runs are finished, begun or waiting.')
cli.flags.DEFINE_list('slurm', None, 'Submit to SLURM: time=MINUTES,partition=NAME,cpus=8,gpus=1,parallel=16 ...')
cli.flags.DEFINE_bool('json', False, 'One JSON object instead of a table.')


def main():
  flags = cli.FLAGS
  if not flags.sweep or not flags.workdir:
    raise ConfigError('a sweep and a folder are needed: configs/sweeps/mask_by_objective.py --workdir=sweeps/mine')

  from tools import sweeping
  from training.console import Console, duration

  directory = Path(flags.workdir).expanduser().absolute()
  sweep = sweeping.load(Path(flags.sweep), directory)
  console = Console(quiet=flags.json)
  left = [run for run in sweep.runs if run.result() is None]
  if flags.dry_run or flags.list:
    facts = [dict(title=run.title, folder=run.folder.name, state=run.state()) for run in sweep.runs]
    if flags.dry_run:
      for fact, run, seconds in zip(facts, sweep.runs, sweeping.seconds(sweep.runs)):
        fact |= dict(flops=run.flops(), seconds=seconds)
    if flags.json:
      print(json.dumps(dict(sweep=sweep.name, runs=facts)))
      return
    cost = lambda fact: f', {fact["flops"]:.3g} FLOPs, about {duration(fact["seconds"])}' if flags.dry_run else ''
    console.table(f'{sweep.name}: {len(sweep.runs)} runs, {len(left)} left', {
        f'{fact["state"]:8} {fact["folder"]}': fact['title'] + cost(fact) for fact in facts})
    if flags.dry_run:
      rest = sum(fact['seconds'] for fact in facts if fact['state'] != 'finished')
      console.say(f'{len(left)} runs, about {duration(rest)} of steps here (validation and compilation come on top)')
    return
  if flags.slurm is not None:
    from tools import slurm
    return slurm.run(sweep, flags.slurm, directory, console, as_json=flags.json)
  sweeping.note(sweep, directory)
  console.say(f'{sweep.name}: {len(sweep.runs)} runs in {directory}, {len(sweep.runs) - len(left)} finished')
  failed, started = [], time.monotonic()
  runs = sweeping.execute(left, flags.jobs, lambda run: console.say(f'  {run.title} ...'))
  for number, (run, code) in enumerate(runs, start=1):
    taken = time.monotonic() - started
    if code:
      failed.append(run)
    outcome = f'failed with exit code {code}, see {run.folder.name}.log' if code else (
        f'loss {run.result()["validation"]["loss"]:.4f}')
    rest = f'; about {duration(taken / number * (len(left) - number))} left' if number < len(left) else ''
    console.say(f'{number} of {len(left)}: {run.title}: {outcome}{rest}')
  if flags.json:
    print(json.dumps(dict(sweep=sweep.name, runs=[
        dict(title=run.title, folder=run.folder.name, state=run.state(), result=run.result()) for run in sweep.runs])))
  if failed:
    raise OSError(f'{len(failed)} of {len(left)} runs failed: ' + ', '.join(f'{run.folder.name}.log' for run in failed))


if __name__ == '__main__':
  cli.run(main, positional='sweep')
