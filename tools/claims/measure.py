"""Measures what claims/*.yaml say, where this machine can: python
eval.py --claim=all|FILE|FILE:ID [--workdir=DIR]

Shapes are counted and FLOPs computed at once. A number of a trained model is read from its run,
--workdir=DIR, which must be a run of the very config that the
claim names; a sign, from the folder of a sweep.
"""

from collections.abc import Callable
import dataclasses
import functools
import importlib
import json
import math
from pathlib import Path
import re
from typing import Any

from configs import base
from configs.base import FREE_ON_RESUME
from configs.schema import check
from data.tasks.labelled import TASKS
from models.config import ModelConfig
from models.network import make_network, parameter_shapes
from objectives.corrupt import Masking
from runtime import storage, workdir
from runtime.console import Console, duration
from tools.claims import schema as published
from tools.claims.schema import Answer, Claim, ClaimError
from tools.report import anova, results
from tools.sweep import evaluations
from training import budget, cost, plan

FOLDER = Path(__file__).resolve().parents[2] / 'claims'
# A run of a claim's config may differ in these; what may change when a run resumes is no part of
# the claim either, but for what decides the result.
_FREE = {*FREE_ON_RESUME, 'name', 'seed'} - {
  'steps',
  'optimizer.learning_rate',
  'optimizer.final_share',
}
# a claim's word: ours
_SPLITS = dict(development='validation', validation='validation', test='test')
_PASSES = 3  # forward passes that training/cost.py counts a step as: the backward pass is two
# What writes a name of evaluations.json, by its beginning, and the tasks that it knows.
_WRITERS = {
  'finetune_': (
    'python -m tools.finetune {workdir} --tasks={task} --task_data=DIR --finetune_mask=same '
    '--split={split}',
    tuple(TASKS),
  ),
  'probe_': (
    'python eval.py --workdir={workdir} --tasks=probe_{task} --task_data=DIR',
    tuple(TASKS),
  ),
  'blimp': ('python eval.py --workdir={workdir} --tasks=blimp --task_data=DIR', ('',)),
}


def answer(asked: str, directory: str | None, *, as_json: bool):
  """Prints an answer to each claim that is asked for.

  Raises:
    ClaimError: there is no such claim, or a file of claims is broken.
    ClaimOff, NothingRan: by `tools.claims.schema.conclude`.
  """
  directory = directory and str(storage.resolve_path(directory))
  answers = [measure(claim, directory) for claim in published.find(FOLDER, asked)]
  if as_json:
    print(
      json.dumps(
        [
          dict(
            claim=one.claim.name,
            says=one.claim.says,
            paper=one.claim.paper,
            table=one.claim.table,
            unit=one.claim.unit,
            value=one.claim.value,
            tolerance=one.claim.tolerance,
            provenance=one.claim.provenance,
            verdict=one.verdict,
            measured=one.measured,
            off_by=one.off_by,
            reason=one.reason,
            command=one.command,
          )
          for one in answers
        ]
      )
    )
  else:
    console = Console()
    for verdict in ('confirmed', 'off', 'not runnable'):
      rows = {one.claim.name: words(one) for one in answers if one.verdict == verdict}
      if rows:
        console.table(f'{verdict}: {len(rows)} of {len(answers)}', rows)
  published.conclude(answers)


def words(one: Answer) -> str:
  """An answer in a few lines."""
  claim = one.claim
  said = (
    f'{claim.says}: {published.number(claim.value)} {claim.unit} [{claim.provenance}] {claim.table}'
  )
  if one.verdict == 'off':
    said += (
      f'\noff by {"+" if one.off_by > 0 else ""}{published.number(one.off_by)}: measured '
      f'{published.number(one.measured)}, tolerance {published.number(claim.tolerance)}; '
      f'{one.reason}'
    )
  elif one.verdict == 'confirmed':
    said += f'\nmeasured {published.number(one.measured)}; {one.reason}'
  else:
    said += f'\n{one.reason}'
  return said + (f'\nwhat would measure it: {one.command}' if one.command else '')


def measure(claim: Claim, directory: str | None) -> Answer:
  """What comes of one claim, here and, for a trained model, with the run in a folder."""
  if claim.needs:
    return published.cannot(claim, f'it needs {claim.needs}')
  kinds: dict[str, Callable[[Claim, str | None], Answer]] = dict(
    parameters=_parameters, flops=_flops, validation=_validation, task=_task, sign=_sign
  )
  return kinds[claim.kind](claim, directory)


