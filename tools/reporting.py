"""What the runs of a sweep say together: certificates, means over seeds, paired differences."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from configs import check
from tools.sweeping import short
from training import metrics
from training.errors import StateError

# What runs of one table hold equal, and the fields of a config which, as an axis of the sweep, explain a difference.
# Runs are compared within a seed: another seed has other parameters and other rows.
EQUAL = {
    'data': ('data.',),
    'tokenizer': ('data.', 'model.vocab_size'),
    'validation_sha256': ('data.',),
    'tokens': ('data.', 'steps', 'batch_size'),
    'rows_sha256': ('data.', 'steps', 'batch_size'),
    'initial_sha256': ('model.',),
}


@dataclasses.dataclass(frozen=True)
class Finished:
  """A run of a sweep that came to its end.

  Attributes:
    certificate: what it must share with the runs it is compared with, by the names of `EQUAL`.
    curve: (tokens, loss) of each validation.
  """

  folder: str
  changes: dict[str, Any]
  validation: dict[str, Any]
  certificate: dict[str, Any]
  curve: list[tuple[int, float]]

  @property
  def seed(self) -> int:
    return self.changes.get('seed', 0)


@dataclasses.dataclass(frozen=True)
class Sweep:
  """What DIR/sweep.json says, with the runs that are finished; missing are the others."""

  name: str
  about: str
  table: dict[str, Any]
  runs: list[Finished]
  missing: list[str]

  @property
  def axes(self) -> set[str]:
    """Fields that differ between its runs."""
    fields = {name for run in self.runs for name in run.changes}
    return {name for name in fields if len({json.dumps(run.changes.get(name)) for run in self.runs}) > 1}


@dataclasses.dataclass(frozen=True)
class Mean:
  """A mean over seeds; half: of its 95% interval by Student's t, nothing where there is one value."""

  values: tuple[float, ...]

  @property
  def mean(self) -> float:
    return float(np.mean(self.values))

  @property
  def half(self) -> float | None:
    n = len(self.values)
    return float(stats.t.ppf(0.975, n - 1) * np.std(self.values, ddof=1) / n**0.5) if n > 1 else None

  def __str__(self) -> str:
    return f'{self.mean:.4f}' + ('' if self.half is None else f' ± {self.half:.4f}')


def load(directory: Path) -> Sweep:
  """The sweep of a folder.

  Raises:
    StateError: no sweep ran here, nothing is finished, or runs that the table compares are not comparable.
  """
  path = directory / 'sweep.json'
  if not path.is_file():
    raise StateError(f'{directory} has no sweep.json: run python -m tools.sweep FILE --workdir={directory} first.')
  said = json.loads(path.read_text())
  runs = [_finished(directory / one['folder'], one) for one in said['runs']]
  sweep = Sweep(said['name'], said['about'], said['table'], [run for run in runs if run],
                [one['folder'] for one, run in zip(said['runs'], runs) if run is None])
  if not sweep.runs:
    raise StateError(f'{directory}: none of its {len(runs)} runs is finished.')
  if differences := differing(sweep):
    raise StateError(f'{directory}: these runs do not belong in one table, for what it holds equal differs:\n'
                     + '\n'.join(f'  {line}' for line in differences))
  return sweep


def differing(sweep: Sweep) -> list[str]:
  """A line for each certificate that differs within a seed and that no axis of the sweep explains."""
  lines = []
  for seed in sorted({run.seed for run in sweep.runs}):
    first, *others = [run for run in sweep.runs if run.seed == seed]
    for name, excused_by in EQUAL.items():
      if any(axis.startswith(excused_by) for axis in sweep.axes):
        continue
      lines += [f'{name}: {first.certificate[name]} in {first.folder}, {other.certificate[name]} in {other.folder}'
                for other in others if other.certificate[name] != first.certificate[name]]
  return lines


def axis(sweep: Sweep, side: str) -> list[str]:
  """The fields whose values make the table's 'rows' or 'columns'."""
  names = sweep.table[side]
  return [names] if isinstance(names, str) else list(names)


def label(sweep: Sweep, run: Finished, side: str) -> str:
  """The row or column that a run stands in."""
  return ', '.join(short(run.changes.get(name)) for name in axis(sweep, side))


def pivot(sweep: Sweep) -> tuple[list[str], list[str], dict[tuple[str, str], Mean]]:
  """(rows, columns, {(row, column): mean}) of the sweep's table."""
  rows, columns = (list(dict.fromkeys(label(sweep, run, side) for run in sweep.runs)) for side in ('rows', 'columns'))
  cells: dict[tuple[str, str], list[float]] = {}
  for run in sorted(sweep.runs, key=lambda run: run.seed):
    value = run.validation[sweep.table['value']]
    cells.setdefault((label(sweep, run, 'rows'), label(sweep, run, 'columns')), []).append(value)
  return rows, columns, {place: Mean(tuple(values)) for place, values in cells.items()}


def differences(rows: list[str], columns: list[str], cells: dict[tuple[str, str], Mean]) -> list[dict[str, Any]]:
  """Every pair of rows in every column: difference by seed, its 95% interval, and p of a paired t-test."""
  found = []
  for column in columns:
    there = [row for row in rows if (row, column) in cells]
    for index, one in enumerate(there):
      for other in there[index + 1:]:
        a, b = cells[one, column].values, cells[other, column].values
        if len(a) == len(b) > 1:
          mean = Mean(tuple(np.subtract(a, b).tolist()))
          p = float(stats.ttest_rel(a, b).pvalue)
          found.append(dict(column=column, rows=(one, other), difference=mean.mean, half=mean.half, p=p))
  return found


def _finished(folder: Path, said: dict[str, Any]) -> Finished | None:
  paths = [folder / f'{name}.json' for name in ('result', 'config', 'data', 'initial')]
  if not all(path.is_file() for path in paths):
    return None
  result, config, data, initial = (json.loads(path.read_text()) for path in paths)
  if result['step'] != config['steps'] or check.config_hash(config) != said['config_hash']:
    return None
  rows = metrics.read(folder)
  stream = hashlib.sha256(' '.join(row['batch_hash'] for row in rows if 'batch_hash' in row).encode()).hexdigest()
  certificate = dict(data=data['data'], tokenizer=data['tokenizer'][:20], tokens=result['tokens'],
                     validation_sha256=result['validation_sha256'][:20], rows_sha256=stream[:20],
                     initial_sha256=initial['sha256'][:20])
  curve = [(row['tokens'], row['val/loss']) for row in rows if 'val/loss' in row]
  return Finished(folder.name, said['changes'], result['validation'], certificate, curve)
