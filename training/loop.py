"""The loop: evaluate and save before the step, dispatch step n, then read the metrics of n - 1."""

from typing import Any

from etils import epath
import jax

from configs.schema import check, grid, meshes
from evaluation import mask_check
from parallel import sharding
from runtime import distributed, faults, lock, software, storage, workdir
from runtime.console import Console
from runtime.errors import Preempted
from runtime.signals import Stop
from runtime.watchdog import Watchdog
from training import out_of_memory
from training.best import Best
from training.examine import Examine
from training.experiment import Experiment, build_experiment
from training.hooks import Log, Pending, Save, Validate
from training.load_teacher import with_teacher
from training.prefetch import Prefetcher
from training.prepare import report_lines
from training.session import Clock, Session
from training.start import Started, start
from training.state import State
from training.step import jit_step


def train(
  config,
  directory: epath.PathLike,
  *,
  stop: Stop,
  console: Console,
  restart: bool = False,
  allow_change: tuple[str, ...] = (),
) -> dict:
  """Trains to `config.steps` from wherever the workdir's run is; leaves and returns the result.

  Same config, data, software and devices give the same bits, also if the run was killed in between.

  Args:
    config: checked by `configs.schema.check`.
    stop: set when a graceful stop is requested: finish the step, save, exit.
    restart: moves an earlier run in the folder aside.
    allow_change: fields that may differ from the earlier run's config.

  Raises:
    ConfigError, DataError, StateError, NumericalError, Preempted, OSError: runtime/cli.py has the
      exit codes.
  """
  directory = epath.Path(storage.resolve_path(directory))
  resolved = check.resolve(config)
  code = dict(code=software.code_sha256())
  distributed.agree(check.flatten(resolved) | software.versions() | code)
  with distributed.held_by_first(lambda: lock.locked(directory, console.say)) as release:
    stop.on_exit(release)
    asked = dict(restart=restart, allow_change=allow_change)
    distributed.from_first(lambda: workdir.check_config(directory, resolved, **asked))
    lock.check_shared(directory)
    devices = sharding.find_devices(config.platform)
    meshes.check(config, len(devices), jax.process_count(), devices[0].platform)
    faults.mark(directory, 'data')
    experiment = distributed.first_then_others(lambda: build_experiment(config, console.stage))
    mesh = sharding.make_mesh(config.mesh)
    console.say(report_lines(experiment.prepared))
    faults.mark(directory, 'proof')
    _prove_masks(experiment, console)
    distributed.from_first(
      lambda: workdir.open_config(directory, resolved, **asked, say=console.say)
    )
    experiment = with_teacher(experiment, mesh, console.say)
    _note(experiment, directory, mesh, console)
    advice = out_of_memory.explained(experiment, directory, mesh)
    with jax.set_mesh(mesh), Watchdog(config.watchdog_seconds) as watchdog, advice:
      consensus = distributed.StepConsensus(mesh, stop.requested.is_set)
      session = Session(experiment, directory, mesh, console, watchdog, consensus, Clock())
      return _run(session, start(session), stop)


def _run(session: Session, started: Started, stop: Stop) -> dict:
  """Every step that is left.

  Evaluation and checkpoint of step n come before update n, and after the last.
  """
  config, console, consensus = session.config, session.console, session.consensus
  validate, save, log = Validate(session), Save(session, started), Log(session, started)
  examine, best = Examine(session), Best(session, started)
  programs = _Programs(session, started)
  batches = Prefetcher(session.experiment, session.mesh, started.plan.accumulate)
  teacher = session.experiment.teacher
  taught = (teacher.params,) if teacher else ()
  state, pending = started.state, None
  console.begin(started.first, config.steps, started.predict)
  try:
    for step in range(started.first, config.steps + 1):
      last, row = step == config.steps, dict(step=step)
      stopping = consensus.stopping
      validates, saves = validate.due(step), save.due(step)
      if pending and (validates or saves or stopping):
        log.finish(pending, save.saved)
        pending, stopping = None, consensus.stopping
      if validates and not stopping:
        row |= validate(step, state)
        stopping = consensus.stopping
        if 'val/loss' in row and best.note(step, state, row, log.digest):
          last = saves = True
      if (saves or stopping) and step != save.saved:
        log.flush()
        save(step, state, log.digest)
      if stopping and not (last and 'val/loss' in row):
        save.finish(step, state, log.digest)
        raise Preempted(
          f'stopped at step {step:,}, with a checkpoint. The same command goes on from there.'
        )
      if last:
        save.finish(step, state, log.digest)
        row |= dict(stopped_early=True) if step < config.steps else {}
        return log.result(row, _examined(session, examine, best, state))
      _provoke_faults(session, step, save)
      session.watchdog.now(f'reading the batch of step {step:,}')
      faults.maybe_sleep(step)
      batch, batch_hash = batches[step]
      train_step, new = programs.at(step, len(batch['token']))
      session.watchdog.now('compiling' if new else f'waiting for step {step - 1:,}', patient=new)
      if new:
        console.status('compiling the training step')
      faults.maybe_exhaust(step)
      told = consensus.tell(batch_hash)
      state = faults.maybe_poison(step, state)
      state, measured = train_step(state, sharding.shard_batch(batch, session.mesh), *taught)
      if pending:
        log.finish(pending, save.saved)
      if new:
        jax.block_until_ready(measured)
        console.status('training')
        stop.defer()
      pending = Pending(row, batch, told, measured, compiled=new)
  finally:
    console.end()
    save.close()
    best.close()
    log.close()
    batches.close()


