"""Atomic checkpoints: each is complete or does not count. The only file that imports orbax.

  checkpoints/step_00000100/state/         orbax: parameters, optimiser state, average
                            extra.json     tokens so far, config hash, ...
                            manifest.json  SHA-256 and size of every file

The manifest is written last and is the commit. A folder without one is an interrupted write: it is
no checkpoint, and its step can be saved again. So no folder is ever renamed to commit it, which
object stores cannot do.
"""

from collections.abc import Callable
import contextlib
import errno
import hashlib
import json
import logging
import re
import shutil

from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp

from runtime import distributed, flaky, json_file, storage
from runtime.errors import StateError

BEST = 'best'  # folder of the best checkpoint of a run, beside `checkpoints`
_STEP = re.compile(r'step_\d{8,}')


def begin_writing(folder: epath.Path, plain: dict[str, jax.Array]) -> ocp.AsyncCheckpointer:
  """Starts writing arrays by name in the background.

  The arrays may be donated as soon as this returns.

  Returns:
    The writer; the caller waits for it and closes it.
  """
  _be_quiet()
  # Trained floats shrink by a twelfth, and compressing them takes seven times what writing does.
  writing = ocp.AsyncCheckpointer(ocp.PyTreeCheckpointHandler(use_compression=False))
  writing.save(folder / 'state', args=ocp.args.PyTreeSave(plain))
  return writing


def make_room(folder: epath.Path):
  """Creates an empty folder for a checkpoint; removes an older folder of the same step."""
  if folder.exists():
    _remove(folder)
  folder.mkdir(parents=True)


def commit(folder: epath.Path, extra: dict, keep: int):
  """Commits what was written as a checkpoint, then removes all but the newest `keep`."""
  storage.write(folder / 'extra.json', json.dumps(extra, indent=1))
  manifest = flaky.insist(lambda: _manifest(folder))
  storage.write(folder / 'manifest.json', json.dumps(manifest, indent=1))
  for old in available(folder.parent)[:-keep]:
    _remove(folder_of(folder.parent, old))


def available(directory: epath.PathLike) -> list[int]:
  """Returns the steps that have a committed checkpoint, oldest first."""
  folder = epath.Path(directory)
  if not folder.exists():
    return []
  return sorted(
    int(child.name[5:])
    for child in folder.iterdir()
    if _STEP.fullmatch(child.name) and (child / 'manifest.json').exists()
  )


def restore_newest(directory: epath.PathLike, abstract_state, say: Callable[[str], None] = print):
  """Returns (state, extra, step) of the newest intact checkpoint, or None if there is none at all.

  Interrupted writes are removed. Damaged checkpoints are renamed to `*.corrupt` and reported.

  Args:
    abstract_state: the state as ShapeDtypeStructs with shardings; arrays are restored onto those.
    say: called with each message for the user.

  Raises:
    StateError: there are checkpoints but none is usable, or they hold another tree of arrays.
  """
  newest = lambda: _newest(epath.Path(directory), say)
  step = distributed.from_first(lambda: flaky.insist(newest))
  if step is None:
    return None
  return *flaky.insist(lambda: restore(directory, step, abstract_state)), step


def _newest(directory: epath.Path, say: Callable[[str], None]) -> int | None:
  """Clears away interrupted and damaged checkpoints; returns the step to restore, or None."""
  if not directory.exists():
    return None
  committed = available(directory)
  for child in list(directory.iterdir()):
    if _STEP.fullmatch(child.name) and int(child.name[5:]) not in committed:
      say(f'{child.name} was cut off while it was written, or while it was being deleted; removed.')
      child.rmtree()
  for step in reversed(committed):
    folder = folder_of(directory, step)
    problem = damage(folder)
    if not problem:
      return step
    corrupt = folder.with_name(folder.name + '.corrupt')
    say(
      f'WARNING: the checkpoint of step {step} is damaged: {problem}. It is kept as '
      f'{corrupt.name}; trying an older one.'
    )
    if corrupt.exists():
      corrupt.rmtree()
    storage.move(folder, corrupt)
  if any(child.name.endswith('.corrupt') for child in directory.iterdir()):
    raise StateError(
      f'{directory}: every checkpoint is damaged. To start again, pass --restart, which keeps the '
      'old files.'
    )
  return None


def restore(directory: epath.PathLike, step: int, abstract_state):
  """Returns (state, extra) of one checkpoint, its arrays sharded as in `abstract_state`.

  Raises:
    StateError: the checkpoint holds other arrays than the state: names, shapes or dtypes.
  """
  folder = folder_of(directory, step)
  abstract = by_name(abstract_state)
  _be_quiet()
  with _reading(folder), ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
    stored = checkpointer.metadata(folder / 'state').item_metadata.tree
    _same_tree(stored, abstract, folder)
    plain = checkpointer.restore(
      folder / 'state',
      args=ocp.args.PyTreeRestore(
        abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract)
      ),
    )
  state = jax.tree_util.tree_map_with_path(lambda path, _: plain[_name(path)], abstract_state)
  return state, json_file.read_object(
    folder / 'extra.json',
    dict(trail=dict),
    refuse=StateError,
    todo='Name another checkpoint with --step, or remove this one.',
  )


