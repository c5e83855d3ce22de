"""An ablation as data: a file of configs/sweeps becomes checked configs, a folder for each."""

from collections.abc import Sequence
import dataclasses
import importlib.util
import json
from pathlib import Path
import sys
from typing import Any

from configs.schema import check
from configs.schema.check import ConfigError
from runtime import json_file, storage, workdir
from runtime.errors import StateError
from tools.sweep import evaluations
from tools.sweep.evaluations import Evaluation
from training import budget, plan

ROOT = Path(__file__).resolve().parents[2]
_SWEEPS = ROOT / 'configs/sweeps'
_NO_SWEEPS = ('__init__', 'axes')  # files of configs/sweeps


@dataclasses.dataclass(frozen=True)
class Run:
  """One run of a sweep.

  Attributes:
    base: the config's file, relative to the repository.
    changes: {config field: value} against `base`.
    title: the changes that are not the same in all runs.
    config: `base` with the changes, checked and settled.
    resolved: the same as plain JSON.
    folder: the workdir, named by the config's hash.
  """

  base: str
  changes: dict[str, Any]
  title: str
  config: Any
  resolved: dict[str, Any]
  folder: Path

  @property
  def log(self) -> Path:
    """Where the output of its process goes, beside its folder."""
    return self.folder.with_name(f'{self.folder.name}.log')

  def result(self) -> dict | None:
    """What result.json says, or None while the run is not finished."""
    return workdir.finished(self.folder, self.resolved)

  def state(self) -> str:
    """finished | begun | waiting."""
    if self.result():
      return 'finished'
    return 'begun' if self.folder.exists() else 'waiting'

  def command(self) -> list[str]:
    """The process that trains it; the same command resumes it."""
    fields = [f'--config.{name}={value}' for name, value in self.changes.items()]
    return [
      sys.executable,
      str(ROOT / 'train.py'),
      f'--config={ROOT / self.base}',
      *fields,
      f'--workdir={self.folder}',
    ]

  def flops(self) -> float:
    """FLOPs of the whole run, in closed form."""
    return budget.spending(self.config)['flops']


@dataclasses.dataclass(frozen=True)
class Sweep:
  """One file of configs/sweeps.

  Attributes:
    about: the docstring of the file.
    table: its TABLE: how a report lays it out.
    evaluations: what follows each run.
  """

  name: str
  about: str
  table: dict[str, Any]
  runs: tuple[Run, ...]
  evaluations: tuple[Evaluation, ...] = ()


def short(value: Any) -> str:
  """A value in a title or a table: objectives, a dict, are their names."""
  return '+'.join(value) if isinstance(value, dict) else str(value)


def varying_fields(runs: Sequence[dict[str, Any]]) -> set[str]:
  """The config fields that differ between the changes of runs."""
  fields = {name for changes in runs for name in changes}
  return {name for name in fields if _varies(name, runs)}


def _varies(name: str, runs: Sequence[dict[str, Any]]) -> bool:
  values = {json.dumps(changes.get(name)) for changes in runs}
  return len(values) > 1


def load(path: Path, directory: Path) -> Sweep:
  """The sweep of a file, with every config checked.

  Args:
    directory: of the sweep, where each run has its folder.

  Raises:
    ConfigError: there is no such file, or it is no sweep; or a run of it cannot be, or is there
      twice.
  """
  if not path.is_file():
    known = sorted(file.stem for file in _SWEEPS.glob('*.py') if file.stem not in _NO_SWEEPS)
    raise ConfigError(f'{path} is no file. configs/sweeps has {", ".join(known)}.')
  module = _module(path)
  missing = [name for name in ('BASE', 'RUNS', 'TABLE') if not hasattr(module, name)]
  if missing:
    raise ConfigError(
      f'{path} does not define {", ".join(missing)}; see configs/sweeps/mask_by_objective.py.'
    )
  base = _module(ROOT / module.BASE)
  following = evaluations.parse(getattr(module, 'EVALUATE', ()), path.name)
  # A sweep of a single run has no field that varies: its title has all.
  titled = varying_fields(module.RUNS) or {name for changes in module.RUNS for name in changes}
  runs: dict[str, Run] = {}
  for number, changes in enumerate(module.RUNS, start=1):
    where = f'{path.name}, run {number} ({changes})'
    config = _changed(base.get_config(), changes, where)
    resolved = check.resolve(config)
    digest = check.config_hash(resolved)
    if digest in runs:
      raise ConfigError(f'{where} is the same config as {runs[digest].changes}.')
    runs[digest] = Run(
      base=module.BASE,
      changes=changes,
      title=' '.join(f'{name}={short(changes[name])}' for name in changes if name in titled),
      config=config,
      resolved=resolved,
      folder=directory / f'{config.name}-{digest[:8]}',
    )
  if not runs:
    raise ConfigError(f'{path}: RUNS is empty.')
  about = (module.__doc__ or path.stem).strip()
  return Sweep(path.stem, about, dict(module.TABLE), tuple(runs.values()), following)


