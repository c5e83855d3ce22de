"""How the processes of one run meet, notice that one is gone, and leave together."""

import atexit
import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

import jax
from jax._src import distributed as runtime  # as in distributed.py

from configs.schema.check import ConfigError
from runtime.cli import exit_code, message
from runtime.distributed import cleanups, index, several
from runtime.errors import DeviceError, Preempted

_SAY_EVERY_S = 30  # while others are waited for; the first time after 5
_BEAT_S = 1
_GONE_S = 20  # a process that has said nothing for so long is gone
# after which jax ends the processes that are left, should the watch here have failed
_HEARTBEAT_S = 60
_GRACE_S = 5  # for a process to come to its own end, once another one ended with an error
_AGAIN = 'The same command, on all of them, goes on from the last checkpoint.'
_ending: list[int] = []  # the code of this process, once it is known


@contextlib.contextmanager
def member(*, coordinator: str, processes: int, process: int, timeout: float):
  """This process as one of those that train together, until it
  leaves; alone if nothing says that there are others.

  Must be entered before jax is asked for a device.

  Args:
    coordinator: HOST:PORT at which process 0 is to be found; 'auto': as SLURM, Open MPI, Kubernetes
      or the TPU pod say; '': auto where the environment of a launcher says that there are several;
      'none': alone, whatever it says.
    processes, process: how many there are and which one this is; with an address.
    timeout: seconds to wait for the others at the start.

  Yields:
    A function (code, why) that tells the others of an end that unwinds no stack.

  Raises:
    ConfigError: the arguments make no sense.
    DeviceError: the address cannot be used.
  """
  coordinator = coordinator or ('auto' if _launched() else 'none')
  if coordinator == 'none':
    yield lambda code, why: None
    return
  _join(coordinator, processes, process, timeout)
  if not several():
    yield lambda code, why: None
    return
  done = threading.Event()
  threading.Thread(target=_watch, args=(done,), daemon=True).start()
  try:
    yield _leave_at_once
  except BaseException as error:
    if isinstance(error, jax.errors.JaxRuntimeError):
      time.sleep(_GONE_S + 3 * _BEAT_S)  # the watch says which process is gone, if that is why
    done.set()
    orderly = isinstance(error, Preempted)  # which all processes are, after the same step
    _leave(exit_code(error), '' if orderly else message(error))
    if not orderly:
      if index() == 0:
        _wait_for_others()
      # jax's own end would wait for processes that are gone
      atexit.register(os._exit, exit_code(error))
    raise
  done.set()
  _leave(0, '')


def _launched() -> bool:
  """Whether the environment is that of one of several processes.
  A SLURM job without srun is one process.
  """
  several = [os.environ.get(name, '') for name in ('SLURM_STEP_NUM_TASKS', 'OMPI_COMM_WORLD_SIZE')]
  return any(number.isdigit() and int(number) > 1 for number in several) or (
    ',' in os.environ.get('TPU_WORKER_HOSTNAMES', '')
  )


def _join(coordinator: str, processes: int, process: int, timeout: float):
  # it would take SIGTERM away from runtime/signals.py
  jax.config.update('jax_enable_preemption_service', False)
  ctypes.CDLL(None).signal(signal.SIGABRT, _ON_ABORT)
  known: dict[str, Any] = {}
  if coordinator != 'auto':
    host, colon, port = coordinator.rpartition(':')
    if not colon or not host or not port.isdigit():
      raise ConfigError(f'--coordinator={coordinator}: HOST:PORT of process 0, or auto, or none.')
    if not 0 <= process < processes:
      raise ConfigError(
        f'--coordinator={coordinator} needs --processes=N and --process=I, from 0 to N - 1; they '
        f'are {processes} and {process}.'
      )
    known = dict(
      coordinator_address=coordinator,
      num_processes=processes,
      process_id=process,
      cluster_detection_method='deactivate',
    )
    if process == 0:
      _check_port(coordinator, int(port))
  met = threading.Event()
  threading.Thread(
    target=_wait_aloud, args=(met, coordinator, processes, process, timeout), daemon=True
  ).start()
  try:
    jax.distributed.initialize(
      **known, initialization_timeout=int(timeout) + 60, heartbeat_timeout_seconds=_HEARTBEAT_S
    )
  except (ValueError, RuntimeError) as error:
    raise DeviceError(
      f'--coordinator={coordinator}: {str(error).splitlines()[0]} Name HOST:PORT with --processes '
      'and --process, or --coordinator=none for one process alone.'
    ) from error
  finally:
    met.set()


def _aborted(_):
  """jax ends a process whose coordinator is gone with abort(),
  holding a lock that every call of it waits for.

  Python's own handlers would never run. This one runs in the thread that aborts.
  """
  if _ending:
    time.sleep(_GRACE_S)  # the main thread has its own error to say
    os._exit(_ending[0])
  address = runtime.global_state.coordinator_address
  gone = f'process 0, which coordinates the run at {address}, is gone. {_AGAIN}'
  _say(
    'jax ended this process for the reason above.'
    if _answers(runtime.global_state.coordinator_address)
    else gone
  )
  os._exit(DeviceError.exit_code)


