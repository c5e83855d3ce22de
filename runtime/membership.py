"""How the processes of one run notice that one of them is gone, and end together."""

import atexit
import contextlib
import ctypes
import itertools
import json
import os
import signal
import threading
import time
from typing import NamedTuple

import jax
from jax._src import distributed as runtime  # as in distributed.py

from runtime import rendezvous
from runtime.cli import exit_code, message
from runtime.distributed import cleanups, index, say, several
from runtime.errors import DeviceError, Preempted

_BEAT_S = 1
_GONE_S = 20  # a process that has said nothing for so long is gone
_GRACE_S = 5  # for a process to come to its own end, once another one ended with an error
_AGAIN = 'The same command, on all of them, goes on from the last checkpoint.'
_exit_code: int | None = None  # of this process, once it is known


class Member:
  """This process as one of those that train together; alone where nothing says that there are more.

  A context manager, to be entered before jax is asked for a device. A daemon thread (`watch`)
  writes a heartbeat a second to the key-value store of process 0. It reads the heartbeats of the
  others, and their reports of how they ended. A run ends in one of these ways:

  | what happens             | that process                   | the others                         |
  |--------------------------|--------------------------------|------------------------------------|
  | all finish               | reports 0                      | the same                           |
  | all stop after one step, | reports 143 without a reason   | the same: StepConsensus has told   |
  | as a signal asks         |                                | them                               |
  | one raises an error      | reports its code and text;     | exit with its code and text, 5 s   |
  |                          | process 0 waits, at most 8 s,  | after they read the report         |
  |                          | until the others have left     |                                    |
  | one raises an error of   | first waits 23 s: its `watch`  | as above, or as below              |
  | jax's runtime            | ends it if a process is gone   |                                    |
  | a second signal ends one | calls `report_exit`, exits     | as after an error                  |
  | at once                  | with 143                       |                                    |
  | one is stuck             | watchdog.py calls `end`,       | as after an error                  |
  |                          | exits with 6                   |                                    |
  | one is killed, or its    | -                              | exit with 6 after 20 s without its |
  | machine is lost          |                                | heartbeat                          |
  | process 0 is killed      | -                              | exit with 6 within about 2 s:      |
  |                          |                                | `watch` gets no answer, or jax     |
  |                          |                                | aborts and the SIGABRT handler says|
  |                          |                                | why                                |

  Args:
    coordinator: HOST:PORT at which process 0 is to be found; 'auto': as SLURM, Open MPI, Kubernetes
      or the TPU pod say; '': auto where the environment of a launcher says that there are several;
      'none': alone, whatever it says.
    processes, process: how many there are and which one this is; with an address.
    timeout: seconds to wait for the others at the start.

  Raises:
    ConfigError: on entering, the arguments make no sense.
    DeviceError: on entering, the address cannot be used.
  """

  def __init__(self, *, coordinator: str, processes: int, process: int, timeout: float):
    self._coordinator = coordinator or ('auto' if rendezvous.launched() else 'none')
    self._processes, self._process, self._timeout = processes, process, timeout
    self._done = threading.Event()

  def __enter__(self) -> 'Member':
    if self._coordinator != 'none':
      self.join()
    if several():
      threading.Thread(target=self.watch, daemon=True).start()
    return self

  def __exit__(self, _, error: BaseException | None, __):
    if several():
      self.leave(error)

  def join(self):
    """Meets the other processes. From now on an abort of jax's is explained."""
    ctypes.CDLL(None).signal(signal.SIGABRT, _ON_ABORT)
    rendezvous.meet(self._coordinator, self._processes, self._process, self._timeout)

  def watch(self):
    """Ends this process when another one is gone or ended with an error, until `leave` is called.

    Its part of the next step would never come.
    """
    processes = runtime.global_state.num_processes
    roster = Roster(processes, time.monotonic())
    for beat in itertools.count():
      if self._done.wait(_BEAT_S):
        return
      try:
        _write('alive', str(beat))
        beats, reports = _read('alive'), _reports()
      except Exception:
        if self._done.is_set():
          return
        end(_coordinator_gone(), DeviceError.exit_code)
      now = time.monotonic()
      roster.hear(beats, reports, now)
      gone, failure = roster.gone(now), roster.failure(now)
      if self._done.is_set():
        return
      if gone:
        end(
          f'process {", ".join(map(str, gone))} of {processes} is gone: nothing was heard of it '
          f'for {_GONE_S} s. {_AGAIN}',
          DeviceError.exit_code,
          gone=len(gone),
        )
      if failure:
        end(failure.why, failure.code)

  def leave(self, error: BaseException | None):
    """Reports how this process ends: with `error`, or done where there is none."""
    if isinstance(error, jax.errors.JaxRuntimeError):
      time.sleep(_GONE_S + 3 * _BEAT_S)  # `watch` says which process is gone, if that is why
    self._done.set()
    if error is None:
      _report(0, '')
    elif isinstance(error, Preempted):  # which all processes are, after the same step
      _report(exit_code(error), '')
    else:
      _report(exit_code(error), message(error))
      if index() == 0:
        _wait_for_others()
      # jax's own end would wait for processes that are gone
      atexit.register(os._exit, exit_code(error))

  def report_exit(self, code: int, why: str):
    """Tells the others of an end that follows now and unwinds no stack; alone, does nothing.

    Process 0, which keeps the reports, waits until the others have read this one.
    """
    if several():
      _report(code, why)
      if index() == 0:
        _wait_for_others()


