"""Reads a sweep's finished runs from its folder."""

import hashlib
import json
from pathlib import Path
from typing import Any

from configs.schema import check
from runtime.errors import StateError
from tools.report.comparable import BUDGETS, differing
from tools.report.records import FinishedRun, Sweep
from tools.sweep import evaluations
from training import metrics

# The fields of certificate.json that a report needs, besides the count of the run's budget.
_STORED = (
  'data',
  'tokenizer',
  'validation_sha256',
  'validation_masks_sha256',
  'initial_sha256',
  'rows_sha256',
  'masks_sha256',
  'tokens',
  'flops',
  'predictions',
  'steps',
  'budget',
)


def load(directory: Path) -> Sweep:
  """The sweep of a folder.

  Raises:
    StateError: the folder has no sweep, no run is finished, or runs that the table compares are not
      comparable.
  """
  path = directory / 'sweep.json'
  if not path.is_file():
    raise StateError(
      f'{directory} has no sweep.json: run python -m tools.sweep FILE --workdir={directory} first.'
    )
  manifest = json.loads(path.read_text())
  entries = manifest['runs']
  certified = all(_has_certificate(directory / entry['folder']) for entry in entries)
  runs = [_read_run(directory / entry['folder'], entry, certified) for entry in entries]
  sweep = Sweep(
    name=manifest['name'],
    about=manifest['about'],
    table=manifest['table'],
    runs=[run for run in runs if run],
    missing=[entry['folder'] for entry, run in zip(entries, runs) if run is None],
    certified=certified,
  )
  if not sweep.runs:
    raise StateError(f'{directory}: none of its {len(runs)} runs is finished.')
  if differences := differing(sweep):
    raise StateError(
      f'{directory}: these runs do not belong in one table, for what it holds equal '
      'differs:\n' + '\n'.join(f'  {line}' for line in differences)
    )
  return sweep


def _has_certificate(folder: Path) -> bool:
  """Whether a run wrote its certificate; true of an unfinished one, which does not count."""
  return (folder / 'certificate.json').is_file() or not (folder / 'result.json').is_file()


def _read_run(folder: Path, entry: dict[str, Any], certified: bool) -> FinishedRun | None:
  """A run from its folder; None if it is not finished, or is a run of another config.

  Args:
    entry: of the run in sweep.json.
    certified: read its certificate.json instead of deriving the certificate from its logs.
  """
  paths = [folder / f'{name}.json' for name in ('result', 'config', 'data', 'initial')]
  if not all(path.is_file() for path in paths):
    return None
  result, config, data, initial = (json.loads(path.read_text()) for path in paths)
  if result['step'] != config['steps'] or check.config_hash(config) != entry['config_hash']:
    return None
  rows = metrics.read(folder)
  batches = {row['step']: row['batch_hash'] for row in rows if 'batch_hash' in row}
  if certified:
    certificate = _read_certificate(folder)
  else:
    logged = ' '.join(row['batch_hash'] for row in rows if 'batch_hash' in row)
    certificate = dict(
      data=data['data'],
      tokenizer=data['tokenizer'],
      tokens=result['tokens'],
      validation_sha256=result['validation_sha256'],
      rows_sha256=hashlib.sha256(logged.encode()).hexdigest(),
      initial_sha256=initial['sha256'],
      steps=result['step'],
    )
  return FinishedRun(
    folder=folder.name,
    changes=entry['changes'],
    validation=result['validation'],
    certificate=certificate,
    curve=[(row['tokens'], row['val/loss']) for row in rows if 'val/loss' in row],
    evaluations=evaluations.read(folder),
    batches=batches,
  )


def _read_certificate(folder: Path) -> dict[str, Any]:
  """The fields of a run's certificate.json that a report compares.

  Raises:
    StateError: a field is missing, or the budget is unknown.
  """
  stored = json.loads((folder / 'certificate.json').read_text())
  if stored.get('budget') not in BUDGETS:
    raise StateError(
      f'{folder}/certificate.json: budget {stored.get("budget")!r} is none of {", ".join(BUDGETS)}.'
    )
  # A budget's count may be in _STORED already.
  wanted = dict.fromkeys((*_STORED, BUDGETS[stored['budget']].count))
  if missing := [name for name in wanted if name not in stored]:
    raise StateError(f'{folder}/certificate.json says nothing of {", ".join(missing)}.')
  return {name: stored[name] for name in wanted}
