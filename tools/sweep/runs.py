"""An ablation as data: a file of configs/sweeps becomes checked
configs, each with a folder named by its hash.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
import dataclasses
import importlib.util
import json
import os
from pathlib import Path
import queue
import subprocess
import sys
import threading
from typing import Any

from configs.schema import check
from configs.schema.check import ConfigError
from runtime import storage, workdir
from tools.sweep import evaluations
from tools.sweep.evaluations import Evaluation
from training import budget, plan

# What tells a process which accelerators are its own, for NVIDIA, for AMD and for TPU.
_VISIBLE = ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'TPU_VISIBLE_CHIPS')
ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Run:
  """One run of a sweep.

  Attributes:
    changes: {field: value} against the sweep's base.
    title: the changes that are not the same in all runs.
    resolved: the whole config, as plain JSON.
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
    return self.folder.with_name(f'{self.folder.name}.log')

  def result(self) -> dict | None:
    """What it came to, or None while there is something left to do."""
    return workdir.finished(self.folder, self.resolved)

  def state(self) -> str:
    return 'finished' if self.result() else 'begun' if self.folder.exists() else 'waiting'

  def command(self) -> list[str]:
    fields = [f'--config.{name}={value}' for name, value in self.changes.items()]
    return [
      sys.executable,
      str(ROOT / 'train.py'),
      f'--config={ROOT / self.base}',
      *fields,
      f'--workdir={self.folder}',
    ]

  def flops(self) -> float:
    """Of the whole run, in closed form."""
    return budget.spending(self.config)['flops']


@dataclasses.dataclass(frozen=True)
class Sweep:
  """One file of configs/sweeps.

  Attributes:
    about: the docstring of its file.
    table: how a report lays it out.
    evaluations: what follows each run.
  """

  name: str
  about: str
  table: dict[str, Any]
  runs: tuple[Run, ...]
  evaluations: tuple[Evaluation, ...] = ()


def short(value: Any) -> str:
  """A value as people say it: objectives are their names."""
  return '+'.join(value) if isinstance(value, dict) else str(value)


def varying_fields(runs: Sequence[dict[str, Any]]) -> set[str]:
  """The fields that differ between the changes of runs."""
  fields = {name for changes in runs for name in changes}
  return {name for name in fields if len({json.dumps(changes.get(name)) for changes in runs}) > 1}


def load(path: Path, directory: Path) -> Sweep:
  """The sweep of a file, with every config checked.

  Raises:
    ConfigError: there is no such file, or a run of it cannot be; or two runs are the same.
  """
  if not path.is_file():
    there = ', '.join(
      sorted(
        one.stem
        for one in (ROOT / 'configs/sweeps').glob('*.py')
        if one.stem not in ('__init__', 'axes')
      )
    )
    raise ConfigError(f'{path} is no file. configs/sweeps has {there}.')
  module = _module(path)
  missing = [name for name in ('BASE', 'RUNS', 'TABLE') if not hasattr(module, name)]
  if missing:
    raise ConfigError(
      f'{path} does not define {", ".join(missing)}; see configs/sweeps/mask_by_objective.py.'
    )
  base = _module(ROOT / module.BASE)
  wanted = evaluations.parse(getattr(module, 'EVALUATE', ()), path.name)
  varying = varying_fields(module.RUNS) or {name for changes in module.RUNS for name in changes}
  runs: dict[str, Run] = {}
  for number, changes in enumerate(module.RUNS):
    where = f'{path.name}, run {number + 1} ({changes})'
    config = _changed(base.get_config(), changes, where)
    resolved = check.resolve(config)
    digest = check.config_hash(resolved)
    if digest in runs:
      raise ConfigError(f'{where} is the same config as {runs[digest].changes}.')
    title = ' '.join(f'{name}={short(value)}' for name, value in changes.items() if name in varying)
    runs[digest] = Run(
      module.BASE, changes, title, config, resolved, directory / f'{config.name}-{digest[:8]}'
    )
  if not runs:
    raise ConfigError(f'{path}: RUNS is empty.')
  return Sweep(
    path.stem,
    (module.__doc__ or path.stem).strip(),
    dict(module.TABLE),
    tuple(runs.values()),
    wanted,
  )


