"""An ablation as data: a file of configs/sweeps becomes checked configs, each with a folder named by its hash."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
import dataclasses
import importlib.util
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from configs import check
from configs.check import ConfigError
from training import budget, summary, workdir

ROOT = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Run:
  """One run of a sweep.

  Attributes:
    changes: {field: value} against the sweep's base.
    resolved: the whole config, as plain JSON.
    folder: the workdir, named by the config's hash.
  """

  base: str
  changes: dict[str, Any]
  config: Any
  resolved: dict[str, Any]
  folder: Path

  @property
  def title(self) -> str:
    return ' '.join(f'{name}={short(value)}' for name, value in self.changes.items())

  def result(self) -> dict | None:
    """What it came to, or None while there is something left to do."""
    return workdir.finished(self.folder, self.resolved)

  def state(self) -> str:
    return 'finished' if self.result() else 'begun' if self.folder.exists() else 'waiting'

  def command(self) -> list[str]:
    fields = [f'--config.{name}={value}' for name, value in self.changes.items()]
    return [sys.executable, str(ROOT / 'train.py'), f'--config={ROOT / self.base}', *fields, f'--workdir={self.folder}']

  def flops(self) -> float:
    """Of the whole run, in closed form."""
    return budget.spending(self.config)['flops']


@dataclasses.dataclass(frozen=True)
class Sweep:
  """Attributes: about is the docstring of its file; table says how a report lays it out."""

  name: str
  about: str
  table: dict[str, Any]
  runs: tuple[Run, ...]


def short(value: Any) -> str:
  """A value as people say it: objectives are their names."""
  return '+'.join(value) if isinstance(value, dict) else str(value)


def load(path: Path, directory: Path) -> Sweep:
  """The sweep of a file, with every config checked.

  Raises:
    ConfigError: there is no such file, or a run of it cannot be; or two runs are the same.
  """
  if not path.is_file():
    there = ', '.join(sorted(one.stem for one in (ROOT / 'configs/sweeps').glob('*.py') if one.stem != '__init__'))
    raise ConfigError(f'{path} is no file. configs/sweeps has {there}.')
  module = _module(path)
  missing = [name for name in ('BASE', 'RUNS', 'TABLE') if not hasattr(module, name)]
  if missing:
    raise ConfigError(f'{path} does not define {", ".join(missing)}; see configs/sweeps/mask_by_objective.py.')
  base = _module(ROOT / module.BASE)
  runs: dict[str, Run] = {}
  for number, changes in enumerate(module.RUNS):
    where = f'{path.name}, run {number + 1} ({changes})'
    config = _changed(base.get_config(), changes, where)
    resolved = check.resolve(config)
    digest = check.config_hash(resolved)
    if digest in runs:
      raise ConfigError(f'{where} is the same config as {runs[digest].changes}.')
    runs[digest] = Run(module.BASE, changes, config, resolved, directory / f'{config.name}-{digest[:8]}')
  if not runs:
    raise ConfigError(f'{path}: RUNS is empty.')
  return Sweep(path.stem, (module.__doc__ or path.stem).strip(), dict(module.TABLE), tuple(runs.values()))


def note(sweep: Sweep, directory: Path):
  """Writes sweep.json, from which a report knows what the folders beside it are."""
  directory.mkdir(parents=True, exist_ok=True)
  runs = [dict(changes=run.changes, folder=run.folder.name, config_hash=check.config_hash(run.resolved))
          for run in sweep.runs]
  (directory / 'sweep.json').write_text(json.dumps(
      dict(name=sweep.name, about=sweep.about, table=sweep.table, runs=runs), indent=1))


def seconds(runs: Sequence[Run]) -> list[float]:
  """Predicted, from a matrix product measured now; validation and compilation are not in it."""
  speeds = {width: summary.expected_speed(width) for width in {run.config.model.width for run in runs}}
  return [run.flops() / speeds[run.config.model.width] for run in runs]


def execute(runs: list[Run], jobs: int, began: Callable[[Run], None]) -> Iterator[tuple[Run, int]]:
  """Trains the runs, `jobs` at a time, each a process with its own log; yields (run, exit code) as they end.

  A run that was begun is resumed. When the caller stops, running ones get SIGTERM, and leave a checkpoint.
  """
  processes: dict[str, subprocess.Popen] = {}

  def train(run: Run) -> tuple[Run, int]:
    began(run)
    with run.folder.with_suffix('.log').open('a') as log:
      process = processes[run.folder.name] = subprocess.Popen(run.command(), cwd=ROOT, stdout=log, stderr=log)
      return run, process.wait()

  pool = ThreadPoolExecutor(jobs)
  waiting = {pool.submit(train, run) for run in runs}
  try:
    while waiting:
      done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
      yield from (one.result() for one in done)
  finally:
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes.values():
      if process.poll() is None:
        process.terminate()
        process.wait()


def _changed(config, changes: dict[str, Any], where: str):
  try:
    with config.unlocked():
      if 'objectives' in changes:
        config.objectives = changes['objectives']
      known = check.flatten(config)
      for name in changes:
        if name != 'objectives' and name not in known:
          raise ConfigError(f'config.{name} is no knob; configs/base.py has them all.')
      config.update_from_flattened_dict({name: value for name, value in changes.items() if name != 'objectives'})
    check.check(config)
    config = budget.settle(config)
  except (ConfigError, TypeError, ValueError) as error:
    raise ConfigError(f'{where}: {error}') from error
  return config


def _module(path: Path):
  spec = importlib.util.spec_from_file_location(f'_sweep_{path.stem}', path)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except Exception as error:
    raise ConfigError(f'{path}: {type(error).__name__}: {error}') from error
  return module
