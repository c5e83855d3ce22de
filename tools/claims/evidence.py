"""Where a claim's number comes from: its config, the runs that can speak for it, the commands."""

import functools
import importlib
from pathlib import Path
import re
from typing import Any

from configs import base
from configs.base import FREE_ON_RESUME
from configs.schema import check
from data.tasks.labelled import TASKS
from runtime import workdir
from runtime.console import duration
from tools.claims.schema import Claim, ClaimError
from tools.claims.verdict import Answer, cannot
from tools.sweep import runs as sweep_runs
from training import budget, plan

# A run of a claim's config may differ in these fields: what may change when a run resumes, except
# what decides the result.
_FREE = {*FREE_ON_RESUME, 'name', 'seed'} - {
  'steps',
  'optimizer.learning_rate',
  'optimizer.final_share',
}
_EVAL = 'python eval.py --workdir={workdir} --tasks='
# Beginning of a name in evaluations.json: (the command that writes it, the tasks that it knows).
_WRITERS = {
  'finetune_': (
    'python -m tools.finetune {workdir} --tasks={task} --task_data=DIR --finetune_mask=same '
    '--split={split}',
    tuple(TASKS),
  ),
  'probe_': (_EVAL + 'probe_{task} --task_data=DIR', tuple(TASKS)),
  'blimp': (_EVAL + 'blimp --task_data=DIR', ('',)),
  'sts_': (_EVAL + 'sts --task_data=DIR', ('2012', '2013', '2014', '2015', '2016', 'stsb')),
  'sick_r': (_EVAL + 'sts --task_data=DIR', ('',)),
  **{
    name: (f'{_EVAL}{name} --task_data=DIR', ('',))
    for name in ('sts', 'retrieval', 'pairs', 'rerank')
  },
}


def config_of(claim: Claim):
  """The config that a claim names, as FILE or FILE:corpus=NAME, with the changes of its run.

  Raises:
    ClaimError: there is no such config, or it cannot be changed so.
  """
  where = f'{claim.name}: field measure'
  file, _, argument = claim.measure['config'].partition(':')
  if (
    not re.fullmatch(r'\w+(/\w+)?', file)
    or not (Path(base.__file__).parent / f'{file}.py').is_file()
  ):
    raise ClaimError(f'{where}.config: there is no configs/{file}.py')
  module = importlib.import_module('configs.' + file.replace('/', '.'))
  config = module.get_config(argument)
  if claim.kind in ('validation', 'task') and 'changes' in claim.measure:
    try:
      config.update_from_flattened_dict(claim.measure['changes'])
      check.check(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
      raise ClaimError(f'{where}.changes: {error}') from error
  return config


def refuse_other_run(claim: Claim, config, directory: str | None) -> Answer | None:
  """Why the run in a folder cannot speak for a claim; None if it can.

  Args:
    config: of the claim.
  """
  imported = claim.measure.get('weights') == 'published'
  if directory is None:
    return cannot(
      claim,
      f'it needs {_needed(claim, config, imported)}; --workdir=DIR names it',
      train_command(claim, 'DIR'),
    )
  run = workdir.read_config(directory)
  if imported and run.name != 'imported':
    return cannot(
      claim,
      f'{directory} was trained here; the claim is of published weights',
      train_command(claim, 'DIR'),
    )
  if differing := _differing(config, run, imported):
    more = f', and {len(differing) - 3} more' if len(differing) > 3 else ''
    return cannot(
      claim,
      f'{directory} is another run: {", ".join(differing[:3])}{more}',
      train_command(claim, 'DIR'),
    )
  return None


def _needed(claim: Claim, config, imported: bool) -> str:
  if imported:
    return 'published weights, imported by tools.convert'
  flops = budget.spending(config)['flops']
  seconds = flops / _flops_a_second(config.model.width)
  return (
    f'a run of configs/{claim.measure["config"].partition(":")[0]}.py, '
    f'{flops:.2g} FLOPs or about {duration(seconds)} on this machine'
  )


@functools.cache
def _flops_a_second(width: int) -> float:
  """What steps of a network of this width reach, from a matrix product measured now."""
  return plan.expected_speed(width)


def _differing(config, run, imported: bool) -> list[str]:
  """The fields in which a run differs from a claim's config, as text.

  Args:
    imported: the run is of published weights, which have no training: only mask and model count.
  """
  wanted, found = check.flatten(check.resolve(config)), check.flatten(check.resolve(run))
  lines = []
  for name in sorted({*wanted, *found}):
    if imported and name != 'mask' and not name.startswith('model.'):
      continue
    one, other = found.get(name), wanted.get(name)
    if one != other and not check.covers(tuple(_FREE), name):
      lines.append(f'{name}={one!r} where the claim has {other!r}')
  return lines


def train_command(claim: Claim, directory: str) -> str:
  """The command that makes the run, or imports the weights, of a claim."""
  measure = claim.measure
  if measure.get('weights') == 'published':
    return f'python -m tools.convert --from=WEIGHTS --to={directory}'
  file, colon, argument = measure['config'].partition(':')
  config = f'--config=configs/{file}.py{colon}{argument}'
  fields = [f'--config.{name}={value}' for name, value in measure.get('changes', {}).items()]
  return ' '.join(['python train.py', config, *fields, f'--workdir={directory}'])


def evaluation_command(name: str, directory: str, split: str, imported: bool) -> str | None:
  """The command that writes an entry of evaluations.json; None if no program here does.

  Args:
    imported: the folder holds imported weights, and is written into on request only.
  """
  for prefix, (command, tasks) in _WRITERS.items():
    task = name.removeprefix(prefix)
    if name.startswith(prefix) and task in tasks:
      return command.format(workdir=directory, task=task, split=split) + (' --keep' * imported)
  return None


def sweep_command(claim: Claim, evaluation: str | None) -> str:
  """The commands that make both sides of a sign.

  Args:
    evaluation: what writes its number into a run; not needed where the sweep evaluates it itself.
  """
  file = f'configs/sweeps/{claim.measure["sweep"]}.py'
  command = f'python -m tools.sweep {file} --workdir=DIR'
  if claim.measure['name'] in _evaluated(file):
    return f'{command} --task_data=DIR'
  return command + (f', then for each RUN in it {evaluation}' if evaluation else '')


@functools.cache
def _evaluated(file: str) -> frozenset[str]:
  """The evaluations that a sweep has of every run."""
  sweep = sweep_runs.load(sweep_runs.ROOT / file, Path('DIR'))
  return frozenset(one.name(task) for one in sweep.evaluations for task in one.tasks)


def value_in_unit(entry: dict[str, Any], claim: Claim) -> float | None:
  """The value of an entry of evaluations.json in a claim's unit; None if it is another thing.

  An entry's unit may go on after a comma or semicolon, as in 'accuracy, mean over 67 paradigms'. A
  score from 0 to 1 is named by its metric, and papers give it in percent.
  """
  unit = re.split('[,;]', str(entry.get('unit', '')))[0].strip()
  if unit and unit == claim.unit:
    return entry['value']
  if claim.unit.startswith('percent') and unit == claim.metric:
    return 100 * entry['value']
  return None