def _examined(session: Session, examine: Examine, best: Best, state: State) -> dict:
  """What result.json has besides: scores of a labelled task, under the parameters that are kept."""
  if not session.experiment.labelled:
    return best.said()
  return examine(best.state(state)) | best.said()


class _Programs:
  """The compiled step of each stage of the schedule and each sequence length."""

  def __init__(self, session: Session, started: Started):
    self._session, self._started = session, started
    self._stages = grid.stages(session.config)
    self._compiled: dict[Any, Any] = {}
    self._seen: set[Any] = set()

  def at(self, step: int, rows: int):
    """(the training step of the stage that a step belongs to, whether it is yet to be compiled).

    Args:
      rows: of the batch on this process; each number of rows is a program.
    """
    experiment, started = self._session.experiment, self._started
    stage = grid.stage_at(self._stages, step)
    key = stage.shares, experiment.length_at(step)
    new = (*key, rows) not in self._seen
    self._seen.add((*key, rows))
    if key not in self._compiled:
      train_step = experiment.train_step(
        stage,
        started.tx,
        started.schedule,
        accumulate=started.plan.accumulate,
        tick=self._tick() if max(started.plan.step_seconds.values()) > 5 else None,
      )
      self._compiled[key] = jit_step(train_step, self._session.mesh)
    return self._compiled[key], new

  def _tick(self):
    console, parts = self._session.console, self._started.plan.accumulate
    return lambda index: console.substep(int(index) + 1, parts, 'micro-batches of this step')


def _note(experiment: Experiment, directory: epath.Path, mesh, console: Console):
  """Compares data and teacher with those that the run had, and leaves what is known of them."""
  prepared = experiment.prepared
  data = dict(data=prepared.fingerprint, tokenizer=prepared.tokenizer.sha256)
  if experiment.teacher:
    data |= dict(teacher=experiment.teacher.sha256)
  distributed.agree(data)
  machine = software.machine()

  def note():
    workdir.check_fingerprint(directory, data)
    software.note_software(directory, machine, dict(mesh.shape), console.say)
    storage.write(directory / 'tokenizer.json', prepared.tokenizer.plain_json())
    storage.write_json(directory / 'data_report.json', prepared.report)
    if experiment.labelled:
      storage.write_json(directory / 'labels.json', experiment.describe_labels())

  distributed.from_first(note)


def _prove_masks(experiment: Experiment, console: Console):
  """Holds the network of each cell to its mask, on a small copy."""
  cells = experiment.cells.items()
  shown = dict.fromkeys((cell.mask, built.objective.heads) for cell, built in cells)
  controls = {cell.mask for cell in experiment.cells if grid.answers_seen(cell)}
  mask_check.prove_all(
    experiment.model,
    [(mask, heads, mask in controls) for mask, heads in shown],
    packed=not experiment.pairs,
  )
  masks = ', '.join(dict.fromkeys(cell.mask for cell in experiment.cells))
  console.say(
    f'mask {masks}: checked on a small copy of the network that each output depends on what the '
    'mask allows, and on nothing else.'
  )


def _provoke_faults(session: Session, step: int, save: Save):
  """What a test asked for; nothing in a run."""
  faults.mark(session.directory, f'step:{step}')
  if faults.armed('die_at_step') == step:
    save.wait()  # the test names a checkpoint that is there
    faults.maybe_die('die_at_step', step)