def _parameters(claim: Claim, directory: str | None) -> Answer:
  said = claim.measure
  config = config_of(claim)
  shape = ModelConfig(**config.model.to_dict() | said.get('changes', {}))
  network = make_network(shape, mask=config.mask, packed=False, heads=tuple(said['heads']))
  without = said.get('without')
  sizes = {path: math.prod(shape) for path, shape in parameter_shapes(network).items()}
  left_out = [path for path in sizes if without and path.startswith(f'{without}/')]
  if without and not left_out:
    raise ClaimError(
      f'{claim.name}: field measure.without: the network has no parameters {without}/'
    )
  counted = sum(sizes.values()) - sum(sizes[path] for path in left_out)
  return published.judge(
    claim,
    counted,
    f'shapes of configs/{said["config"]}.py with heads '
    f'{said["heads"]}' + (f', without {without}' if without else ''),
  )


def _flops(claim: Claim, directory: str | None) -> Answer:
  said = claim.measure
  model = config_of(claim).model.to_dict()

  def flops(cell: dict[str, Any]) -> float:
    masking = Masking(**config_of(claim).mlm.to_dict() | dict(rate=cell['rate']))
    T = said['length']
    each = cost.flops_per_token(
      ModelConfig(**model), tuple(cell['heads']), T, masking.predictions(T)
    )
    return each / _PASSES * said['passes']

  how = f'training/cost.py, a step as {said["passes"]} forward passes'
  value = flops(said['cell'])
  if 'against' in said:
    value /= flops(said['against'])
  return published.judge(claim, value, how)


def _validation(claim: Claim, directory: str | None) -> Answer:
  config, name = config_of(claim), claim.measure['name']
  if refused := _other_run(claim, config, directory):
    return refused
  result = workdir.finished(directory, check.resolve(workdir.read_config(directory)))
  if result is None:
    return published.cannot(
      claim, f'the run in {directory} is not finished', _command(claim, directory)
    )
  if name not in result['validation']:
    return published.cannot(claim, f'result.json of {directory} has no {name}')
  return published.judge(
    claim, result['validation'][name], f'{name} of {directory}, seed {_seed(directory)}'
  )


def _task(claim: Claim, directory: str | None) -> Answer:
  config, name = config_of(claim), claim.measure['name']
  writer = _writer(name, directory or 'DIR', _SPLITS.get(claim.split, 'test'))
  if writer is None and (
    directory is None or name not in evaluations.read(storage.resolve_path(directory))
  ):
    return published.cannot(claim, f'no program of this repository measures {name}')
  if refused := _other_run(claim, config, directory):
    return dataclasses.replace(refused, command=f'{refused.command} && {writer}')
  entry = evaluations.read(storage.resolve_path(directory)).get(name)
  if entry is None:
    return published.cannot(claim, f'evaluations.json of {directory} has no {name}', writer)
  value = _in_unit(entry, claim)
  if value is None:
    return published.cannot(
      claim,
      f'{name} of {directory} is {entry.get("unit")!r}, the claim is {claim.metric!r} in '
      f'{claim.unit!r}',
    )
  wanted = _SPLITS.get(claim.split)
  if wanted and entry.get('split') != wanted:
    return published.cannot(
      claim,
      f'{name} of {directory} is of split {entry.get("split")!r}, the claim is of {wanted!r}',
      writer,
    )
  return published.judge(
    claim,
    value,
    f'{name} of {directory}' + (f', split {entry["split"]}' if 'split' in entry else ''),
  )


def _sign(claim: Claim, directory: str | None) -> Answer:
  said = claim.measure
  writer = _writer(said['name'], 'RUN', _SPLITS.get(claim.split, 'test'))
  if directory is None:
    sweep = f'python -m tools.sweep configs/sweeps/{said["sweep"]}.py --workdir=DIR'
    return published.cannot(
      claim,
      'it needs the folder of a sweep that holds both sides, several seeds each: '
      '--workdir=DIR names it',
      sweep + (f', then for each RUN in it {writer}' if writer else ''),
    )
  sides: list[dict[int, float]] = [{}, {}]
  for run in results.load(storage.resolve_path(directory)).runs:
    value = run.validation.get(said['name'])
    if value is None:
      value = _in_unit(
        evaluations.read(storage.resolve_path(directory) / run.folder).get(said['name'], {}), claim
      )
    for side, values in zip((said['higher'], said['lower']), sides):
      if value is not None and all(
        _matches(run.changes.get(field), wanted) for field, wanted in side.items()
      ):
        if run.seed in values:
          return published.cannot(
            claim, f'{directory} has several runs of {side} with seed {run.seed}'
          )
        values[run.seed] = value
  seeds = sorted(sides[0].keys() & sides[1].keys())
  if not seeds:
    return published.cannot(
      claim, f'no seed of {directory} has {said["name"]}, the {claim.metric}, on both sides', writer
    )
  paired = anova.Mean(tuple(sides[0][seed] - sides[1][seed] for seed in seeds), tuple(seeds))
  return published.judge_sign(
    claim, paired.mean, paired.half_width, f'{said["name"]} of {directory}, {len(seeds)} seeds'
  )


