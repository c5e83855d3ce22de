"""Reads a sweep's finished runs from its folder."""

import hashlib
from pathlib import Path
from typing import Any

from configs.schema import check
from runtime import json_file, records
from runtime.errors import StateError
from tools.report.comparable import BUDGETS, differing
from tools.report.records import FinishedRun, Sweep
from tools.sweep import runs as sweep_runs
from training import certificate, metrics

# What a finished run has left.
_FILES = ('result.json', 'config.json', 'data.json', 'initial.json')
# What a report uses of a row of the log; a loss may be 'nan'.
_LOGGED = {'batch_hash': str, 'val/loss': (int, float, str)}
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
  manifest = sweep_runs.read_manifest(path)
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
  if not all((folder / name).is_file() for name in _FILES):
    return None
  result = records.read_result(folder / 'result.json', tokens=int, validation_sha256=str)
  config = records.read_config(folder / 'config.json')
  data = records.read_fingerprint(folder / 'data.json')
  if result['step'] != config.get('steps') or check.config_hash(config) != entry['config_hash']:
    return None
  rows = _read_rows(folder)
  batches = {row['step']: row['batch_hash'] for row in rows if 'batch_hash' in row}
  if certified:
    said = _read_certificate(folder)
  else:
    logged = ' '.join(row['batch_hash'] for row in rows if 'batch_hash' in row)
    said = dict(
      data=data['data'],
      tokenizer=data['tokenizer'],
      tokens=result['tokens'],
      validation_sha256=result['validation_sha256'],
      rows_sha256=hashlib.sha256(logged.encode()).hexdigest(),
      initial_sha256=certificate.read_initial(folder),
      steps=result['step'],
    )
  return FinishedRun(
    folder=folder.name,
    changes=entry['changes'],
    validation=result['validation'],
    certificate=said,
    curve=[(row['tokens'], row['val/loss']) for row in rows if 'val/loss' in row],
    evaluations=records.read_evaluations(folder),
    batches=batches,
  )


def _read_rows(folder: Path) -> list[dict[str, Any]]:
  """The rows of a run's log.

  Raises:
    StateError: a value that a report uses is of another type.
  """
  rows = metrics.read(folder)
  for row in rows:
    wanted = {name: types for name, types in _LOGGED.items() if name in row}
    try:
      json_file.check_fields(row, wanted | dict(tokens=int))
    except ValueError as error:
      raise StateError(f'{folder}: the row of step {row["step"]} of its log: {error}.') from error
  return rows


def _read_certificate(folder: Path) -> dict[str, Any]:
  """The fields of a run's certificate.json that a report compares.

  Raises:
    StateError: the file is damaged, a field is missing, or the budget is unknown.
  """
  stored = json_file.read_object(
    folder / 'certificate.json',
    dict(budget=str),
    refuse=StateError,
    todo='Remove it and result.json, and train the run again: it writes both from its checkpoint.',
  )
  if stored.get('budget') not in BUDGETS:
    raise StateError(
      f'{folder}/certificate.json: budget {stored.get("budget")!r} is none of {", ".join(BUDGETS)}.'
    )
  # A budget's count may be in _STORED already.
  wanted = dict.fromkeys((*_STORED, BUDGETS[stored['budget']].count))
  if missing := [name for name in wanted if name not in stored]:
    raise StateError(f'{folder}/certificate.json says nothing of {", ".join(missing)}.')
  return {name: stored[name] for name in wanted}
