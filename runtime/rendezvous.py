"""How the processes of one run meet: addresses, ports, and who is waited for."""

import contextlib
import os
import socket
import threading
import time
from typing import Any

import jax

from configs.schema.check import ConfigError
from runtime.distributed import say
from runtime.errors import DeviceError

_FIRST_LINE_S = 5  # of waiting, before the first line about it
_LINE_EVERY_S = 30
# jax waits this much longer than we do: it would abort where we say who is missing
_JAX_LATER_S = 60
# after which jax ends the processes that are left, should membership.py have failed to
_HEARTBEAT_S = 60


def launched() -> bool:
  """Whether the environment is that of one of several processes: srun, mpirun or a TPU pod.

  A SLURM job without srun is one process.
  """
  counts = [os.environ.get(name, '') for name in ('SLURM_STEP_NUM_TASKS', 'OMPI_COMM_WORLD_SIZE')]
  if any(count.isdigit() and int(count) > 1 for count in counts):
    return True
  return ',' in os.environ.get('TPU_WORKER_HOSTNAMES', '')


def meet(coordinator: str, processes: int, process: int, timeout: float):
  """Starts jax's coordination service and waits until every process is connected to it.

  Ends this process with code 6 where some are missing after `timeout` seconds: jax would abort.

  Args:
    coordinator: HOST:PORT, or 'auto'; then `processes` and `process` are not read.

  Raises:
    ConfigError: the arguments make no sense.
    DeviceError: the address cannot be used.
  """
  # its handler would take SIGTERM away from runtime/signals.py
  jax.config.update('jax_enable_preemption_service', False)
  known = {} if coordinator == 'auto' else _parse(coordinator, processes, process)
  met = threading.Event()
  waiting = (met, coordinator, processes, process, timeout)
  threading.Thread(target=_wait_aloud, args=waiting, daemon=True).start()
  try:
    jax.distributed.initialize(
      **known,
      initialization_timeout=int(timeout) + _JAX_LATER_S,
      heartbeat_timeout_seconds=_HEARTBEAT_S,
    )
  except (ValueError, RuntimeError) as error:
    raise DeviceError(
      f'--coordinator={coordinator}: {str(error).splitlines()[0]} Name HOST:PORT with --processes '
      'and --process, or --coordinator=none for one process alone.'
    ) from error
  finally:
    met.set()


def _parse(coordinator: str, processes: int, process: int) -> dict[str, Any]:
  """Arguments of `jax.distributed.initialize`, checked because jax dies of some without a word."""
  host, colon, port = coordinator.rpartition(':')
  if not colon or not host or not port.isdigit():
    raise ConfigError(f'--coordinator={coordinator}: HOST:PORT of process 0, or auto, or none.')
  if not 0 <= process < processes:
    raise ConfigError(
      f'--coordinator={coordinator} needs --processes=N and --process=I, from 0 to N - 1; they '
      f'are {processes} and {process}.'
    )
  if process == 0:
    _check_port(coordinator, int(port))
  return dict(
    coordinator_address=coordinator,
    num_processes=processes,
    process_id=process,
    cluster_detection_method='deactivate',
  )


def _check_port(coordinator: str, port: int):
  """Raises DeviceError where process 0 cannot listen; jax would die of it without a word."""
  family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
  with socket.socket(family) as probe:
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
  """Prints who is missing until `met` is set; ends the process after `timeout` seconds."""
  began = time.monotonic()
  pause = _FIRST_LINE_S
  while not met.wait(min(pause, max(0.0, began + timeout - time.monotonic()))):
    pause = _LINE_EVERY_S
    who = _missing(coordinator, processes, process)
    waited = time.monotonic() - began
    late = waited >= timeout
    how_long = f'gave up after {timeout:.0f} s.' if late else f'for {waited:.0f} s.'
    say(
      f'waiting for {who}, {how_long} Was the same command started on all workers, with one '
      '--coordinator?'
    )
    if late:
      os._exit(DeviceError.exit_code)


def _missing(coordinator: str, processes: int, process: int) -> str:
  if coordinator == 'auto':
    return 'the other processes'
  if process == 0:
    return f'{processes - 1} more of {processes} processes at {coordinator}'
  if answers(coordinator):
    return f'the others of {processes} processes at {coordinator}'
  return f'process 0: nothing answers at {coordinator}'


def answers(coordinator: str) -> bool:
  """Whether something listens at HOST:PORT; tries for 2 seconds."""
  host, _, port = coordinator.rpartition(':')
  with contextlib.suppress(OSError):
    with socket.create_connection((host.strip('[]'), int(port)), timeout=2):
      return True
  return False
