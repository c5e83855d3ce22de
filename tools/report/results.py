"""The runs of a sweep that came to their end, and whether their certificates allow one table."""

from collections.abc import Callable
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from configs.schema import check
from runtime.errors import StateError
from tools.sweep import evaluations
from tools.sweep.runs import axes_of
from training import metrics

# What runs of one table hold equal, and the fields of a config which, as an axis of the sweep,
# explain a difference. Runs are compared within a seed (another seed has other parameters and other
# rows) and where those fields agree.
EQUAL = {
  'data': ('data.',),
  'tokenizer': ('data.', 'model.vocab_size'),
  'validation_sha256': ('data.', 'model.vocab_size'),
  'rows_sha256': ('data.', 'model.vocab_size', 'steps', 'batch_size'),
  'masks_sha256': (
    'data.',
    'model.vocab_size',
    'steps',
    'batch_size',
    'mlm.',
    'objectives',
    'schedule',
  ),
  'initial_sha256': ('model.',),
}
_BY_STEP = ('rows_sha256', 'masks_sha256')  # over all steps: runs of different lengths cannot agree
# What `budget` says is held equal, and how far apart two numbers
# may be: a step is the smallest unit there is.
BUDGETS = {
  'steps': ('tokens', 0.0),
  'tokens': ('tokens', 0.0),
  'flops': ('flops', 0.01),
  # of full rows; padding takes its share of the real ones
  'predictions': ('planned_predictions', 0.01),
}
_BUDGET_AXES = ('data.', 'steps', 'batch_size', 'budget')
# Of an entry of evaluations.json: what must be the same for every run.
_ASKED = (
  'unit',
  'higher_is_better',
  'side',
  'split',
  'rows',
  'limit',
  'train_rows',
  'pooling',
  'seeds',
  'steps',
  'batch_size',
  'learning_rate',
  'warmup_share',
  'weight_decay',
)
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


@dataclasses.dataclass(frozen=True)
class Finished:
  """A run of a sweep that came to its end.

  Attributes:
    certificate: what it must share with the runs it is compared with: `EQUAL`, and what its budget
      counts.
    curve: (tokens, loss) of each validation.
    evaluations: what evaluations.json says.
    batches: {step: hash of its rows}, as logged.
  """

  folder: str
  changes: dict[str, Any]
  validation: dict[str, Any]
  certificate: dict[str, Any]
  curve: list[tuple[int, float]]
  evaluations: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
  batches: dict[int, str] = dataclasses.field(default_factory=dict)

  @property
  def seed(self) -> int:
    return self.changes.get('seed', 0)


@dataclasses.dataclass(frozen=True)
class Sweep:
  """What DIR/sweep.json says, with the runs that are finished; missing are the others.

  Attributes:
    certified: the certificates were written by the runs; else they were worked out from their logs.
  """

  name: str
  about: str
  table: dict[str, Any]
  runs: list[Finished]
  missing: list[str]
  certified: bool = False

  @property
  def axes(self) -> set[str]:
    """Fields that differ between its runs."""
    return axes_of([run.changes for run in self.runs])


def load(directory: Path) -> Sweep:
  """The sweep of a folder.

  Raises:
    StateError: no sweep ran here, nothing is finished, or runs
      that the table compares are not comparable.
  """
  path = directory / 'sweep.json'
  if not path.is_file():
    raise StateError(
      f'{directory} has no sweep.json: run python -m tools.sweep FILE --workdir={directory} first.'
    )
  said = json.loads(path.read_text())
  certified = all(
    (directory / one['folder'] / 'certificate.json').is_file()
    for one in said['runs']
    if (directory / one['folder'] / 'result.json').is_file()
  )
  runs = [_finished(directory / one['folder'], one, certified) for one in said['runs']]
  sweep = Sweep(
    said['name'],
    said['about'],
    said['table'],
    [run for run in runs if run],
    [one['folder'] for one, run in zip(said['runs'], runs) if run is None],
    certified,
  )
  if not sweep.runs:
    raise StateError(f'{directory}: none of its {len(runs)} runs is finished.')
  if differences := differing(sweep):
    raise StateError(
      f'{directory}: these runs do not belong in one table, for what it holds equal '
      'differs:\n' + '\n'.join(f'  {line}' for line in differences)
    )
  return sweep


