"""Measures what claims/*.yaml say, as far as this machine can: python
eval.py --claim=all|FILE|FILE:ID [--workdir=DIR]

Shapes are counted and FLOPs computed at once. A number of a trained model is read from its run,
--workdir=DIR, which must be a run of the very config that the claim names; a sign is read from the
folder of a sweep.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from configs.schema import check
from models.config import ModelConfig
from models.network import make_network, parameter_shapes
from objectives.corrupt import Masking
from runtime import records, storage, workdir
from runtime.console import Console
from tools.claims import schema
from tools.claims.evidence import (
  config_of,
  evaluation_command,
  refuse_other_run,
  sweep_command,
  train_command,
  value_in_unit,
)
from tools.claims.schema import Claim, ClaimError
from tools.claims.verdict import Answer, cannot, conclude, judge, judge_sign, number
from tools.report import anova, results
from tools.report.records import FinishedRun
from training import cost

FOLDER = Path(__file__).resolve().parents[2] / 'claims'
# A claim's word for a split, and ours.
_SPLITS = dict(development='validation', validation='validation', test='test')
# training/cost.py counts a step as three forward passes: the backward pass is two.
_PASSES = 3


def answer(name: str, directory: str | None, *, as_json: bool):
  """Prints an answer to each claim of a name, then concludes.

  Args:
    name: all, FILE or FILE:ID.
    directory: of a run or a sweep.

  Raises:
    ClaimError: there is no such claim, or a file of claims is broken.
    ClaimOff, NothingRan: see `tools.claims.verdict.conclude`.
  """
  directory = directory and str(storage.resolve_path(directory))
  answers = [measure(claim, directory) for claim in schema.find(FOLDER, name)]
  if as_json:
    print(json.dumps([_answer_json(one) for one in answers]))
  else:
    console = Console()
    for verdict in ('confirmed', 'off', 'not runnable'):
      rows = {one.claim.name: words(one) for one in answers if one.verdict == verdict}
      if rows:
        console.table(f'{verdict}: {len(rows)} of {len(answers)}', rows)
  conclude(answers)


def _answer_json(one: Answer) -> dict[str, Any]:
  claim = one.claim
  return dict(
    claim=claim.name,
    says=claim.says,
    paper=claim.paper,
    table=claim.table,
    unit=claim.unit,
    value=claim.value,
    tolerance=claim.tolerance,
    provenance=claim.provenance,
    verdict=one.verdict,
    measured=one.measured,
    off_by=one.off_by,
    reason=one.reason,
    command=one.command,
  )


def words(one: Answer) -> str:
  """An answer in a few lines."""
  claim = one.claim
  lines = [f'{claim.says}: {number(claim.value)} {claim.unit} [{claim.provenance}] {claim.table}']
  if one.verdict == 'off':
    sign = '+' if one.off_by > 0 else ''
    lines.append(
      f'off by {sign}{number(one.off_by)}: measured {number(one.measured)}, '
      f'tolerance {number(claim.tolerance)}; {one.reason}'
    )
  elif one.verdict == 'confirmed':
    lines.append(f'measured {number(one.measured)}; {one.reason}')
  else:
    lines.append(one.reason)
  if one.command:
    lines.append(f'what would measure it: {one.command}')
  return '\n'.join(lines)


def measure(claim: Claim, directory: str | None) -> Answer:
  """The answer to one claim.

  Args:
    directory: of a run or a sweep, for claims of trained models.
  """
  if claim.needs:
    return cannot(claim, f'it needs {claim.needs}')
  kinds = dict(parameters=_parameters, flops=_flops, validation=_validation, task=_task, sign=_sign)
  return kinds[claim.kind](claim, directory)


def _parameters(claim: Claim, directory: str | None) -> Answer:
  """Counts the elements of a network's parameters."""
  config, heads = config_of(claim), claim.measure['heads']
  without = claim.measure.get('without')
  model = ModelConfig(**config.model.to_dict() | claim.measure.get('changes', {}))
  network = make_network(model, mask=config.mask, packed=False, heads=tuple(heads))
  sizes = {path: math.prod(shape) for path, shape in parameter_shapes(network).items()}
  left_out = [path for path in sizes if without and path.startswith(f'{without}/')]
  if without and not left_out:
    raise ClaimError(
      f'{claim.name}: field measure.without: the network has no parameters {without}/'
    )
  counted = sum(sizes.values()) - sum(sizes[path] for path in left_out)
  how = f'shapes of configs/{claim.measure["config"]}.py with heads {heads}'
  return judge(claim, counted, how + (f', without {without}' if without else ''))


def _flops(claim: Claim, directory: str | None) -> Answer:
  """Computes FLOPs a token, or their ratio between two cells."""
  passes = claim.measure['passes']
  value = _flops_per_token(claim, claim.measure['cell'])
  if 'against' in claim.measure:
    value /= _flops_per_token(claim, claim.measure['against'])
  return judge(claim, value, f'training/cost.py, a step as {passes} forward passes')


