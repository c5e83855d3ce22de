"""Whether the certificates of a sweep's runs allow one table of them."""

from collections.abc import Callable
import json
from typing import Any, NamedTuple

from tools.report.records import FinishedRun, Sweep

# What the runs of a table must share, and the config fields that explain a difference if the sweep
# varies them. Runs are compared if they have the same seed (another seed has other parameters and
# other rows) and agree in those fields.
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
  'initial_sha256': ('model.', 'init_from', 'init_layers'),
}
# Digests over all steps: runs of different lengths cannot agree in them.
_OVER_STEPS = ('rows_sha256', 'masks_sha256')
# These do not depend on whether the rows are sentence pairs.
_SAME_WITH_PAIRS = ('initial_sha256', 'tokenizer')
_PAIR_OBJECTIVES = {'nsp', 'sop'}


class Budget(NamedTuple):
  """What a budget holds equal.

  Attributes:
    count: the field of the certificate.
    tolerance: relative difference that is allowed: a run is a whole number of steps.
  """

  count: str
  tolerance: float


# `planned_predictions` counts full rows; padding takes its share of the actual predictions.
BUDGETS = {
  'steps': Budget('tokens', 0.0),
  'tokens': Budget('tokens', 0.0),
  'flops': Budget('flops', 0.01),
  'predictions': Budget('planned_predictions', 0.01),
}
_BUDGET_FIELDS = ('data.', 'steps', 'batch_size', 'budget')
# The settings of an evaluation that must be the same in every run.
_EVALUATION_SETTINGS = (
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


def differing(sweep: Sweep) -> list[str]:
  """A line for each difference that no axis of the sweep explains; [] if one table may hold all."""
  lines = []
  for name, excused_by in EQUAL.items():
    if name in sweep.runs[0].certificate:
      lines += _compare(sweep, excused_by, name, _same_certificate)
  budgets = {run.certificate.get('budget', 'steps') for run in sweep.runs}
  for budget in sorted(budgets):
    count, tolerance = BUDGETS[budget]
    lines += _compare(sweep, _BUDGET_FIELDS, count, _within(tolerance))
  if len(budgets) > 1 and 'budget' not in sweep.varying:
    lines.append(f'budget: {" and ".join(sorted(budgets))}, and no axis of the sweep says so')
  return lines + _differing_evaluations(sweep)


# (field of the certificate, first run, other run) -> whether they agree in it
_Same = Callable[[str, FinishedRun, FinishedRun], bool]


def _compare(sweep: Sweep, excused_by: tuple[str, ...], name: str, same: _Same) -> list[str]:
  """A line for each run that is not the same as the first run of its group."""
  lines = []
  for first, *others in _groups(sweep, excused_by, name):
    for other in others:
      if not same(name, first, other):
        one, two = (_short(run.certificate[name]) for run in (first, other))
        lines.append(f'{name}: {one} in {first.folder}, {two} in {other.folder}')
  return lines


def _groups(sweep: Sweep, excused_by: tuple[str, ...], name: str) -> list[list[FinishedRun]]:
  """The runs that must agree in a field of their certificates."""
  fields = sorted(
    field for field in sweep.varying if field == 'seed' or field.startswith(excused_by)
  )
  groups: dict[str, list[FinishedRun]] = {}
  for run in sweep.runs:
    key = [run.changes.get(field) for field in fields]
    if name not in _SAME_WITH_PAIRS:
      key.append(sorted(_PAIR_OBJECTIVES & {*run.changes.get('objectives', ())}))
    if name == 'masks_sha256':
      # Prefixes are drawn together with the masks, and clm predicts nothing inside them.
      key.append(run.changes.get('mask') == 'prefix')
    groups.setdefault(json.dumps(key), []).append(run)
  return list(groups.values())


def _same_certificate(name: str, one: FinishedRun, other: FinishedRun) -> bool:
  a, b = one.certificate, other.certificate
  if name not in _OVER_STEPS or a.get('steps') == b.get('steps'):
    return a[name] == b[name]
  # Runs of different lengths: rows are compared up to the end of the shorter one, by the hashes
  # that both logged. Masks have no such hashes.
  shared = one.batches.keys() & other.batches.keys()
  return name != 'rows_sha256' or all(one.batches[step] == other.batches[step] for step in shared)


def _within(tolerance: float) -> _Same:
  """A comparison of numbers that allows a relative difference."""

  def same(name: str, one: FinishedRun, other: FinishedRun) -> bool:
    first, second = one.certificate[name], other.certificate[name]
    return abs(second - first) <= tolerance * first

  return same


def _short(value: Any) -> Any:
  return value[:20] if isinstance(value, str) else value


def _differing_evaluations(sweep: Sweep) -> list[str]:
  """A line for each setting of an evaluation that is not the same in all runs."""
  lines = []
  for name in sorted({name for run in sweep.runs for name in run.evaluations}):
    first, *others = [run for run in sweep.runs if name in run.evaluations]
    expected = _settings(first.evaluations[name])
    for other in others:
      found = _settings(other.evaluations[name])
      for setting in _EVALUATION_SETTINGS:
        one, two = expected[setting], found[setting]
        if one != two:
          lines.append(f'{name}: {setting} is {one!r} in {first.folder}, {two!r} in {other.folder}')
  return lines


def _settings(entry: dict[str, Any]) -> dict[str, Any]:
  """The settings of an entry of evaluations.json.

  The part of a unit behind a semicolon says how the run was scored. The mask decides that, so it
  may differ, and the tables show it.
  """
  unit = entry.get('unit', '').partition(';')[0]
  return {name: entry.get(name) for name in _EVALUATION_SETTINGS} | dict(unit=unit)
