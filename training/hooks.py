"""What happens between steps: validating, saving, logging. Each is called with (step, state)."""

from collections.abc import Callable
import dataclasses
import time
from typing import NamedTuple

import jax
import numpy as np

from configs.schema import grid
from evaluation.validation import Part, make_evaluator
from parallel import sharding
from runtime import distributed, faults, flaky
from training import metrics, result, stacked
from training.certificate import RunDigest
from training.examine import Examine
from training.saver import Saver
from training.session import Session
from training.start import Started
from training.state import State, scored_params


class Pending(NamedTuple):
  """A step that was dispatched and whose metrics were not read yet.

  Attributes:
    row: of metrics.jsonl, as far as it is known.
    batch: the rows of this process.
    told: waits for the other processes; the hash of the whole batch.
    measured: the step's metrics, on the devices.
    compiled: the step had to be compiled first, so its time says nothing about others.
  """

  row: dict
  batch: dict
  told: Callable[[], int]
  measured: dict
  compiled: bool


def times_due(every: int, first: int, steps: int) -> int:
  """How often what is done every so many steps and at the end is due, from before `first` on."""
  return steps // every - (first - 1) // every + (steps % every > 0)


class Validate:
  """Scores the whole validation set under every cell that is asked for."""

  def __init__(self, session: Session):
    self._session, self._examine = session, Examine(session)
    config, cells = session.config, session.experiment.cells
    wanted = dict.fromkeys((session.experiment.main, *grid.extra_cells(config)))
    if session.experiment.labelled:
      wanted = {}
    self._evaluators = {
      cell: make_evaluator(
        cells[cell].apply,
        cells[cell].held_out,
        seed=config.validation.seed,
        shard=lambda batch: sharding.shard_batch(batch, session.mesh),
        to_host=sharding.to_host,
      )
      for cell in wanted
    }

  def due(self, step: int) -> bool:
    """Whether the config asks for it before this step."""
    config = self._session.config
    every = step % config.validation.every == 0 and (step > 0 or config.validation.first)
    return every or step == config.steps

  def __call__(self, step: int, state: State) -> dict:
    """{'val/...': value}; nothing if a stop is requested in between."""
    session = self._session
    session.console.status('evaluating')
    faults.mark(session.directory, 'eval')
    with session.clock.set_aside('evaluating'):
      row = {}
      if session.experiment.labelled:
        found = self._examine.scores('validation', state)
        row = stacked.logged('val', found, stacked.numbers(session.config)) if found else {}
      for cell, evaluate in self._evaluators.items():
        main = cell == session.experiment.main
        what = '' if main else f', {cell}'
        scores = evaluate(scored_params(state), self._parts(what))
        before = 'val/' if main else f'val/{cell}/'
        row |= {f'{before}{name}': value for name, value in scores.items()}
    session.console.status('training')
    return {} if session.consensus.stopping else row

  def _parts(self, what: str) -> dict[str, Part]:
    texts = self._session.experiment.validation_texts
    return {name: Part(self._batches(name, what), text) for name, text in texts.items()}

  def _batches(self, part: str, what: str):
    """The validation set, or a part of it, until a stop is requested."""
    session = self._session
    size = sharding.round_up(session.config.validation.batch_size, session.mesh)
    batches = session.experiment.validation(
      size, rows_of=lambda rows: sharding.rows_here(session.mesh, rows), part=part
    )
    what += f', {part}' if part else ''
    of = len(batches)
    for index in range(of):
      compiling = index == 0
      session.watchdog.now(f'evaluating, batch {index + 1:,} of {of:,}', patient=compiling)
      if session.consensus.ask():
        return
      session.console.substep(index + 1, of, f'batches of the validation set{what}')
      yield batches[index]