def _flops_per_token(claim: Claim, cell: dict[str, Any]) -> float:
  config, T = config_of(claim), claim.measure['length']
  masking = Masking(**config.mlm.to_dict() | dict(rate=cell['rate']))
  model = ModelConfig(**config.model.to_dict())
  flops = cost.flops_per_token(model, tuple(cell['heads']), T, masking.predictions(T))
  return flops / _PASSES * claim.measure['passes']


def _validation(claim: Claim, directory: str | None) -> Answer:
  """Reads a number of a run's last validation."""
  config, name = config_of(claim), claim.measure['name']
  if refused := refuse_other_run(claim, config, directory):
    return refused
  run = workdir.read_config(directory)
  result = workdir.finished(directory, check.resolve(run))
  if result is None:
    return cannot(claim, f'the run in {directory} is not finished', train_command(claim, directory))
  if name not in result['validation']:
    return cannot(claim, f'result.json of {directory} has no {name}')
  return judge(claim, result['validation'][name], f'{name} of {directory}, seed {run.seed}')


def _task(claim: Claim, directory: str | None) -> Answer:
  """Reads the entry of a task in a run's evaluations.json."""
  config, name = config_of(claim), claim.measure['name']
  split = _SPLITS.get(claim.split)
  published = claim.measure.get('weights') == 'published'
  command = evaluation_command(name, directory or 'DIR', split or 'test', imported=published)
  if command is None and (directory is None or name not in _evaluations(directory)):
    return cannot(claim, f'no program of this repository measures {name}')
  if refused := refuse_other_run(claim, config, directory):
    return dataclasses.replace(refused, command=f'{refused.command} && {command}')
  entry = _evaluations(directory).get(name)
  if entry is None:
    return cannot(claim, f'evaluations.json of {directory} has no {name}', command)
  value, found = value_in_unit(entry, claim), f'{name} of {directory}'
  if value is None:
    return cannot(
      claim,
      f'{found} is {entry.get("unit")!r}, the claim is {claim.metric!r} in {claim.unit!r}',
    )
  if split and entry.get('split') != split:
    return cannot(
      claim, f'{found} is of split {entry.get("split")!r}, the claim is of {split!r}', command
    )
  return judge(claim, value, found + (f', split {entry["split"]}' if 'split' in entry else ''))


def _evaluations(directory: str) -> dict[str, dict[str, Any]]:
  return records.read_evaluations(storage.resolve_path(directory))


def _sign(claim: Claim, directory: str | None) -> Answer:
  """Measures the paired difference between two sides of a sweep, over the seeds of both."""
  name = claim.measure['name']
  asked = dict(higher=name, lower=claim.measure.get('lower_name', name))
  command = evaluation_command(name, 'RUN', _SPLITS.get(claim.split, 'test'), imported=False)
  if directory is None:
    return cannot(
      claim,
      'it needs the folder of a sweep that holds both sides, several seeds each: '
      '--workdir=DIR names it',
      sweep_command(claim, command),
    )
  found: dict[str, dict[int, float]] = dict(higher={}, lower={})
  for run in results.load(storage.resolve_path(directory)).runs:
    for which, by_seed in found.items():
      side, value = claim.measure[which], _value(claim, directory, run, asked[which])
      if value is None or not _is_of_side(run, side):
        continue
      if run.seed in by_seed:
        return cannot(claim, f'{directory} has several runs of {side} with seed {run.seed}')
      by_seed[run.seed] = value
  higher, lower = found.values()
  seeds, names = sorted(higher.keys() & lower.keys()), ' and '.join(dict.fromkeys(asked.values()))
  if not seeds:
    return cannot(
      claim, f'no seed of {directory} has {names}, the {claim.metric}, on both sides', command
    )
  paired = anova.Mean(tuple(higher[seed] - lower[seed] for seed in seeds), tuple(seeds))
  how = f'{names} of {directory}, {len(seeds)} seeds'
  return judge_sign(claim, paired.mean, paired.half_width, how)


def _value(claim: Claim, directory: str, run: FinishedRun, name: str) -> float | None:
  """The number of a run that a claim is about, in its unit: of validation, or an evaluation."""
  value = run.validation.get(name)
  if value is not None:
    return value
  entries = records.read_evaluations(storage.resolve_path(directory) / run.folder)
  return value_in_unit(entries.get(name, {}), claim)


def _is_of_side(run: FinishedRun, side: dict[str, Any]) -> bool:
  return all(_matches(run.changes.get(field), wanted) for field, wanted in side.items())


def _matches(value: Any, wanted: Any) -> bool:
  """Whether a config value is what a claim names; a claim lists objectives by name."""
  if isinstance(value, dict) and isinstance(wanted, list):
    return sorted(value) == sorted(wanted)
  return value == wanted
