"""Ends a process that makes no progress, after printing the stack of every thread."""

from collections import deque
import contextlib
import faulthandler
import statistics
import sys
import threading
import time
from typing import NamedTuple

from runtime import membership
from runtime.errors import DeviceError

# Median steps without progress that are too many. A guess, not measured: the longest step of a run
# that lives (a slow disk, a garbage collection) should stay below it.
_STEPS = 10
_KEPT = 101  # last steps of which the median is taken
_POLL_S = 1


class _Activity(NamedTuple):
  """What the run does now.

  Attributes:
    since: of `time.monotonic`.
    patient: it may take any time.
  """

  what: str
  since: float
  patient: bool


class Watchdog:
  """A context manager that watches from entering to leaving.

  Args:
    limit: seconds without progress that end the process with code 6, or 10 median steps where that
      is longer; 0 = never.
  """

  def __init__(self, limit: float):
    self._limit = limit
    self._step_seconds: deque[float] = deque(maxlen=_KEPT)
    self._done = threading.Event()
    self.now('starting', patient=True)

  def now(self, what: str, *, patient: bool = False):
    """Says that an activity begins, which counts as progress.

    Args:
      patient: nobody knows how long it takes, as for compiling, so it may take any time.
    """
    self._now = _Activity(what, time.monotonic(), patient)

  def stepped(self, seconds: float):
    """Says how long a step took."""
    self._step_seconds.append(seconds)

  def __enter__(self):
    if self._limit:
      threading.Thread(target=self._watch, daemon=True).start()
    return self

  def __exit__(self, *_):
    self._done.set()

  def _watch(self):
    while not self._done.wait(min(_POLL_S, self._limit / 4)):
      activity = self._now
      seconds = time.monotonic() - activity.since
      limit = max(self._limit, _STEPS * statistics.median(self._step_seconds or [0]))
      if seconds > limit and not activity.patient and not self._done.is_set():
        self._end(activity.what, seconds)

  def _end(self, what: str, seconds: float):
    with contextlib.suppress(OSError, ValueError):  # a standard error that is no file
      faulthandler.dump_traceback(sys.stderr)
    membership.end(
      f'no progress for {seconds:.0f} s while {what} (config.watchdog_seconds='
      f'{self._limit:g}); the stacks of all threads are above. The same command goes on from '
      'the last checkpoint.',
      DeviceError.exit_code,
    )
