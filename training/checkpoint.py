"""Checkpoints that are whole or not there. The only file that knows orbax.

  checkpoints/step_00000100/state/         orbax: parameters, optimiser, average
                            extra.json     tokens so far, config hash, ...
                            manifest.json  SHA-256 and size of every file; written last, it is the commit

A folder without a manifest was cut off while it was written: it is no checkpoint, and its step can be saved
again. This needs no rename, which object stores do not have.
"""

from collections.abc import Callable
import errno
import hashlib
import json
import shutil

from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp

from training import faults
from training.errors import NumericalError, StateError

_saves = 0  # of this process, for the fault hook


def save(directory: epath.PathLike, step: int, state, extra: dict, *, keep: int):
  """Writes a checkpoint of `step`, then removes all but the newest `keep`.

  Raises:
    NumericalError: a parameter is not finite; nothing is written or removed.
    OSError: it could not be written; what was is removed, older checkpoints stay.
  """
  global _saves
  _saves += 1
  if not all(np.isfinite(leaf).all() for leaf in jax.device_get(jax.tree.leaves(state.params))):
    raise NumericalError(f'step {step}: a parameter is not finite; no checkpoint was written, older ones are untouched.')
  folder = folder_of(directory, step)
  if folder.exists():
    folder.rmtree()
  try:
    folder.mkdir(parents=True)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
      checkpointer.save(folder / 'state', args=ocp.args.PyTreeSave(_plain(state)))
    faults.maybe_die('die_in_save', _saves)
    (folder / 'extra.json').write_text(json.dumps(extra | {'digest': digest(state)}, indent=1))
    (folder / 'manifest.json').write_text(json.dumps(_manifest(folder), indent=1))
  except OSError as error:
    folder.rmtree(missing_ok=True)
    raise OSError(error.errno, f'checkpoint of step {step} not written, older ones are untouched: {error}') from error
  for old in available(directory)[:-keep]:
    folder_of(directory, old).rmtree()


def available(directory: epath.PathLike) -> list[int]:
  """Steps that have a committed checkpoint, oldest first."""
  folder = epath.Path(directory)
  if not folder.exists():
    return []
  return sorted(int(child.name[5:]) for child in folder.iterdir()
                if child.name.startswith('step_') and child.name[5:].isdigit() and (child / 'manifest.json').exists())


def restore_newest(directory: epath.PathLike, abstract_state, say: Callable[[str], None] = print):
  """(state, extra, step) of the newest checkpoint that is whole, or None where there is none at all.

  Torn ones are removed; damaged ones are renamed to `*.corrupt` and said aloud.

  Args:
    abstract_state: the state as ShapeDtypeStructs with shardings; arrays come back on those.

  Raises:
    StateError: there were checkpoints and none is usable, or they hold another tree of arrays.
  """
  directory = epath.Path(directory)
  if not directory.exists():
    return None
  committed = available(directory)
  for child in list(directory.iterdir()):
    if child.name.startswith('step_') and child.name[5:].isdigit() and int(child.name[5:]) not in committed:
      say(f'{child.name} was cut off while it was written; removed.')
      child.rmtree()
  for step in reversed(committed):
    folder = folder_of(directory, step)
    if problem := damage(folder):
      corrupt = folder.with_name(folder.name + '.corrupt')
      say(f'WARNING: checkpoint of step {step} is damaged ({problem}); kept as {corrupt.name}, trying an older one.')
      if corrupt.exists():
        corrupt.rmtree()
      folder.rename(corrupt)
      continue
    return *restore(directory, step, abstract_state), step
  if committed:
    raise StateError(f'{directory}: every checkpoint is damaged. Start again with --restart, which keeps the old files.')
  return None


def restore(directory: epath.PathLike, step: int, abstract_state):
  """(state, extra) of one checkpoint, with its arrays where the abstract state says."""
  folder = folder_of(directory, step)
  abstract = _plain(abstract_state)
  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
    stored = checkpointer.metadata(folder / 'state').item_metadata.tree
    _same_tree(stored, abstract, folder)
    plain = checkpointer.restore(folder / 'state', args=ocp.args.PyTreeRestore(
        abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract)))
  state = jax.tree_util.tree_map_with_path(lambda path, _: plain[_name(path)], abstract_state)
  return state, json.loads((folder / 'extra.json').read_text())


def damage(folder: epath.Path) -> str | None:
  """What is wrong with a committed checkpoint, or None."""
  try:
    manifest = json.loads((folder / 'manifest.json').read_text())
  except ValueError:
    return 'manifest.json is not JSON'
  for name, facts in manifest.items():
    path = folder / name
    if not path.exists():
      return f'{name} is missing'
    if path.stat().length != facts['bytes']:
      return f'{name} has {path.stat().length} bytes, not {facts["bytes"]}'
    if _sha256(path) != facts['sha256']:
      return f'{name} has changed since it was written'
  return None


def preflight(directory: epath.PathLike, state_bytes: int, keep: int):
  """Refuses to start a run whose checkpoints cannot fit on the disk."""
  path = epath.Path(directory)
  if '://' in str(path):
    return
  needed, free = (keep + 1) * state_bytes, shutil.disk_usage(path).free
  if free < needed:
    raise OSError(errno.ENOSPC, f'{path}: {keep} + 1 checkpoints need {needed:,} bytes and {free:,} are free. '
                                'Free some, or lower checkpoint.keep.')


def digest(state) -> str:
  """SHA-256 over every array of a state: path, type, shape, bytes."""
  sha = hashlib.sha256()
  for name, leaf in sorted(_plain(state).items()):
    array = np.asarray(leaf)
    sha.update(f'{name} {array.dtype} {array.shape}'.encode())
    sha.update(np.ascontiguousarray(array).tobytes())
  return sha.hexdigest()


def folder_of(directory: epath.PathLike, step: int) -> epath.Path:
  """Where the checkpoint of a step is."""
  path = epath.Path(directory) / f'step_{step:08d}'
  return path if '://' in str(path) else path.absolute()  # orbax takes no relative path


def _plain(state):
  """A state as {path: array}: what is on disk names every array, and depends on none of our classes."""
  return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(state)}


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='.')


def _same_tree(stored: dict, abstract: dict, folder: epath.Path):
  lines = [f'  - {name}: in the checkpoint only' for name in sorted(set(stored) - set(abstract))]
  lines += [f'  + {name}: in the model only' for name in sorted(set(abstract) - set(stored))]
  lines += [f'  ! {name}: {tuple(stored[name].shape)} in the checkpoint, {tuple(abstract[name].shape)} in the model'
            for name in sorted(set(stored) & set(abstract)) if tuple(stored[name].shape) != tuple(abstract[name].shape)]
  if lines:
    raise StateError(f'{folder} does not fit the configured model:\n' + '\n'.join(lines))


def _manifest(folder: epath.Path) -> dict:
  files = sorted(path for path in _walk(folder) if path.name != 'manifest.json')
  return {str(path.relative_to(folder)): dict(bytes=path.stat().length, sha256=_sha256(path)) for path in files}


def _walk(folder: epath.Path):
  for child in folder.iterdir():
    yield from _walk(child) if child.is_dir() else [child]


def _sha256(path: epath.Path) -> str:
  sha = hashlib.sha256()
  with path.open('rb') as file:
    while block := file.read(1 << 22):
      sha.update(block)
  return sha.hexdigest()
