"""Where a run begins: its newest checkpoint, another run's parameters, or random ones."""

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import jax

from runtime import distributed, faults
from runtime.errors import StateError
from training import certificate, checkpoint, describe, metrics, plan, saver, warm_start
from training.certificate import RunDigest
from training.experiment import make_run_state
from training.session import Session
from training.state import State


class Started(NamedTuple):
  """What a run begins with.

  Attributes:
    first: the step that comes next.
    saved: the step of the newest checkpoint; None where there is none.
    digest: of what the run has read and spent before.
    schedule: step -> learning rate.
    predict: step -> seconds from there to the end, before anything is measured.
  """

  state: State
  first: int
  saved: int | None
  digest: RunDigest
  tx: Any
  schedule: Callable
  plan: plan.Plan
  predict: Callable[[int], float]


def start(session: Session) -> Started:
  """Restores the newest checkpoint, or makes the state of step 0.

  Raises:
    StateError: the workdir has metrics and no checkpoint, or none that is whole; or plan.json is
      damaged.
    OSError: the disk has no room for the checkpoints.
  """
  config, directory, experiment = session.config, session.directory, session.experiment
  folder = directory / 'checkpoints'
  abstract, make, tx, schedule = make_run_state(config, experiment.network, session.mesh)
  stored = sum(leaf.size for leaf in jax.tree.leaves(abstract.params))
  parameters = stored // config.finetune.seeds
  chosen = plan.make_plan(experiment, directory, parameters, session.mesh)
  needed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(abstract))
  distributed.from_first(lambda: checkpoint.preflight(folder, needed, config.checkpoint.keep))

  if distributed.from_first(lambda: bool(checkpoint.available(folder))):
    _check_initial(session, make)
  restored = checkpoint.restore_newest(folder, abstract, session.console.say)
  if restored is None and distributed.from_first(lambda: metrics.there(directory)):
    raise StateError(
      f'{directory} holds metrics and no checkpoint to resume from. Pass --restart, which moves '
      'the old files aside, or name another --workdir.'
    )
  state, extra, first = restored or (None, dict(trail={}), 0)
  mesh_shape = dict(session.mesh.shape)
  session.console.table(
    config.name, describe.start_rows(experiment, chosen, directory, parameters, mesh_shape, first)
  )
  faults.mark(directory, 'compile')
  return Started(
    state=_new_state(session, make()) if restored is None else state,
    first=first,
    saved=None if restored is None else first,
    digest=RunDigest(**extra['trail']),
    tx=tx,
    schedule=schedule,
    plan=chosen,
    predict=lambda step: chosen.seconds(experiment.phases, step, config.steps),
  )


def _check_initial(session: Session, make: Callable[[], State]):
  """Makes initial.json of a run that goes on anew, if it was lost; the certificate needs it.

  Raises:
    StateError: it was lost, and the run began with another run's parameters.
  """
  directory, config = session.directory, session.config

  def problem() -> str:
    try:
      certificate.read_initial(directory)
    except StateError as error:
      return str(error)
    return ''

  if lost := distributed.from_first(problem):
    if config.init_from:  # which may hold other parameters by now
      raise StateError(lost)
    session.console.say(f'WARNING: {lost.partition(". ")[0]}; computed anew from the seed.')
    _new_state(session, make())


def _new_state(session: Session, state: State) -> State:
  """The state of step 0, with another run's parameters where the config names one."""
  config = session.config
  if config.init_from:
    params = warm_start.begin_with(
      config.init_from, session.experiment, state.params, session.mesh, session.console.say
    )
    average = None if state.average is None else jax.tree.map(lambda x: x.copy(), params)
    state = dataclasses.replace(state, params=params, average=average)
  # What every objective has.
  common = {name: state.params[name] for name in ('embeddings', 'trunk')}
  sha256 = saver.digest(common)
  distributed.from_first(lambda: certificate.write_initial(session.directory, sha256))
  return state
