"""The folder of a run: one process at a time, one config, and nothing lost."""

import contextlib
import json
import os
import platform
import socket
import threading
import time

from etils import epath
import jax

from configs import check
from configs.base import FREE_ON_RESUME
from training.errors import StateError

_HEARTBEAT_S = 10
_STALE_S = 300  # a lock without a heartbeat for this long belongs to nobody


def finished(directory: epath.PathLike, config: dict) -> dict | None:
  """The result of a run that has nothing left to do under this config, or None. Writes nothing."""
  directory = epath.Path(directory)
  paths = directory / 'result.json', directory / 'config.json'
  if not all(path.exists() for path in paths):
    return None
  result, old = (json.loads(path.read_text()) for path in paths)
  return result if old == config and result['step'] == config['steps'] else None


@contextlib.contextmanager
def locked(directory: epath.PathLike, say=print):
  """Holds the workdir; a second process is refused, a lock whose holder is dead is taken over.

  Yields:
    A function that releases the lock, for exits that unwind no stack.
  """
  directory = epath.Path(directory)
  if directory.exists() and not directory.is_dir():
    raise StateError(f'--workdir={directory} is a file. Name a folder.')
  directory.mkdir(parents=True, exist_ok=True)
  path = directory / 'lock.json'
  mine = dict(host=socket.gethostname(), pid=os.getpid(), start=time.strftime('%Y-%m-%d %H:%M:%S'))
  if path.exists():
    _refuse_if_held(path, say)
  try:
    with open(path, 'x') if '://' not in str(path) else path.open('w') as file:  # 'x': one of two racers wins
      json.dump(mine, file)
  except FileExistsError:
    raise StateError(f'{directory} was taken by another process just now.') from None
  done = threading.Event()

  def beat():
    while not done.wait(_HEARTBEAT_S):
      with contextlib.suppress(OSError):
        os.utime(path)

  def release():
    done.set()
    with contextlib.suppress(OSError):
      path.unlink()

  threading.Thread(target=beat, daemon=True).start()
  try:
    yield release
  finally:
    release()


def _refuse_if_held(path: epath.Path, say):
  try:
    holder = json.loads(path.read_text())
    host, pid, start = holder['host'], holder['pid'], holder['start']
  except (ValueError, KeyError, FileNotFoundError):
    host, pid, start = '?', 0, '?'
  local = host == socket.gethostname()
  age = time.time() - path.stat().mtime if path.exists() else _STALE_S + 1
  if (_alive(pid) if local else True) and age < _STALE_S and host != '?':
    raise StateError(f'{path.parent} is in use by process {pid} on {host}, started {start}. Wait for it, stop it, '
                     'or name another --workdir.')
  say(f'taking over the lock of process {pid} on {host}, which is gone')
  with contextlib.suppress(FileNotFoundError):
    path.unlink()


def _alive(pid: int) -> bool:
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    return True
  return True


def open_config(directory: epath.PathLike, config: dict, *, restart: bool, allow_change: tuple[str, ...], say=print):
  """Compares the config with the one the folder was started with, and writes it where that is allowed.

  Raises:
    StateError: the folder holds another run, or no run at all.
  """
  directory = epath.Path(directory)
  mine = [child for child in directory.iterdir() if child.name not in ('lock.json', 'phase') and
          not child.name.startswith('before-')]
  if restart and mine:
    aside = directory / f'before-{time.strftime("%Y%m%d-%H%M%S")}'
    aside.mkdir()
    for child in mine:
      child.rename(aside / child.name)
    say(f'--restart: the files of the earlier run are in {aside}')
    mine = []
  path = directory / 'config.json'
  if not mine:
    _write(path, config)
    return
  if not path.exists():
    raise StateError(f'{directory} holds files and no config.json, so no run of ours. Name another --workdir, '
                     'or pass --restart, which moves them aside.')
  differences = check.difference(json.loads(path.read_text()), config)
  refused = [line for line in differences if line[0] not in allow_change or not check.covers(FREE_ON_RESUME, line[0])]
  if refused:
    lines = '\n'.join(f'  {field}: was {old!r}, now {new!r}' for field, old, new in refused)
    free = [field for field, *_ in refused if check.covers(FREE_ON_RESUME, field)]
    advice = f'--allow_change={",".join(free)} accepts it. ' if len(free) == len(refused) else ''
    raise StateError(f'{directory} holds a run with another config:\n{lines}\n{advice}'
                     'Name another --workdir, or pass --restart, which moves the old run aside.')
  if differences:
    _write(path, config)


def check_fingerprint(directory: epath.PathLike, facts: dict):
  """Refuses to go on with other data or another tokenizer than the run began with."""
  path = epath.Path(directory) / 'data.json'
  if path.exists():
    old = json.loads(path.read_text())
    lines = [f'  {name}: was {old.get(name)!r}, now {value!r}' for name, value in facts.items() if old.get(name) != value]
    if lines:
      raise StateError(f'{directory} was trained on other data:\n' + '\n'.join(lines) +
                       '\nBring the old data back, name another --workdir, or pass --restart.')
  else:
    _write(path, facts)


def note_software(directory: epath.PathLike, say=print):
  """Records what bit-identity is promised for, and says when a resumed run runs on something else."""
  facts = dict(python=platform.python_version(), jax=jax.__version__, platform=jax.default_backend(),
               devices=jax.device_count(), processes=jax.process_count(), cpus=len(os.sched_getaffinity(0)))
  path = epath.Path(directory) / 'software.json'
  if path.exists():
    old = json.loads(path.read_text())
    changed = [f'{name} {old.get(name)} -> {value}' for name, value in facts.items() if old.get(name) != value]
    if changed:
      say(f'resuming on something else ({", ".join(changed)}): bit-identity is not promised')
  _write(path, facts)


def _write(path: epath.Path, value: dict):
  path.write_text(json.dumps(value, indent=1) + '\n')
