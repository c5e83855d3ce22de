"""The lock of a workdir: one process at a time, and a lock whose holder is dead holds nobody up.

lock.json names its holder (host, process id, start). The holder gives it the time of now every ten
seconds, so that other machines see a living holder; a process of the same machine asks the system.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
import uuid

from etils import epath

from configs.schema.check import ConfigError
from runtime import json_file, storage
from runtime.errors import StateError

_HEARTBEAT_S = 10
_SHOWN_AFTER_S = 10  # a file of one machine is seen by all, on a slow shared disk
_STALE_S = 300  # a lock without a heartbeat for this long belongs to nobody
_BRIEF_S = 60  # nobody reads and writes one small file for so long


@contextlib.contextmanager
def locked(directory: epath.PathLike, say=print):
  """Holds the workdir, which is made if it is not there.

  Args:
    say: called with a line if the lock of a dead process is taken over.

  Yields:
    A function that releases the lock, for exits that unwind no stack.

  Raises:
    ConfigError: the workdir is a file.
    StateError: another process holds it.
  """
  directory = epath.Path(directory)
  if directory.exists() and not directory.is_dir():
    raise ConfigError(f'--workdir={directory} is a file. Name a folder.')
  storage.make(directory)
  path = directory / 'lock.json'
  mine = dict(host=socket.gethostname(), pid=os.getpid(), start=time.strftime('%Y-%m-%d %H:%M:%S'))
  if path.exists():
    _take_over(path, say)
  try:
    storage.claim(path, json.dumps(mine))
  except FileExistsError:
    raise _taken_just_now(directory) from None
  done = threading.Event()

  def release():
    done.set()
    with contextlib.suppress(OSError):
      if json_file.peek(path) == mine:
        path.unlink()

  threading.Thread(target=_beat, args=(path, mine, done), daemon=True).start()
  try:
    yield release
  finally:
    release()


@contextlib.contextmanager
def briefly(path: epath.Path):
  """Holds a lock for a moment, to read a file and to write it anew; waits for other holders.

  Of a process that was killed in that moment the lock is taken over.
  """
  mine = json.dumps(dict(host=socket.gethostname(), pid=os.getpid(), id=uuid.uuid4().hex))
  while True:
    try:
      storage.claim(path, mine)
      break
    except FileExistsError:
      _release_of_the_dead(path)
      time.sleep(0.05)
  try:
    yield
  finally:
    if json_file.peek(path) == json.loads(mine):
      path.unlink(missing_ok=True)


def _release_of_the_dead(path: epath.Path):
  """Removes a brief lock whose holder is dead, or holds it far longer than a moment."""
  holder = json_file.peek(path) or {}
  try:
    age = time.time() - path.stat().mtime
  except FileNotFoundError:  # released just now
    return
  if not _is_dead(holder, age) and age < _BRIEF_S:
    return
  if storage.remote(path):
    path.unlink(missing_ok=True)
    return
  with contextlib.suppress(StateError):  # another process took it over first
    _remove(path, holder)


def _beat(path: epath.Path, mine: dict, done: threading.Event):
  """Keeps the lock young; ends the process if it is another one's now."""
  while not done.wait(_HEARTBEAT_S):
    try:
      holder = json_file.peek(path)
    except Exception:  # each store has its own; one that does not answer now may answer next time
      continue
    if holder not in (mine, None):  # this machine slept, and another process went on with the run
      print(
        f'{path.parent} was taken over by another process; this one ends.',
        file=sys.stderr,
        flush=True,
      )
      os._exit(StateError.exit_code)
    with contextlib.suppress(Exception):
      storage.refresh(path, json.dumps(mine))


def _take_over(path: epath.Path, say):
  """Removes a lock that belongs to nobody.

  Raises:
    StateError: it belongs to somebody.
  """
  holder = json_file.peek(path) or {}
  host, pid, start = (holder.get(name, '?') for name in ('host', 'pid', 'start'))
  try:
    age = time.time() - path.stat().mtime
  except FileNotFoundError:  # released just now
    return
  if not _is_dead(holder, age) and age < _STALE_S:
    raise StateError(
      f'{path.parent} is in use by process {pid} on {host}, started {start}. Wait for it, stop it, '
      'or name another --workdir.'
    )
  if storage.remote(path):
    # of two, the slower may remove the new lock of the faster, which its heartbeat finds out
    path.unlink(missing_ok=True)
  else:
    _remove(path, holder)
  say(f'taking over the lock of process {pid} on {host}, which is gone')


def _is_dead(holder: dict, age: float) -> bool:
  """Whether it is certain that the holder of a lock of this age in seconds does not run."""
  if holder.get('host', '?') == socket.gethostname():
    return not _alive(holder.get('pid', '?'))
  # a lock that cannot be read is one that is being written, unless it is old
  return not holder and age > _HEARTBEAT_S


def _remove(path: epath.Path, holder: dict):
  """Removes the lock of this holder; of two processes, the slower must not remove the faster's."""
  aside = path.with_name(f'{path.name}.{os.getpid()}')
  with contextlib.suppress(FileNotFoundError):
    path.rename(aside)
    if (json_file.peek(aside) or {}) != holder:
      aside.rename(path)
      raise _taken_just_now(path.parent)
    aside.unlink()


def _taken_just_now(directory: epath.Path) -> StateError:
  return StateError(f'{directory} was taken by another process just now.')


def _alive(pid) -> bool:
  """Whether another process of this machine has this id, which may be anything that JSON holds."""
  # our own id: as in a container that was started again
  if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
    return False
  try:
    os.kill(pid, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:
    return True
  return True


def check_shared(directory: epath.PathLike):
  """Waits up to 10 seconds until this process sees the lock that process 0 holds.

  Raises:
    StateError: it does not: the folder is another one here.
  """
  from runtime import distributed  # imports jax, which opening a workdir should not wait for

  path = epath.Path(directory) / 'lock.json'
  held = distributed.from_first(lambda: json_file.peek(path))
  until = time.monotonic() + _SHOWN_AFTER_S
  while json_file.peek(path) != held:
    if time.monotonic() > until:
      raise StateError(
        f'{directory} is another folder here ({socket.gethostname()}) than for process 0 '
        f'({(held or {}).get("host")}): --workdir must name one that all processes share.'
      )
    time.sleep(0.1)