class Save:
  """Writes checkpoints, in the background: a save blocks for a copy of the state.

  A checkpoint that a disk refused for a moment costs no run: the next one comes in its place. The
  third that fails in a row ends the run.

  Attributes:
    saved: the step of the newest checkpoint that was begun.
  """

  def __init__(self, session: Session, started: Started):
    self._session, self.saved = session, started.saved
    self._saver = Saver(session.directory / 'checkpoints', session.config.checkpoint.keep)
    self._config_hash, self._failed = session.experiment.config_hash, 0

  def due(self, step: int) -> bool:
    """Whether the config asks for it before this step."""
    config = self._session.config
    return step % config.checkpoint.every == 0 or step == config.steps

  def __call__(self, step: int, state: State, digest: RunDigest):
    """Begins a checkpoint of the state before this step."""
    session = self._session
    session.console.status('saving')
    session.watchdog.now('saving', patient=True)
    faults.mark(session.directory, 'save')
    extra = dict(step=step, trail=dataclasses.asdict(digest), config_hash=self._config_hash)
    with session.clock.set_aside('saving'):
      self._hear()
      self._saver.save(step, state, extra)
    self.saved = step
    session.console.status('training')

  def _hear(self):
    """Waits for the checkpoint that was begun, if one was."""
    try:
      self._saver.finish()
      self._failed = 0
    except OSError as error:
      self._failed += 1
      if self._failed > len(flaky.PAUSES_S) or not flaky.passes(error):
        raise
      self._session.console.say(f'WARNING: {error}. The next save tries again.')

  def wait(self):
    """Waits until the checkpoint that was begun is there, and raises what went wrong with it."""
    self._session.watchdog.now('saving', patient=True)
    self._saver.finish()

  def finish(self, step: int, state: State, digest: RunDigest):
    """Waits until the checkpoint of this step is there, the last of this process.

    Where one process is all, a disk that is away for a moment is asked again.
    """

    def attempt():
      if self.saved != step:
        self(step, state, digest)
      self.saved = None
      self.wait()
      self.saved = step

    attempt() if jax.process_count() > 1 else flaky.insist(attempt)

  def close(self):
    """Waits too, whatever came of it."""
    self._saver.close()


class Log:
  """Reads what steps measured, and writes a row each.

  Attributes:
    digest: of what was read and spent up to the last step that was read.
  """

  def __init__(self, session: Session, started: Started):
    self._session, self.digest = session, started.digest
    self._config_hash = session.experiment.config_hash
    self._log = distributed.only_first(
      lambda: metrics.MetricsLog(
        session.directory,
        resume_step=started.first,
        tensorboard=session.config.log.tensorboard,
        say=session.console.say,
      )
    )

  def finish(self, pending: Pending, saved: int | None) -> None:
    """Reads what a step measured, which waits for it, and writes its row.

    Raises:
      NumericalError: it is not finite.
    """
    session, row, step = self._session, pending.row, pending.row['step']
    measured = jax.device_get(pending.measured)
    row['batch_hash'] = f'{pending.told():016x}'
    finite, seeds = np.atleast_1d(measured.pop('finite')), stacked.numbers(session.config)
    if not finite.all():
      bad = [seed for seed, good in zip(seeds, finite) if not good] if len(seeds) > 1 else []
      result.explain_nan(session.directory, step, pending.batch, measured, saved=saved, seeds=bad)
    del measured['block_gradient_norm']
    if measured.pop('skipped', False):
      session.console.say(
        f'step {step:,}: the update was skipped, because the gradient norm is '
        f'{measured["gradient_norm"]:.4g} (optimizer.skip_sigmas).'
      )
    seconds = session.clock.lap()
    tokens, predictions = int(measured.pop('tokens')), int(measured.pop('predictions'))
    row |= dict(mask_hash=f'{int(measured.pop("mask_hash")):08x}', predictions=predictions)
    numbers = {name: float(value) for name, value in measured.items()}
    row |= self._common() | numbers | dict(tokens_per_second=tokens / seconds)
    self.digest = self.digest.after(
      tokens=tokens,
      predictions=predictions,
      batch_hash=row['batch_hash'],
      mask_hash=row['mask_hash'],
    )
    if step % session.config.log.every == 0 or 'val/loss' in row:
      self._log.write(row)
    if not pending.compiled:
      session.watchdog.stepped(seconds)
    # A step that waited for the compiler says nothing about those to come.
    session.console.stepped(
      step + 1,
      None if pending.compiled else seconds,
      self._aside_left(step + 1),
      numbers['train/loss'],
      tokens / seconds,
    )

  def _aside_left(self, step: int) -> float:
    """Seconds that evaluating and saving will take from before this step on, as the last time."""
    config = self._session.config
    every = dict(evaluating=config.validation.every, saving=config.checkpoint.every)
    took = self._session.clock.aside
    return sum(
      took.get(what, 0.0) * times_due(steps, step, config.steps) for what, steps in every.items()
    )

  def result(self, row: dict, more: dict) -> dict:
    """The last row, curves.png and result.json, with `more` in it."""
    session = self._session
    session.watchdog.now('writing the result', patient=True)
    self._log.write(row | self._common())
    self._log.flush()
    written = distributed.from_first(
      lambda: result.write_result(
        session.directory,
        session.experiment,
        row,
        self.digest,
        time.monotonic() - session.console.started,
        more,
      )
    )
    faults.mark(session.directory, 'done')
    return written

  def flush(self):
    """To be called before a checkpoint: no row from before it is then lost."""
    self._log.flush()

  def close(self):
    self._log.close()

  def _common(self) -> dict:
    return dict(
      tokens=self.digest.tokens,
      seconds=time.monotonic() - self._session.console.started,
      config_hash=self._config_hash[:16],
    )
