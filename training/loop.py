"""The loop: evaluate and save before the step, dispatch step n, then read the metrics of n - 1."""

from collections.abc import Callable
import dataclasses
import json
import time

from etils import epath
import jax

from configs.schema import check, grid, meshes
from data.report import format_report
from evaluation import mask_check
from evaluation.validation import make_evaluator
from parallel import sharding
from runtime import compiler, distributed, faults, lock, software, storage, workdir
from runtime.console import Console
from runtime.errors import Preempted, StateError
from runtime.signals import Stop
from runtime.watchdog import Watchdog
from training import checkpoint, metrics, out_of_memory, plan, warm_start
from training import result as results
from training.certificate import RunDigest
from training.experiment import Experiment, assemble, make_run_state
from training.prefetch import Prefetcher
from training.state import scored_params
from training.step import make_train_step


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
    stop: asks for an end after the step in hand, with a checkpoint.
    restart: moves an earlier run in the folder aside.
    allow_change: fields that may differ from the earlier run's config.

  Raises:
    ConfigError, DataError, StateError, NumericalError, Preempted,
      OSError: runtime/cli.py has the exit codes.
  """
  directory = epath.Path(storage.resolve_path(directory))
  resolved = check.resolve(config)
  distributed.agree(
    check.flatten(resolved) | software.versions() | dict(code=software.code_sha256())
  )
  with distributed.held_by_first(lambda: lock.locked(directory, console.say)) as release:
    stop.on_exit(release)
    distributed.from_first(
      lambda: workdir.open_config(
        directory, resolved, restart=restart, allow_change=allow_change, say=console.say
      )
    )
    lock.check_shared(directory)
    devices = sharding.find_devices(config.platform)
    meshes.check(config, len(devices), jax.process_count(), devices[0].platform)
    faults.mark(directory, 'data')
    experiment = distributed.first_then_others(lambda: assemble(config, console.stage))
    prepared = experiment.prepared
    data = dict(data=prepared.fingerprint, tokenizer=prepared.tokenizer.sha256)
    distributed.agree(data)
    mesh, machine = sharding.make_mesh(config.mesh), software.machine()

    def note():
      workdir.check_fingerprint(directory, data)
      software.note_software(directory, machine, dict(mesh.shape), console.say)
      prepared.tokenizer.save(directory / 'tokenizer.json')
      (directory / 'data_report.json').write_text(json.dumps(prepared.report, indent=1))

    distributed.from_first(note)
    console.say(format_report(prepared.report))
    faults.mark(directory, 'proof')
    shown = dict.fromkeys(
      (cell.mask, made.objective.heads) for cell, made in experiment.cells.items()
    )
    mask_check.prove_all(
      experiment.model,
      packed=not experiment.pairs,
      cells=[(mask, heads, mask == 'bidirectional' and 'clm' in heads) for mask, heads in shown],
    )
    masks = ', '.join(dict.fromkeys(cell.mask for cell in experiment.cells))
    console.say(
      f'mask {masks}: on a probe of this network each output depends on what the mask shows, and '
      'on nothing else.'
    )
    with (
      jax.set_mesh(mesh),
      Watchdog(config.watchdog_seconds) as watchdog,
      out_of_memory.explained(experiment, directory, mesh),
    ):
      run = _Run(experiment, directory, mesh, stop, console, watchdog)
      try:
        return run.to_the_end()
      finally:
        run.close()


class _Run:
  """One run from here on: what its steps share."""

  def __init__(
    self,
    experiment: Experiment,
    directory: epath.Path,
    mesh,
    stop: Stop,
    console: Console,
    watchdog: Watchdog,
  ):
    config = self.config = experiment.config
    self.experiment, self.directory, self.mesh, self.stop, self.console = (
      experiment,
      directory,
      mesh,
      stop,
      console,
    )
    self.watchdog, self.together = watchdog, distributed.StepConsensus(mesh, stop.requested.is_set)
    abstract, make, tx, schedule = make_run_state(experiment.config, experiment.network, mesh)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(abstract.params))
    self.plan = plan.make_plan(experiment, directory, parameters, mesh)
    bytes_on_disk = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(abstract))
    distributed.from_first(
      lambda: checkpoint.preflight(directory / 'checkpoints', bytes_on_disk, config.checkpoint.keep)
    )

    restored = checkpoint.restore_newest(directory / 'checkpoints', abstract, console.say)
    if restored is None and distributed.from_first(lambda: bool(metrics.read(directory))):
      raise StateError(
        f'{directory} holds metrics and no checkpoint to resume from. Pass --restart, which moves '
        'the old files aside, or name another --workdir.'
      )
    self.state, extra, self.first = restored or (None, dict(trail={}), 0)
    self.trail, self.saved = RunDigest(**extra['trail']), self.first if restored else None
    console.table(
      config.name,
      plan.start_rows(experiment, self.plan, directory, parameters, dict(mesh.shape), self.first),
    )
    faults.mark(directory, 'compile')
    if self.state is None:
      self.state = make()
      if config.init_from:
        params = warm_start.begin_with(
          config.init_from, experiment, self.state.params, mesh, console.say
        )
        average = None if self.state.average is None else jax.tree.map(lambda x: x.copy(), params)
        self.state = dataclasses.replace(self.state, params=params, average=average)
      # what every objective has
      common = {name: self.state.params[name] for name in ('embeddings', 'trunk')}
      initial = json.dumps(dict(sha256=checkpoint.digest(common)))
      distributed.from_first(lambda: (directory / 'initial.json').write_text(initial))
    self.predict = lambda step: self.plan.seconds(experiment.phases, step, config.steps)
    tick = lambda index: console.substep(
      int(index) + 1, self.plan.accumulate, 'micro-batches of this step'
    )
    self.stages, self.train_steps, self.compiled = grid.stages(config), {}, set()
    self.make_step = lambda stage: make_train_step(
      experiment.works(stage),
      tx,
      schedule,
      seed=config.seed,
      steps=config.steps,
      fixed_maskings=config.mlm.fixed_maskings,
      accumulate=self.plan.accumulate,
      average=config.optimizer.average,
      nan_at=faults.armed('nan_at'),
      options=compiler.options(mesh),
      tick=tick if max(self.plan.step_seconds.values()) > 5 else None,
    )
    self.evaluators = {
      cell: make_evaluator(
        experiment.cells[cell].apply,
        experiment.cells[cell].held_out,
        seed=config.validation.seed,
        place=lambda batch: sharding.shard_batch(batch, mesh),
        fetch=sharding.to_host,
      )
      for cell in dict.fromkeys((experiment.main, *grid.extra_cells(config)))
    }
    self.batches = Prefetcher(experiment, mesh)
    self.log = distributed.only_first(
      lambda: metrics.MetricsLog(
        directory, resume_step=self.first, tensorboard=config.log.tensorboard
      )
    )
    self.config_hash = check.config_hash(check.resolve(config))
    self.started = self.mark = time.monotonic()
    self.aside = 0.0  # seconds of evaluating and saving

  def to_the_end(self) -> dict:
    """Every step that is left. Evaluation and checkpoint of step n
    come before update n, and after the last.
    """
    config, stop, console = self.config, self.stop, self.console
    console.begin(self.first, config.steps, self.predict)
    # the step that was dispatched and whose metrics were not read: (row, batch, told, measured)
    pending = None
    for step in range(self.first, config.steps + 1):
      last = step == config.steps
      validate = (
        last or step % config.validation.every == 0 and (step > 0 or config.validation.first)
      )
      save = last or step % config.checkpoint.every == 0
      if pending and (validate or save or self.together.stopping):
        pending = self.finish(*pending)
      row = dict(step=step)
      if validate and not self.together.stopping:
        row |= self.validate(step)
      stopping = self.together.stopping  # asked once: it may be set at any moment
      if pending and stopping:
        pending = self.finish(*pending)
      if (save or stopping) and step != self.saved:
        self.save(step)
      if stopping and not (last and 'val/loss' in row):
        raise Preempted(
          f'stopped at step {step:,}, with a checkpoint. The same command goes on from there.'
        )
      if last:
        return self.result(row)
      faults.mark(self.directory, f'step:{step}')
      faults.maybe_die('die_at_step', step)
      self.watchdog.now(f'reading the batch of step {step:,}')
      faults.maybe_sleep(step)
      batch, hashed = self.batches[step]
      train_step, new = self.step_at(step)
      self.watchdog.now('compiling' if new else f'waiting for step {step - 1:,}', patient=new)
      if new:
        console.status('compiling the training step')
      faults.maybe_exhaust(step)
      told = self.together.tell(hashed)
      self.state, measured = train_step(self.state, sharding.shard_batch(batch, self.mesh))
      if pending:
        self.finish(*pending)
      if new:
        jax.block_until_ready(measured)
        console.status('training')
        self.compiled.add(step)
        stop.defer()
      pending = row, batch, told, measured

  def step_at(self, step: int):
    """(the training step of the stage that a step belongs to, whether it is yet to be compiled)."""
    stage = grid.stage_at(self.stages, step)
    key = stage.parts, self.experiment.length_at(step)
    new = key not in self.train_steps
    if new:
      self.train_steps[key] = self.make_step(stage)
    return self.train_steps[key], new

  def finish(self, row: dict, batch: dict, told: Callable[[], int], measured: dict):
    """Reads what a step measured, which waits for it, and writes its row."""
    step = row['step']
    measured = jax.device_get(measured)
    row['batch_hash'] = f'{told():016x}'
    if not measured.pop('finite'):
      results.explain_nan(self.directory, step, batch, measured, saved=self.saved)
    del measured['block_gradient_norm']
    now = time.monotonic()
    seconds, self.mark = max(now - self.mark, 1e-9), now
    tokens, predictions = int(measured.pop('tokens')), int(measured.pop('predictions'))
    row |= dict(mask_hash=f'{int(measured.pop("mask_hash")):08x}', predictions=predictions)
    numbers = {name: float(value) for name, value in measured.items()}
    row |= self.common() | numbers | dict(tokens_per_second=tokens / seconds)
    self.trail = self.trail.after(
      tokens=tokens,
      predictions=predictions,
      batch_hash=row['batch_hash'],
      mask_hash=row['mask_hash'],
    )
    if step % self.config.log.every == 0 or 'val/loss' in row:
      self.log.write(row)
    if step not in self.compiled:
      self.watchdog.stepped(seconds)
    # A step that waited for the compiler says nothing about those to come.
    self.console.stepped(
      step + 1,
      None if step in self.compiled else seconds,
      self.aside / (step + 1 - self.first),
      numbers['train/loss'],
      tokens / seconds,
    )

  def common(self) -> dict:
    return dict(
      tokens=self.trail.tokens,
      seconds=time.monotonic() - self.console.started,
      config_hash=self.config_hash[:16],
    )

  def validate(self, step: int) -> dict:
    """Scores the whole validation set; nothing if somebody asks to stop in between."""
    self.console.status('evaluating')
    faults.mark(self.directory, 'eval')
    began = time.monotonic()
    size = sharding.round_up(self.config.validation.batch_size, self.mesh)
    batches = self.experiment.validation(size, local_rows=sharding.rows_here(self.mesh, size))

    def until_stopped(of: str):
      for index in range(len(batches)):
        # compiling
        self.watchdog.now(f'evaluating, batch {index + 1:,} of {len(batches):,}', patient=not index)
        if self.together.ask():
          return
        self.console.substep(index + 1, len(batches), f'batches of the validation set{of}')
        yield batches[index]

    row = {}
    for cell, evaluate in self.evaluators.items():
      of, under = ('', '') if cell == self.experiment.main else (f', {cell}', f'{cell}/')
      scores = evaluate(
        scored_params(self.state), until_stopped(of), self.experiment.prepared.report['validation']
      )
      row |= {f'val/{under}{name}': value for name, value in scores.items()}
    self.set_aside(began)
    return {} if self.together.stopping else row

  def save(self, step: int):
    self.console.status('saving')
    self.watchdog.now('saving')
    faults.mark(self.directory, 'save')
    began = time.monotonic()
    self.log.flush()
    checkpoint.save(
      self.directory / 'checkpoints',
      step,
      self.state,
      dict(step=step, trail=dataclasses.asdict(self.trail), config_hash=self.config_hash),
      keep=self.config.checkpoint.keep,
    )
    self.saved = step
    self.set_aside(began)

  def set_aside(self, began: float):
    """Time that was not spent on steps is no part of their speed."""
    self.console.status('training')
    now = time.monotonic()
    self.aside += now - began
    self.mark += now - began

  def result(self, row: dict) -> dict:
    """The last row, curves.png and result.json."""
    self.watchdog.now('writing the result', patient=True)
    self.log.write(row | self.common())
    self.log.flush()
    result = distributed.from_first(
      lambda: results.write_result(
        self.directory, self.experiment, row, self.trail, time.monotonic() - self.console.started
      )
    )
    faults.mark(self.directory, 'done')
    return result

  def close(self):
    self.console.end()
    self.log.close()
    self.batches.close()