def differing(sweep: Sweep) -> list[str]:
  """A line for each certificate that differs from that of a run
  which no axis of the sweep tells apart.
  """
  lines = []
  for name, excused_by in EQUAL.items():
    if name in sweep.runs[0].certificate:
      lines += _compare(
        sweep, excused_by, name, lambda one, other, name=name: _same(name, one, other)
      )
  budgets = {run.certificate.get('budget', 'steps') for run in sweep.runs}
  for budget in sorted(budgets):
    name, apart = BUDGETS[budget]
    lines += _compare(
      sweep,
      _BUDGET_AXES,
      name,
      lambda one, other, name=name, apart=apart: (
        abs(other.certificate[name] - one.certificate[name]) <= apart * one.certificate[name]
      ),
    )
  if len(budgets) > 1 and 'budget' not in sweep.axes:
    lines.append(f'budget: {" and ".join(sorted(budgets))}, and no axis of the sweep says so')
  return lines + _evaluations(sweep)


def _compare(sweep: Sweep, excused_by: tuple[str, ...], name: str, same: Callable) -> list[str]:
  """A line for each run that is not the same as the first of those it is compared with."""
  axes = sorted(axis for axis in sweep.axes if axis == 'seed' or axis.startswith(excused_by))
  groups: dict[str, list[Finished]] = {}
  for run in sweep.runs:
    key = [run.changes.get(axis) for axis in axes]
    # questions about sentences are asked of other rows
    if name not in ('initial_sha256', 'tokenizer'):
      key.append(sorted({'nsp', 'sop'} & {*run.changes.get('objectives', ())}))
    if name == 'masks_sha256':
      # drawn with the masks, and clm does not predict what is in it
      key.append(run.changes.get('mask') == 'prefix')
    groups.setdefault(json.dumps(key), []).append(run)
  return [
    f'{name}: {_short(first.certificate[name])} in {first.folder}, '
    f'{_short(other.certificate[name])} in {other.folder}'
    for first, *others in groups.values()
    for other in others
    if not same(first, other)
  ]


def _same(name: str, one: Finished, other: Finished) -> bool:
  a, b = one.certificate, other.certificate
  # runs of another length: as far as both went
  if name in _BY_STEP and a.get('steps') != b.get('steps'):
    return name != 'rows_sha256' or all(
      one.batches[step] == other.batches[step] for step in one.batches.keys() & other.batches.keys()
    )
  return a[name] == b[name]


def _short(value: Any) -> Any:
  return value[:20] if isinstance(value, str) else value


def _evaluations(sweep: Sweep) -> list[str]:
  """A line for each evaluation that was not asked alike of all runs.

  What follows a semicolon in a unit says how a run was scored, which
  its mask decides: tables show it, and allow it.
  """
  lines = []
  for name in sorted({name for run in sweep.runs for name in run.evaluations}):
    first, *others = [run for run in sweep.runs if name in run.evaluations]
    for other in others:
      a, b = (
        {**run.evaluations[name], 'unit': run.evaluations[name].get('unit', '').partition(';')[0]}
        for run in (first, other)
      )
      for fact in _ASKED:
        if a.get(fact) != b.get(fact):
          lines.append(
            f'{name}: {fact} is {a.get(fact)!r} in {first.folder}, {b.get(fact)!r} in '
            f'{other.folder}'
          )
  return lines


def _finished(folder: Path, said: dict[str, Any], certified: bool) -> Finished | None:
  paths = [folder / f'{name}.json' for name in ('result', 'config', 'data', 'initial')]
  if not all(path.is_file() for path in paths):
    return None
  result, config, data, initial = (json.loads(path.read_text()) for path in paths)
  if result['step'] != config['steps'] or check.config_hash(config) != said['config_hash']:
    return None
  rows = metrics.read(folder)
  batches = {row['step']: row['batch_hash'] for row in rows if 'batch_hash' in row}
  if certified:
    stored = json.loads((folder / 'certificate.json').read_text())
    if stored.get('budget') not in BUDGETS:
      raise StateError(
        f'{folder}/certificate.json: budget {stored.get("budget")!r} is none of '
        f'{", ".join(BUDGETS)}.'
      )
    wanted = dict.fromkeys((*_STORED, BUDGETS[stored['budget']][0]))
    if missing := [name for name in wanted if name not in stored]:
      raise StateError(f'{folder}/certificate.json says nothing of {", ".join(missing)}.')
    certificate = {name: stored[name] for name in wanted}
  else:
    stream = hashlib.sha256(
      ' '.join(row['batch_hash'] for row in rows if 'batch_hash' in row).encode()
    ).hexdigest()
    certificate = dict(
      data=data['data'],
      tokenizer=data['tokenizer'],
      tokens=result['tokens'],
      validation_sha256=result['validation_sha256'],
      rows_sha256=stream,
      initial_sha256=initial['sha256'],
      steps=result['step'],
    )
  curve = [(row['tokens'], row['val/loss']) for row in rows if 'val/loss' in row]
  return Finished(
    folder.name,
    said['changes'],
    result['validation'],
    certificate,
    curve,
    evaluations.read(folder),
    batches,
  )