def _matches(value: Any, wanted: Any) -> bool:
  """Objectives are told by their names."""
  return (
    value == wanted
    or isinstance(value, dict)
    and isinstance(wanted, list)
    and sorted(value) == sorted(wanted)
  )


def _other_run(claim: Claim, config, directory: str | None) -> Answer | None:
  """Why the folder holds no run that could speak for the claim; None where it does."""
  imported = claim.measure.get('weights') == 'published'
  if directory is None:
    have = (
      'published weights, imported by tools.convert'
      if imported
      else f'a run of configs/{_file(claim)}.py'
    )
    reach = '' if imported else f', {_effort(claim, config)}'
    return published.cannot(
      claim, f'it needs {have}{reach}; --workdir=DIR names it', _command(claim, 'DIR')
    )
  run = workdir.read_config(directory)
  if imported and run.name != 'imported':
    return published.cannot(
      claim,
      f'{directory} was trained here; the claim is of published weights',
      _command(claim, 'DIR'),
    )
  wanted, there = (
    {
      name: value
      for name, value in check.flatten(check.resolve(one)).items()
      if not imported or name == 'mask' or name.startswith('model.')
    }
    for one in (config, run)
  )
  differing = [
    (name, there.get(name), wanted.get(name))
    for name in sorted({*wanted, *there})
    if there.get(name) != wanted.get(name) and not check.covers(tuple(_FREE), name)
  ]
  if differing:
    some = ', '.join(
      f'{name}={was!r} where the claim has {is_!r}' for name, was, is_ in differing[:3]
    )
    return published.cannot(
      claim,
      f'{directory} is another run: {some}'
      + (f', and {len(differing) - 3} more' if differing[3:] else ''),
      _command(claim, 'DIR'),
    )
  return None


def _file(claim: Claim) -> str:
  return claim.measure['config'].partition(':')[0]


def config_of(claim: Claim):
  """The config that a claim names, as FILE or FILE:corpus=NAME, with what a run of it changes."""
  named, where = claim.measure['config'], f'{claim.name}: field measure'
  file, _, argument = named.partition(':')
  if not re.fullmatch(r'\w+', file) or not (Path(base.__file__).parent / f'{file}.py').is_file():
    raise ClaimError(f'{where}.config: there is no configs/{file}.py')
  config = importlib.import_module(f'configs.{file}').get_config(argument)
  if claim.kind in ('validation', 'task') and 'changes' in claim.measure:
    try:
      config.update_from_flattened_dict(claim.measure['changes'])
      check.check(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
      raise ClaimError(f'{where}.changes: {error}') from error
  return config


def _effort(claim: Claim, config) -> str:
  """FLOPs of the run, and how long steps would take here, from a matrix product measured now."""
  flops = budget.spending(config)['flops']
  return (
    f'{flops:.2g} FLOPs or about {duration(flops / _speed(config.model.width))} on this machine'
  )


@functools.cache
def _speed(width: int) -> float:
  return plan.expected_speed(width)


def _command(claim: Claim, directory: str) -> str:
  said = claim.measure
  if said.get('weights') == 'published':
    return f'python -m tools.convert --from=WEIGHTS --to={directory}'
  file, colon, argument = said['config'].partition(':')
  config = f'--config=configs/{file}.py{colon}{argument}'
  fields = [f'--config.{name}={value}' for name, value in said.get('changes', {}).items()]
  return ' '.join(['python train.py', config, *fields, f'--workdir={directory}'])


def _writer(name: str, directory: str, split: str) -> str | None:
  """The command that puts a name into evaluations.json; None where no program here does."""
  for prefix, (command, tasks) in _WRITERS.items():
    if name.startswith(prefix) and name.removeprefix(prefix) in tasks:
      return command.format(workdir=directory, task=name.removeprefix(prefix), split=split)
  return None


def _in_unit(entry: dict[str, Any], claim: Claim) -> float | None:
  """The value of an evaluation in the unit of a claim, or None where it is not the same thing.

  An evaluation's unit may go on after a comma or semicolon, as in 'accuracy, mean over 67
  paradigms'. A score from 0 to 1 is named by its metric, and papers give it in percent.
  """
  unit = re.split('[,;]', str(entry.get('unit', '')))[0].strip()
  if unit and unit == claim.unit:
    return entry['value']
  return 100 * entry['value'] if claim.unit.startswith('percent') and unit == claim.metric else None


def _seed(directory: str) -> int:
  return workdir.read_config(directory).seed
