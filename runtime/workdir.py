"""The folder of a run: one process at a time, one config, and nothing lost."""

import contextlib
import hashlib
from importlib import metadata
import itertools
import json
import os
import pathlib
import platform
import socket
import sys
import threading
import time

from etils import epath
import jax

from configs.base import FREE_ON_RESUME
from configs.schema import check
from configs.schema.upgrade import upgrade
from runtime import distributed, storage
from runtime.errors import StateError

# The folders that decide what a run computes.
_ROOT = pathlib.Path(__file__).parents[1]
_CODE = (
  'configs',
  'data',
  'evaluation',
  'inference',
  'interop',
  'models',
  'objectives',
  'parallel',
  'runtime',
  'training',
)
_HEARTBEAT_S = 10
_SHOWN_AFTER_S = 10  # a file of one machine is seen by all, on a slow shared disk
_STALE_S = 300  # a lock without a heartbeat for this long belongs to nobody


def finished(directory: epath.PathLike, config: dict) -> dict | None:
  """The result of a run that has nothing left to do under this config, or None. Writes nothing."""
  directory = epath.Path(directory)
  paths = directory / 'result.json', directory / 'config.json'
  if not all(path.exists() for path in paths):
    return None
  result, old = (_read(path) for path in paths)
  old = old and upgrade(old)
  return result if result and old == config and result['step'] == config['steps'] else None


@contextlib.contextmanager
def locked(directory: epath.PathLike, say=print):
  """Holds the workdir; a second process is refused, a lock whose holder is dead is taken over.

  Yields:
    A function that releases the lock, for exits that unwind no stack.
  """
  directory = epath.Path(directory)
  if directory.exists() and not directory.is_dir():
    raise check.ConfigError(f'--workdir={directory} is a file. Name a folder.')
  storage.make(directory)
  path = directory / 'lock.json'
  mine = dict(host=socket.gethostname(), pid=os.getpid(), start=time.strftime('%Y-%m-%d %H:%M:%S'))
  if path.exists():
    _take_over(path, say)
  try:
    storage.claim(path, json.dumps(mine))
  except FileExistsError:
    raise StateError(f'{directory} was taken by another process just now.') from None
  done = threading.Event()

  def beat():
    while not done.wait(_HEARTBEAT_S):
      try:
        holder = _read(path)
      except Exception:  # each store has its own; one that does not answer now may answer next time
        continue
      if holder not in (mine, None):  # this machine slept, and another process went on with the run
        print(
          f'{directory} was taken over by another process; this one ends.',
          file=sys.stderr,
          flush=True,
        )
        os._exit(StateError.exit_code)
      with contextlib.suppress(Exception):
        storage.refresh(path, json.dumps(mine))

  def release():
    done.set()
    with contextlib.suppress(OSError):
      if _read(path) == mine:
        path.unlink()

  threading.Thread(target=beat, daemon=True).start()
  try:
    yield release
  finally:
    release()


def _take_over(path: epath.Path, say):
  """Removes a lock that belongs to nobody.

  Raises:
    StateError: it belongs to somebody.
  """
  holder = _read(path) or {}
  host, pid, start = (holder.get(name, '?') for name in ('host', 'pid', 'start'))
  try:
    age = time.time() - path.stat().mtime
  except FileNotFoundError:  # released just now
    return
  # A lock that cannot be read is one that is being written, unless it is old.
  dead = not _alive(pid) if host == socket.gethostname() else not holder and age > _HEARTBEAT_S
  if not dead and age < _STALE_S:
    raise StateError(
      f'{path.parent} is in use by process {pid} on {host}, started {start}. Wait for it, stop it, '
      'or name another --workdir.'
    )
  # of two, the slower may remove the new lock of the faster, which its heartbeat finds out
  if storage.remote(path):
    path.unlink(missing_ok=True)
    say(f'taking over the lock of process {pid} on {host}, which is gone')
    return
  # Of two processes that come to this point, the slower must not remove the new lock of the faster.
  aside = path.with_name(f'lock.json.{os.getpid()}')
  with contextlib.suppress(FileNotFoundError):
    path.rename(aside)
    if (_read(aside) or {}) != holder:
      aside.rename(path)
      raise StateError(f'{path.parent} was taken by another process just now.')
    aside.unlink()
  say(f'taking over the lock of process {pid} on {host}, which is gone')


