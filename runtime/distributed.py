"""What the processes of one run tell each other: who they are, what they agree on, and what process
0 does for all of them.

Only this file and membership.py ask which process this is. Control messages use the key-value store
of jax's coordination service, which process 0 hosts and which needs no device; step metrics use
device collectives.

All processes must make the same calls of this file in the same order: messages are matched by a
running number. A call waits until the others have made theirs; membership.py ends the process if
one of them is gone.
"""

from collections.abc import Callable
import contextlib
import itertools
import json
import sys
from typing import Any, NamedTuple

import jax
from jax._src import distributed as runtime  # the store has no public name; orbax uses this one too
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from runtime.errors import StateError

_EVER_MS = 30 * 86_400_000
cleanups: list[Callable[[], None]] = []  # what an end that unwinds no stack must still do
_calls = itertools.count()


def several() -> bool:
  """Whether this run has more than one process; touches no device."""
  return runtime.global_state.num_processes > 1


def index() -> int:
  """Number of this process; touches no device."""
  return runtime.global_state.process_id


def say(text: str):
  """Prints a line to standard error; of several processes, with the number of this one."""
  with contextlib.suppress(OSError):  # the terminal may be gone
    print(f'process {index()}: {text}' if several() else text, file=sys.stderr, flush=True)


def from_first(work: Callable[[], Any]) -> Any:
  """Runs `work` in process 0 alone; returns its result, which must be JSON, in every process.

  For reading and writing files. `work` must not use jax, which could wait for the other processes:
  they wait here.
  """
  if not several():
    return work()
  key = f'onemask/said/{next(_calls)}'
  if index() == 0:
    runtime.global_state.client.key_value_set(key, json.dumps(work()))
  return json.loads(_get(key))


@contextlib.contextmanager
def held_by_first(hold: Callable[[], contextlib.AbstractContextManager]):
  """Enters `hold()` in process 0 alone, for all of them.

  Yields:
    The function that `hold()` yields, which releases what is held; one that does nothing in the
    other processes. An end that unwinds no stack calls it too.
  """
  if index():
    yield lambda: None
    return
  with hold() as release:
    cleanups.append(release)
    yield release


def only_first(make: Callable[[], Any]) -> Any:
  """An object that writes: `make()` in process 0, one whose methods do nothing in the others."""
  return make() if index() == 0 else _Silent()


class _Silent:
  def __getattr__(self, name: str):
    return lambda *_, **__: None


def first_then_others(work: Callable[[], Any]) -> Any:
  """Runs `work` in every process, in process 0 first, so that a shared disk is filled only once.

  To be called once a run.
  """
  if index():
    _get('onemask/first')
    return work()
  made = work()
  if several():
    runtime.global_state.client.key_value_set('onemask/first', 'done')
  return made


def suffix() -> str:
  """Ending of the names of this process's files: none for process 0."""
  return f'.process_{index()}' if index() else ''


def gathered(text: str) -> list[str]:
  """The text that each process passes here, by number of the process."""
  if not several():
    return [text]
  folder = f'onemask/all/{next(_calls)}'
  runtime.global_state.client.key_value_set(f'{folder}/{index()}', text)
  return [_get(f'{folder}/{each}') for each in range(runtime.global_state.num_processes)]


def collect(key: str, text: str) -> list[str]:
  """What each process says under a key, in their order, for process 0; nothing for the others.

  Unlike `gathered` it may be called by any thread: keys tell the calls apart, not their order.
  """
  if not several():
    return [text]
  runtime.global_state.client.key_value_set(f'onemask/{key}/{index()}', text)
  if index():
    return []
  return [_get(f'onemask/{key}/{each}') for each in range(runtime.global_state.num_processes)]