def note(sweep: Sweep, directory: Path):
  """Writes sweep.json, from which a report knows what the folders beside it are."""
  storage.make(directory)
  runs = [
    dict(changes=run.changes, folder=run.folder.name, config_hash=check.config_hash(run.resolved))
    for run in sweep.runs
  ]
  (directory / 'sweep.json').write_text(
    json.dumps(
      dict(
        name=sweep.name,
        about=sweep.about,
        table=sweep.table,
        runs=runs,
        evaluations=[one.name(task) for one in sweep.evaluations for task in one.tasks],
      ),
      indent=1,
    )
  )


def seconds(runs: Sequence[Run]) -> list[float]:
  """Predicted, from a matrix product measured now; validation and compilation are not in it."""
  speeds = {width: plan.expected_speed(width) for width in {run.config.model.width for run in runs}}
  return [run.flops() / speeds[run.config.model.width] for run in runs]


def execute(
  sweep: Sweep,
  runs: list[Run],
  places: Sequence[str | None],
  task_data: str | None,
  began: Callable[[str], None],
) -> Iterator[tuple[Run, list[str]]]:
  """Trains and evaluates the runs, as many at a time as there are
  places; yields (run, what failed) as they end.

  Every program is a process with its own log beside the run's folder. A run that was begun is
  resumed, one that is finished is only evaluated. When the caller stops, running ones get SIGTERM,
  and trainers leave a checkpoint.

  Args:
    places: the numbers of the accelerators that a run may see, as in '0' or '0,1'; None: all that
      there are.
    task_data: the folder with the files of the tasks; without it nothing is evaluated.
  """
  free: queue.SimpleQueue[str | None] = queue.SimpleQueue()
  for place in places:
    free.put(place)
  processes: list[subprocess.Popen] = []
  stopped = threading.Event()

  def process(what: str, command: list[str], path: Path) -> list[str]:
    if stopped.is_set():  # what was running has ended by a signal, and nothing may follow it
      return [f'{what}: not begun']
    began(what)
    place = free.get()  # never waits: there are as many threads as places
    seen = {} if place is None else dict.fromkeys(_VISIBLE, place)
    with storage.appending(path) as log:
      processes.append(
        running := subprocess.Popen(
          command, cwd=ROOT, stdout=log, stderr=log, env=os.environ | seen
        )
      )
      code = running.wait()
    free.put(place)
    return [f'{what} failed with exit code {code}, see {path.name}'] if code else []

  def one(run: Run) -> tuple[Run, list[str]]:
    if run.result() is None and (failed := process(run.title, run.command(), run.log)):
      return run, failed
    failed = []
    for evaluation in sweep.evaluations if task_data else ():
      if tasks := evaluation.left(run.folder):
        what = f'{run.title}: {", ".join(map(evaluation.name, tasks))}'
        failed += process(
          what, evaluation.command(run.folder, task_data), evaluation.log(run.folder)
        ) or [
          f'{what}: no answer in {evaluations.FILE}, see {evaluation.log(run.folder).name}'
          for _ in evaluation.left(run.folder)[:1]
        ]
    return run, failed

  pool = ThreadPoolExecutor(len(places))
  waiting = {pool.submit(one, run) for run in runs}
  try:
    while waiting:
      done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
      yield from (future.result() for future in done)
  finally:
    stopped.set()
    pool.shutdown(wait=False, cancel_futures=True)
    for running in processes:
      if running.poll() is None:
        running.terminate()
        running.wait()


def unanswered(sweep: Sweep, run: Run) -> list[str]:
  """The names of the evaluations that a run has no answer for."""
  return [one.name(task) for one in sweep.evaluations for task in one.left(run.folder)]


def _changed(config, changes: dict[str, Any], where: str):
  try:
    with config.unlocked():
      if 'objectives' in changes:
        config.objectives = changes['objectives']
      known = check.flatten(config)
      for name in changes:
        if name != 'objectives' and name not in known:
          raise ConfigError(f'config.{name} is no knob; configs/base.py has them all.')
      config.update_from_flattened_dict(
        {name: value for name, value in changes.items() if name != 'objectives'}
      )
    check.check(config)
    config = budget.settle(config)
  except (ConfigError, TypeError, ValueError) as error:
    raise ConfigError(f'{where}: {error}') from error
  return config


def _module(path: Path):
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
    raise ConfigError(f'{path}: {type(error).__name__}: {error}') from error
  return module
