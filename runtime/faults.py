"""Faults on purpose, for the tests that prove a run survives them. Inert unless FAULT is set.

FAULT=die_at_step:7     kill -9 before step 7 is dispatched
FAULT=die_in_save:2     kill -9 in the middle of the second save
FAULT=fail_saves:2      the first two checkpoints cannot be written, as on a disk that is away
FAULT=nan_at:5          the parameters before step 5 are NaN
FAULT=sleep_at:3        step 3 takes an hour
FAULT=oom_at:3          the device has no memory for step 3
FAULT=hold_in:step:3    at the beginning of phase step:3, until the file that names it is removed
FAULT=none              none of these, but `mark` writes the phase of the run
"""

import errno
import os
import signal
import time

from etils import epath
import jax

from runtime import distributed


def armed(kind: str) -> int | None:
  """The number that FAULT gives for this kind of fault, or None."""
  name, _, value = os.environ.get('FAULT', '').partition(':')
  return int(value) if name == kind else None


def maybe_die(kind: str, number: int):
  """Kills this process with SIGKILL if FAULT says so: no handler and no cleanup runs."""
  if armed(kind) == number:
    os.kill(os.getpid(), signal.SIGKILL)


def maybe_fail_save(number: int):
  """Raises what a disk says that is away, if FAULT says so for this save of the process."""
  if number <= (armed('fail_saves') or 0):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def maybe_poison(step: int, tree):
  """The arrays of a tree, of which no number is one before the step that a test names."""
  if armed('nan_at') != step:
    return tree
  poison = lambda x: x * jax.numpy.nan if jax.numpy.issubdtype(x.dtype, jax.numpy.floating) else x
  return jax.tree.map(poison, tree)


def maybe_sleep(step: int):
  """Sleeps for an hour before this step if FAULT says so."""
  if armed('sleep_at') == step:
    time.sleep(3_600)


def maybe_exhaust(step: int):
  """Raises what jax raises when a device runs out of memory, if FAULT says so for this step."""
  if armed('oom_at') == step:
    raise jax.errors.JaxRuntimeError(
      'RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes.'
    )


def mark(directory: epath.PathLike, phase: str):
  """Writes where the run is, so that a test can send a signal in a known phase."""
  if 'FAULT' not in os.environ:
    return
  path = epath.Path(directory) / f'phase{distributed.index() or ""}'
  path.write_text(phase)
  if os.environ['FAULT'] == f'hold_in:{phase}':
    os.environ['FAULT'] = 'none'  # the first time only
    while path.exists():
      time.sleep(0.01)