def end(why: str, code: int, *, gone: int = 0):
  """Ends this process without unwinding its stack, which may hang in a call that never comes back.

  Args:
    why: printed, and reported to the other processes.
    gone: how many processes will say nothing any more.
  """
  say(why)
  for cleanup in cleanups:
    with contextlib.suppress(Exception):
      cleanup()
  if several():
    _report(code, why)
    if index() == 0:  # whose end would be the end of all
      _wait_for_others(gone)
  os._exit(code)


class Report(NamedTuple):
  """How a process ended.

  Attributes:
    why: empty where the others need not end because of it.
  """

  code: int
  why: str


class Roster:
  """What was heard of each process, and when; the caller gives times, in seconds of one clock."""

  def __init__(self, processes: int, now: float):
    self._beats: dict[int, str] = {}
    self._heard = dict.fromkeys(range(processes), now)
    self._failure: Report | None = None
    self._failed_at = 0.0

  def hear(self, beats: dict[int, str], reports: dict[int, Report], now: float):
    """Takes the newest heartbeats and reports, by process. The first reason reported is kept."""
    for process, beat in beats.items():
      if beat != self._beats.get(process):
        self._beats[process] = beat
        self._heard[process] = now
    for process, report in reports.items():
      self._heard[process] = now  # who has left need not be heard
      if report.why and self._failure is None:
        self._failure = Report(report.code, f'process {process} stopped: {report.why}')
        self._failed_at = now

  def gone(self, now: float) -> list[int]:
    """Processes of which nothing was heard for too long."""
    return [process for process, heard in self._heard.items() if now - heard > _GONE_S]

  def failure(self, now: float) -> Report | None:
    """How this process should end because another one failed, once its own time to end is over."""
    return self._failure if now - self._failed_at > _GRACE_S else None


def _write(what: str, text: str):
  key = f'onemask/{what}/{index()}'
  runtime.global_state.client.key_value_set(key, text, allow_overwrite=True)


def _read(what: str) -> dict[int, str]:
  """What each process has written under this name."""
  found = runtime.global_state.client.key_value_dir_get(f'onemask/{what}/')
  return {int(key.rpartition('/')[2]): value for key, value in found}


def _report(code: int, why: str):
  global _exit_code
  if _exit_code is None:
    _exit_code = code
  with contextlib.suppress(Exception):  # the coordinator may be gone
    _write('left', json.dumps([code, why]))


def _reports() -> dict[int, Report]:
  return {process: Report(*json.loads(text)) for process, text in _read('left').items()}


def _wait_for_others(gone: int = 0):
  """Waits until all but `gone` have reported their end, and a moment more for their last words.

  At most 8 seconds, and one.
  """
  end = time.monotonic() + _GRACE_S + 3 * _BEAT_S
  with contextlib.suppress(Exception):
    while time.monotonic() < end and len(_read('left')) + gone < runtime.global_state.num_processes:
      time.sleep(0.1)
  time.sleep(_BEAT_S)


def _coordinator_gone() -> str:
  address = runtime.global_state.coordinator_address
  return f'process 0, which coordinates the run at {address}, is gone. {_AGAIN}'


def _aborted(_):
  """Says why jax aborts this process, and gives it an exit code of ours.

  jax calls abort() where the coordinator is gone, holding a lock that every call of it waits for.
  So Python's own signal handlers would never run. This one runs in the thread that aborts.
  """
  if _exit_code is not None:
    time.sleep(_GRACE_S)  # the main thread has its own error to say
    os._exit(_exit_code)
  if rendezvous.answers(runtime.global_state.coordinator_address):
    say('jax ended this process for the reason above.')
  else:
    say(_coordinator_gone())
  os._exit(DeviceError.exit_code)


# at module level, because C keeps its address until the process ends
_ON_ABORT = ctypes.CFUNCTYPE(None, ctypes.c_int)(_aborted)
