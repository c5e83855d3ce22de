"""Ends a run that has stopped moving, and says where every thread of it stands."""

from collections import deque
import contextlib
import faulthandler
import statistics
import sys
import threading
import time

from runtime import membership
from runtime.errors import DeviceError

_STEPS = 10  # median steps without progress that are too many


class Watchdog:
  """Watches from entering to leaving.

  Args:
    limit: seconds without progress that end the process; 10
      median steps where that is longer; 0 = never.
  """

  def __init__(self, limit: float):
    self._limit, self._steps = limit, deque(maxlen=101)
    self._done = threading.Event()
    self.now('starting', patient=True)

  def now(self, what: str, *, patient: bool = False):
    """Something begins; it may take any time where nobody knows how long it takes (compiling)."""
    self._at = what, time.monotonic(), patient

  def stepped(self, seconds: float):
    """A step took so long."""
    self._steps.append(seconds)

  def __enter__(self):
    if self._limit:
      threading.Thread(target=self._watch, daemon=True).start()
    return self

  def __exit__(self, *_):
    self._done.set()

  def _watch(self):
    while not self._done.wait(min(1, self._limit / 4)):
      what, since, patient = self._at
      limit = max(self._limit, _STEPS * statistics.median(self._steps or [0]))
      if not patient and time.monotonic() - since > limit and not self._done.is_set():
        with contextlib.suppress(OSError, ValueError):  # a standard error that is no file
          faulthandler.dump_traceback(sys.stderr)
        membership.end(
          f'no progress for {time.monotonic() - since:.0f} s while {what} (config.watchdog_seconds='
          f'{self._limit:g}); the stacks of all threads are above. The same command goes on from '
          'the last checkpoint.',
          DeviceError.exit_code,
        )
