"""What the processes of one run tell each other: who they are, what
they agree on, what the first one does for all.

Only this file and membership.py ask which process this is. Words go through the key-value store of
jax's coordination service, which process 0 hosts and which needs no
device; only what steps measure goes through devices.
"""

from collections.abc import Callable
import contextlib
import itertools
import json
from typing import Any

import jax
from jax._src import distributed as runtime  # the store has no public name; orbax uses this one too
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from runtime.errors import StateError

_EVER_MS = 30 * 86_400_000
cleanups: list[Callable[[], None]] = []  # what an end that unwinds no stack must still do
_calls = itertools.count()  # all processes make the same calls in the same order


def several() -> bool:
  """Whether this run has more than one process; touches no device."""
  return runtime.global_state.num_processes > 1


def index() -> int:
  """Number of this process; touches no device."""
  return runtime.global_state.process_id


def from_first(work: Callable[[], Any]) -> Any:
  """What `work` returns, done by process 0 alone and told to all as JSON.

  For reading and writing of files: anything of jax in it could
  wait for the other processes, which wait here.
  """
  if not several():
    return work()
  key = f'onemask/said/{next(_calls)}'
  if index() == 0:
    runtime.global_state.client.key_value_set(key, json.dumps(work()))
  return json.loads(_get(key))


@contextlib.contextmanager
def held_by_first(hold: Callable[[], contextlib.AbstractContextManager]):
  """Something that process 0 holds for all; what it yields
  releases it, and does nothing in the others.
  """
  if index():
    yield lambda: None
    return
  with hold() as release:
    cleanups.append(release)
    yield release


def only_first(make: Callable[[], Any]) -> Any:
  """Something that writes, and whose methods do nothing in the other processes."""
  return make() if index() == 0 else _Silent()


class _Silent:
  def __getattr__(self, name: str):
    return lambda *_, **__: None


def first_then_others(work: Callable[[], Any]) -> Any:
  """`work` of every process, that of process 0 first: what it
  leaves on a shared disk is not made twice.
  """
  if index():
    _get('onemask/first')
    return work()
  made = work()
  if several():
    runtime.global_state.client.key_value_set('onemask/first', 'done')
  return made


def suffix() -> str:
  """What tells the files of the other processes from those of process 0."""
  return f'.process_{index()}' if index() else ''


def gathered(text: str) -> list[str]:
  """What each process says here, in their order."""
  if not several():
    return [text]
  call = next(_calls)
  runtime.global_state.client.key_value_set(f'onemask/all/{call}/{index()}', text)
  return [_get(f'onemask/all/{call}/{each}') for each in range(runtime.global_state.num_processes)]


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
  """Raises StateError, in every process, unless all have the same facts."""
  first, *others = map(json.loads, gathered(json.dumps(facts)))
  lines = [
    f'  {name}: {first.get(name)!r} on process 0, {other.get(name)!r} on process {number}'
    for number, other in enumerate(others, start=1)
    for name in sorted(first.keys() | other.keys())
    if first.get(name) != other.get(name)
  ]
  if lines:
    raise StateError(
      'the processes of this run are not alike:\n' + '\n'.join(lines) + '\nStart '
      'the same '
      'command '
      'with '
      'the same code, data and versions on all of them.'
    )


def _get(key: str) -> str:
  return runtime.global_state.client.blocking_key_value_get(key, _EVER_MS)


class StepConsensus:
  """What the processes know together of their steps: the
  hash of the whole batch, and whether to stop.

  A process that is asked to stop says so with its next step, and all stop when they have read that
  step: so all stop at the same one. A process alone stops before its next step.
  """

  def __init__(self, mesh, asked: Callable[[], bool]):
    self._asked, self._agreed = asked, False
    if several():
      shape = mesh.devices.size, 5
      mine = min(n for n, device in enumerate(mesh.devices.flat) if device.process_index == index())
      rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
      summed = jax.jit(
        lambda x_NxM: x_NxM.sum(0), out_shardings=NamedSharding(mesh, PartitionSpec())
      )
      fill = lambda numbers: (
        lambda where: np.where(np.arange(shape[0])[where[0], None] == mine, numbers, 0)
      )
      self._sum = lambda numbers: summed(
        jax.make_array_from_callback(shape, rows, fill(np.uint32([numbers])))
      )

  @property
  def stopping(self) -> bool:
    """Whether to stop before the next step."""
    return self._agreed if several() else self._asked()

  def tell(self, batch_hash: int) -> Callable[[], int]:
    """To be called with each step; the result, called when that
    step is read, is the hash of the whole batch.
    """
    if not several():
      return lambda: batch_hash
    told = self._sum([self._asked(), *(batch_hash >> shift & 0xFFFF for shift in (0, 16, 32, 48))])

    def read() -> int:
      stops, *limbs = map(int, np.asarray(told))
      self._agreed |= stops > 0
      return sum(limb << shift for limb, shift in zip(limbs, (0, 16, 32, 48))) % 2**64

    return read

  def ask(self) -> bool:
    """Waits for all processes, and says whether to stop."""
    self.tell(0)()
    return self.stopping