_ON_ABORT = ctypes.CFUNCTYPE(None, ctypes.c_int)(_aborted)


def _check_port(coordinator: str, port: int):
  """jax dies of a port that is taken without a word."""
  with socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET) as probe:
    try:
      probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      probe.bind(('', port))
    except OSError as error:
      raise DeviceError(
        f'--coordinator={coordinator}: process 0 cannot listen on port {port} ({error.strerror}). '
        'Name another port, for all processes.'
      ) from error


def _wait_aloud(
  met: threading.Event, coordinator: str, processes: int, process: int, timeout: float
):
  """Says what is waited for; ends the process when that was too long, because jax would abort."""
  began = time.monotonic()
  pause = 5
  while not met.wait(min(pause, max(0.0, began + timeout - time.monotonic()))):
    pause = _SAY_EVERY_S
    if coordinator == 'auto':
      what = 'the other processes'
    elif process == 0:
      what = f'{processes - 1} more of {processes} processes at {coordinator}'
    else:
      what = (
        f'the others of {processes} processes at {coordinator}'
        if _answers(coordinator)
        else (f'process 0: nothing answers at {coordinator}')
      )
    late = time.monotonic() - began >= timeout
    advice = f'gave up after {timeout:.0f} s.' if late else f'for {time.monotonic() - began:.0f} s.'
    _say(
      f'waiting for {what}, {advice} Was the same command started on all workers, with one '
      '--coordinator?'
    )
    if late:
      os._exit(DeviceError.exit_code)


def _answers(coordinator: str) -> bool:
  host, _, port = coordinator.rpartition(':')
  with (
    contextlib.suppress(OSError),
    socket.create_connection((host.strip('[]'), int(port)), timeout=2),
  ):
    return True
  return False


def end(why: str, code: int, *, gone: int = 0):
  """Ends this process without unwinding its stack, which may hang in a call that never comes back.

  Args:
    gone: processes that will say nothing any more.
  """
  _say(why)
  for cleanup in cleanups:
    with contextlib.suppress(Exception):
      cleanup()
  if several():
    _leave(code, why)
    if index() == 0:  # whose end would be the end of all
      _wait_for_others(gone)
  os._exit(code)


def _say(text: str):
  with contextlib.suppress(OSError):  # the terminal may be gone
    print(f'process {index()}: {text}' if several() else text, file=sys.stderr, flush=True)


def _leave(code: int, why: str):
  _ending.append(code)
  with contextlib.suppress(Exception):  # the coordinator may be gone
    runtime.global_state.client.key_value_set(
      f'onemask/left/{index()}', json.dumps([code, why]), allow_overwrite=True
    )


def _leave_at_once(code: int, why: str):
  """Tells the others of an end that follows now, and lets them hear
  it where this process is the one that tells.
  """
  _leave(code, why)
  if index() == 0:
    _wait_for_others()


def _wait_for_others(gone: int = 0):
  """Until all have left but those that are gone, and a moment
  more for their last words; not for ever.
  """
  end = time.monotonic() + _GRACE_S + 3 * _BEAT_S
  with contextlib.suppress(Exception):
    while time.monotonic() < end and len(_read('left')) + gone < runtime.global_state.num_processes:
      time.sleep(0.1)
  time.sleep(_BEAT_S)


def _read(what: str) -> dict[int, str]:
  found = runtime.global_state.client.key_value_dir_get(f'onemask/{what}/')
  return {int(key.rpartition('/')[2]): value for key, value in found}


def _watch(done: threading.Event):
  """Ends this process when another one is gone, or ended with an
  error: its part of the next step would never come.
  """
  state, beats = runtime.global_state, itertools.count()
  # by process: (its last beat, when)
  heard = {each: ('', time.monotonic()) for each in range(state.num_processes)}
  failed = None
  while not done.wait(_BEAT_S):
    try:
      state.client.key_value_set(f'onemask/alive/{index()}', str(next(beats)), allow_overwrite=True)
      alive, left = _read('alive'), _read('left')
    except Exception:
      if done.is_set():
        return
      end(
        f'process 0, which coordinates the run at {state.coordinator_address}, is gone. {_AGAIN}',
        DeviceError.exit_code,
      )
    now = time.monotonic()
    heard |= {each: (beat, now) for each, beat in alive.items() if beat != heard[each][0]}
    for each, (code, why) in ((each, json.loads(said)) for each, said in left.items()):
      heard[each] = '', now
      if why and failed is None:
        failed = now, f'process {each} stopped: {why}', code
    gone = [str(each) for each, (_, last) in heard.items() if now - last > _GONE_S]
    if gone and not done.is_set():
      end(
        f'process {", ".join(gone)} of {state.num_processes} is gone: nothing was heard of it for '
        f'{_GONE_S} s. {_AGAIN}',
        DeviceError.exit_code,
        gone=len(gone),
      )
    if failed and now - failed[0] > _GRACE_S and not done.is_set():
      end(*failed[1:])