def write_manifest(sweep: Sweep, directory: Path):
  """Writes sweep.json, which tells a report what the folders of the runs are."""
  storage.make(directory)
  runs = [
    dict(changes=run.changes, folder=run.folder.name, config_hash=check.config_hash(run.resolved))
    for run in sweep.runs
  ]
  manifest = dict(
    name=sweep.name,
    about=sweep.about,
    table=sweep.table,
    runs=runs,
    evaluations=[one.name(task) for one in sweep.evaluations for task in one.tasks],
  )
  storage.write_json(directory / 'sweep.json', manifest, racing=True)


def read_manifest(path: Path) -> dict[str, Any]:
  """What sweep.json says, as `write_manifest` wrote it.

  Raises:
    StateError: it is damaged.
  """
  advice = 'Give the command of the sweep again: it writes it anew.'
  fields = dict(name=str, about=str, table=dict, runs=list)
  manifest = json_file.read_object(path, fields, refuse=StateError, todo=advice)
  for number, run in enumerate(manifest['runs'], start=1):
    try:
      json_file.check_fields(run, dict(changes=dict, folder=str, config_hash=str))
    except ValueError as error:
      raise StateError(f'{path} is damaged: run {number}: {error}. {advice}') from error
  return manifest


def predicted_seconds(runs: Sequence[Run]) -> list[float]:
  """Seconds of each run's steps, from a matrix product measured now.

  Validation and compilation are not in it.
  """
  widths = {run.config.model.width for run in runs}
  flops_a_second = {width: plan.expected_speed(width) for width in widths}
  return [run.flops() / flops_a_second[run.config.model.width] for run in runs]


def unanswered(sweep: Sweep, run: Run) -> list[str]:
  """The names of the evaluations that a run has no answer for."""
  asked = [one for one in sweep.evaluations if one.asks(run.changes)]
  return [one.name(task) for one in asked for task in one.tasks_left(run.folder)]


def _changed(config, changes: dict[str, Any], where: str):
  """A config with changed fields, checked, its steps settled by its budget.

  Raises:
    ConfigError: with `where` in front of what is wrong.
  """
  try:
    with config.unlocked():
      if 'objectives' in changes:  # a dict that is replaced as a whole
        config.objectives = changes['objectives']
      fields = {name: value for name, value in changes.items() if name != 'objectives'}
      known = check.flatten(config)
      for name in fields:
        if name not in known:
          raise ConfigError(f'config.{name} is no knob; configs/base.py has them all.')
      config.update_from_flattened_dict(fields)
    check.check(config)
    return budget.settle(config)
  except (ConfigError, TypeError, ValueError) as error:
    raise ConfigError(f'{where}: {error}') from error


def _module(path: Path):
  """A Python file as a module.

  Raises:
    ConfigError: it is no Python file, or fails.
  """
  spec = importlib.util.spec_from_file_location(f'_sweep_{path.stem}', path)
  if spec is None:
    raise ConfigError(
      f'{path}: not the name of a Python file. The config of a sweep takes no argument behind a '
      "colon: put what it would change into the runs, as in {'data.corpus': 'text:PATH'}."
    )
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except Exception as error:
    if _imports_old_axes(error):
      raise ConfigError(
        f'{path}: axes has moved: write `from configs.sweeps import axes`.'
      ) from error
    raise ConfigError(f'{path}: {type(error).__name__}: {error}') from error
  return module


def _imports_old_axes(error: Exception) -> bool:
  """Whether a file imports configs/axes.py, where axes were before they moved to configs/sweeps."""
  if not isinstance(error, ImportError):
    return False
  # `from configs import axes` fails in configs, `import configs.axes` has no such module.
  return error.name == 'configs.axes' or (error.name == 'configs' and "'axes'" in error.msg)