@contextlib.contextmanager
def _reading(folder: epath.Path):
  """Says in words why a checkpoint cannot be read: orbax raises whatever it met, of any type."""
  try:
    yield
  except (StateError, OSError, jax.errors.JaxRuntimeError):
    raise
  except Exception as error:
    what = f'{folder} cannot be read: {" ".join(str(error).split())[:300]}'
    if number := flaky.errno_of(error):
      raise OSError(number, what) from error
    raise StateError(f'{what}. Remove it, and an older one is used.') from error


def damage(folder: epath.Path) -> str | None:
  """Returns what is wrong with a committed checkpoint, or None; reads and hashes every file."""
  try:
    manifest = json_file.parse_object((folder / 'manifest.json').read_bytes())
    expected = {name: (facts['bytes'], facts['sha256']) for name, facts in manifest.items()}
    found = {str(path.relative_to(folder)): path for path in _walk(folder)}
  except (ValueError, TypeError, KeyError):
    return 'manifest.json is not what was written'
  for name, (length, sha256) in expected.items():
    if name not in found:
      return f'{name} is missing'
    if found[name].stat().length != length:
      return f'{name} has {found[name].stat().length} bytes, not {length}'
    if _sha256(found[name]) != sha256:
      return f'{name} has changed since it was written'
  return None if expected else 'manifest.json names no file'


def stored_bytes(folder: epath.Path) -> int:
  """Returns the bytes of all files of a checkpoint."""
  return sum(path.stat().length for path in _walk(folder))


def preflight(directory: epath.PathLike, state_bytes: int, keep: int):
  """Checks that the disk has room for `keep` checkpoints and one more that is being written.

  Object stores are not checked.

  Args:
    directory: of the checkpoints; those that exist already need no more room.

  Raises:
    OSError: ENOSPC, with the bytes needed and free.
  """
  if storage.remote(directory):
    return
  existing = min(keep, len(available(directory)))
  needed, free = (keep + 1 - existing) * state_bytes, free_bytes(directory)
  if free < needed:
    raise OSError(
      errno.ENOSPC,
      f'{directory}: {keep} checkpoints (checkpoint.keep), and one being written, need {needed:,} '
      f'bytes more; {free:,} are free',
    )


def folder_of(directory: epath.PathLike, step: int) -> epath.Path:
  """Returns the folder of a step's checkpoint, whether it exists or not."""
  path = epath.Path(directory) / f'step_{step:08d}'
  return path if storage.remote(path) else path.absolute()  # orbax takes no relative path


def _remove(folder: epath.Path):
  """Removes a checkpoint, its manifest first: what a kill leaves is then no checkpoint."""
  (folder / 'manifest.json').unlink(missing_ok=True)
  folder.rmtree()


def _be_quiet():
  """Silences orbax's log, which repeats every raised error twice, with tracebacks."""
  logging.getLogger('absl').setLevel(logging.CRITICAL)


def by_name(state):
  """Returns a state as {path: array}, so that what is on disk depends on none of our classes."""
  return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(state)}


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='.')


def _same_tree(stored: dict, abstract: dict, folder: epath.Path):
  lines = [f'  - {name}: in the checkpoint only' for name in sorted(set(stored) - set(abstract))]
  lines += [f'  + {name}: in the model only' for name in sorted(set(abstract) - set(stored))]
  for name in sorted(set(stored) & set(abstract)):
    old, new = (f'{np.dtype(x.dtype)}{list(x.shape)}' for x in (stored[name], abstract[name]))
    lines += [f'  ! {name}: {old} in the checkpoint, {new} in the model'] if old != new else []
  if lines:
    raise StateError(f'{folder} does not fit the configured model:\n' + '\n'.join(lines))


def _manifest(folder: epath.Path) -> dict:
  files = sorted(path for path in _walk(folder) if not path.name.startswith('manifest.json'))
  return {
    str(path.relative_to(folder)): dict(bytes=path.stat().length, sha256=_sha256(path))
    for path in files
  }


def _walk(folder: epath.Path):
  for child in folder.iterdir():
    yield from _walk(child) if child.is_dir() else [child]


def free_bytes(directory: epath.PathLike) -> int:
  """Returns the bytes free on the disk of a folder, which need not exist yet."""
  path = epath.Path(directory).absolute()
  while not path.exists():
    path = path.parent
  return shutil.disk_usage(path).free


def _sha256(path: epath.Path) -> str:
  sha = hashlib.sha256()
  with path.open('rb') as file:
    while block := file.read(1 << 22):
      sha.update(block)
  return sha.hexdigest()