def agree(facts: dict[str, Any]):
  """Compares what each process knows; `facts` must be JSON.

  Raises:
    StateError: they differ. Raised in every process, with a line for each difference.
  """
  first, *others = map(json.loads, gathered(json.dumps(facts)))
  lines = []
  for number, other in enumerate(others, start=1):
    for name in sorted(first.keys() | other.keys()):
      if first.get(name) != other.get(name):
        lines.append(
          f'  {name}: {first.get(name)!r} on process 0, {other.get(name)!r} on process {number}'
        )
  if lines:
    raise StateError(
      'the processes of this run are not alike:\n' + '\n'.join(lines) + '\nStart the same command '
      'with the same code, data and versions on all of them.'
    )


def _get(key: str) -> str:
  """The value of a key, as soon as some process has set it."""
  return runtime.global_state.client.blocking_key_value_get(key, _EVER_MS)


_LIMBS = (0, 16, 32, 48)  # first bits of the four limbs of a 64-bit hash


class Packed(NamedTuple):
  """What `unpack` reads from a sum of packed messages.

  Attributes:
    stops: how many processes were asked to stop.
    batch_hash: sum of their hashes modulo 2**64.
  """

  stops: int
  batch_hash: int


def pack(stop: bool, batch_hash: int) -> np.ndarray:
  """One process's message of a step as uint32[5]: whether to stop, then the hash in 16-bit limbs.

  Limbs, because jax has no 64-bit sums by default; 65,536 processes can be added up in 32 bits.
  """
  return np.array([stop, *(batch_hash >> first & 0xFFFF for first in _LIMBS)], np.uint32)


def unpack(total: np.ndarray) -> Packed:
  """Reads the sum of the messages of all processes, uint32[5]."""
  stops, *limbs = total.tolist()
  hashes = sum(limb << first for limb, first in zip(limbs, _LIMBS))
  return Packed(stops, hashes % 2**64)


class StepConsensus:
  """Agrees, once a step, on the hash of the whole batch and on whether to stop.

  A process that is asked to stop says so with its next step, and all stop when they have read that
  step: so all stop at the same one. A process alone stops before its next step.
  `multihost_utils.reached_preemption_sync_point` of jax knows SIGTERM only; SIGINT and SIGUSR1 stop
  a run of ours as well (signals.py).

  Args:
    mesh: of the run; the messages are added up on its devices.
    asked: whether this process was asked to stop.
  """

  def __init__(self, mesh, asked: Callable[[], bool]):
    self._asked, self._agreed = asked, False
    if several():
      self._start_sum(mesh)

  def _start_sum(self, mesh):
    """Prepares `_sum`: an array of a row a device, in which a process fills its first row."""
    owners = [device.process_index for device in mesh.devices.flat]
    self._shape = len(owners), len(pack(False, 0))
    self._row = owners.index(index())
    self._rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    everywhere = NamedSharding(mesh, PartitionSpec())
    self._sum_rows = jax.jit(lambda x_NxM: x_NxM.sum(0), out_shardings=everywhere)

  def _sum(self, message: np.ndarray) -> jax.Array:
    """Sum of the messages of all processes, started and not waited for."""
    x_NxM = np.zeros(self._shape, np.uint32)
    x_NxM[self._row] = message
    on_devices = jax.make_array_from_callback(self._shape, self._rows, x_NxM.__getitem__)
    return self._sum_rows(on_devices)

  @property
  def stopping(self) -> bool:
    """Whether to stop before the next step."""
    return self._agreed if several() else self._asked()

  def tell(self, batch_hash: int) -> Callable[[], int]:
    """Sends this process's message of a step; waits for nobody.

    Args:
      batch_hash: of this process's rows of the batch; hashes of rows add up modulo 2**64.

    Returns:
      A function that waits for the step and returns the hash of the whole batch.
    """
    if not several():
      return lambda: batch_hash
    sent = self._sum(pack(self._asked(), batch_hash))

    def read() -> int:
      received = unpack(np.asarray(sent))
      self._agreed |= received.stops > 0
      return received.batch_hash

    return read

  def ask(self) -> bool:
    """Waits for all processes, and says whether to stop."""
    self.tell(0)()
    return self.stopping