def _alive(pid) -> bool:
  # as in a container that was started again
  if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
    return False
  try:
    os.kill(pid, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:
    return True
  return True


def open_config(
  directory: epath.PathLike,
  config: dict,
  *,
  restart: bool,
  allow_change: tuple[str, ...] = (),
  say=print,
):
  """Compares the config with the one the folder was started
  with, and writes it where that is allowed.

  Raises:
    ConfigError: `allow_change` names a field that may not change.
    StateError: the folder holds another run, or no run at all.
  """
  directory = epath.Path(directory)
  for field in allow_change:
    if not check.covers(FREE_ON_RESUME, field):
      raise check.ConfigError(
        f'--allow_change={field}: only these may change when a run resumes: '
        f'{", ".join(FREE_ON_RESUME)}.'
      )
  mine = [
    child
    for child in directory.iterdir()
    if not child.name.startswith(('lock.json', 'before-', 'phase'))
    and not child.name.endswith('.new')
  ]
  if restart and mine:
    aside = next(
      path for number in itertools.count(1) if not (path := directory / f'before-{number}').exists()
    )
    for child in mine:
      storage.move(child, aside / child.name)
    say(f'--restart: the files of the earlier run are in {aside}')
    mine = []
  path = directory / 'config.json'
  if not mine:
    _write(path, config)
    return
  if not path.exists():
    raise StateError(
      f'{directory} holds files and no config.json, so no run of ours. Name another '
      '--workdir, or pass --restart, which moves them aside.'
    )
  old = _read(path)
  if old is None:
    raise StateError(
      f'{path} is damaged. Name another --workdir, or pass --restart, which moves it aside.'
    )
  differences = check.difference(upgrade(old), config)
  refused = [line for line in differences if not check.covers(allow_change, line[0])]
  if refused:
    lines = '\n'.join(f'  {field}: was {old!r}, now {new!r}' for field, old, new in refused)
    free = [field for field, *_ in refused if check.covers(FREE_ON_RESUME, field)]
    advice = f'--allow_change={",".join(free)} accepts it. ' if len(free) == len(refused) else ''
    raise StateError(
      f'{directory} holds a run with another config:\n{lines}\n{advice}'
      'Name another --workdir, or pass --restart, which moves the old run aside.'
    )
  if any(field == 'steps' for field, *_ in differences) and fixed_length(upgrade(old)):
    raise StateError(
      f'{directory}: the number of steps decides which cell, mask rate or length each past step '
      f'had, so this run cannot be extended. Begin another with config.init_from={directory}.'
    )
  if differences:
    _write(path, config)


def check_shared(directory: epath.PathLike):
  """Raises StateError unless every process of the run sees the one folder that process 0 holds."""
  path = epath.Path(directory) / 'lock.json'
  held = distributed.from_first(lambda: _read(path))
  until = time.monotonic() + _SHOWN_AFTER_S
  while _read(path) != held:
    if time.monotonic() > until:
      raise StateError(
        f'{directory} is another folder here ({socket.gethostname()}) than for process 0 '
        f'({(held or {}).get("host")}): --workdir must name one that all processes share.'
      )
    time.sleep(0.1)


def fixed_length(config: dict) -> bool:
  """Whether another number of steps would change what the first ones were."""
  return bool(config['schedule'] or config['mlm']['final_rate'] or config['data']['short_length'])


def read_config(directory: epath.PathLike):
  """The config of the run in a folder.

  Raises:
    StateError: there is no run, or its config.json is damaged.
    ConfigError: it is not a config of this version.
  """
  path = epath.Path(directory) / 'config.json'
  if not path.exists():
    raise StateError(f'{directory} holds no run: there is no config.json in it.')
  resolved = _read(path)
  if resolved is None:
    raise StateError(f'{path} is damaged: it holds no JSON object.')
  if 'model_type' in resolved:
    raise StateError(f'{directory} holds a model of Hugging Face, and no run of train.py.')
  return check.from_resolved(upgrade(resolved))


def check_fingerprint(directory: epath.PathLike, facts: dict):
  """Refuses to go on with other data or another tokenizer than the run began with."""
  path = epath.Path(directory) / 'data.json'
  if path.exists():
    old = _read(path) or {}
    lines = [
      f'  {name}: was {old.get(name)!r}, now {value!r}'
      for name, value in facts.items()
      if old.get(name) != value
    ]
    if lines:
      raise StateError(
        f'{directory} was trained on other data:\n'
        + '\n'.join(lines)
        + '\nBring the old data back, name another --workdir, or pass --restart.'
      )
  else:
    _write(path, facts)


def note_evaluations(directory: epath.PathLike, results: dict[str, dict]):
  """Merges what evaluations found into evaluations.json: these names are replaced, others stay.

  Raises:
    StateError: the file is damaged.
  """
  path = epath.Path(directory) / 'evaluations.json'
  known = _read(path)
  if known is None and path.exists():
    raise StateError(
      f'{path} is damaged: it holds no JSON object. Move it away and evaluate again.'
    )
  _write(path, (known or {}) | results)


def versions() -> dict[str, str]:
  """What decides about bits, and must be the same in every process of a run."""
  return {name: metadata.version(name) for name in ('jax', 'jaxlib', 'flax', 'optax')} | dict(
    python=platform.python_version(), xla_flags=os.environ.get('XLA_FLAGS', '')
  )


def code_sha256() -> str:
  """Of the source of this program."""
  sha = hashlib.sha256()
  for path in sorted(path for folder in _CODE for path in (_ROOT / folder).rglob('*.py')):
    sha.update(f'{path.relative_to(_ROOT)}'.encode() + path.read_bytes())
  return sha.hexdigest()


def machine() -> dict:
  """What a run runs on, as software.json has it."""
  return versions() | dict(
    platform=jax.default_backend(),
    device=jax.devices()[0].device_kind,
    devices=jax.device_count(),
    processes=jax.process_count(),
    cpus=len(os.sched_getaffinity(0)),
  )


def note_software(directory: epath.PathLike, facts: dict, mesh: dict[str, int], say=print):
  """Records what bit-identity is promised for, and says when a resumed run runs on something else.

  Args:
    facts: `machine()`.
    mesh: devices along each axis.
  """
  facts = facts | dict(mesh=mesh)
  path = epath.Path(directory) / 'software.json'
  if old := _read(path):
    changed = [
      f'{name} {old.get(name)} -> {value}'
      for name, value in facts.items()
      if old.get(name) != value
    ]
    if changed:
      topology = {'devices', 'processes', 'mesh'} & {line.split()[0] for line in changed}
      say(
        f'{"topology" if topology else "software"} changed: bit-identity not promised '
        f'({", ".join(changed)})'
      )
  if old != facts:
    _write(path, facts)


def _read(path: epath.Path) -> dict | None:
  """A JSON object, or None where there is none that can be read."""
  try:
    value = json.loads(path.read_text())
  except (FileNotFoundError, ValueError, RecursionError):
    return None
  return value if isinstance(value, dict) else None


def _write(path: epath.Path, value: dict):
  """Whole or not at all, whenever the process is killed."""
  storage.write(path, json.dumps(value, indent=1) + '\n')
