"""Folders of derived data: complete, under a hash of what they were made from, or absent.

A complete folder has manifest.json, which says what was made and how many bytes each file has.
"""

from collections.abc import Callable
import hashlib
import json
import os
from pathlib import Path
import shutil
import socket

from data.errors import DataError
from runtime import json_file

MANIFEST = 'manifest.json'


def key(**parts) -> str:
  """A name of 20 hex digits for what a cached folder depends on; `parts` must be JSON."""
  return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def build(folder: Path, make: Callable[[Path], dict]) -> dict:
  """The manifest of `folder`, which is made first if it is not complete.

  It is made under another name and renamed, so a kill at any moment leaves nothing half-made. Two
  processes may make the same folder at once; one of them is kept.

  Args:
    make: fills an empty folder and returns the manifest, a JSON object.

  Raises:
    DataError: the folder is damaged.
  """
  if not (folder / MANIFEST).exists():
    _remove_abandoned(folder)
    temporary = folder.with_name(f'{folder.name}.{socket.gethostname()}.{os.getpid()}.tmp')
    temporary.mkdir(parents=True)
    try:
      made = make(temporary)
      files = sorted(temporary.iterdir())
      made['bytes'] = {path.name: path.stat().st_size for path in files}
      (temporary / MANIFEST).write_text(json.dumps(made))
      _rename(temporary, folder)
    except BaseException:
      shutil.rmtree(temporary, ignore_errors=True)
      raise
  return manifest(folder)


def _rename(temporary: Path, folder: Path):
  """Gives a complete folder its name, unless another process was faster."""
  try:
    temporary.rename(folder)
  except OSError:
    if not (folder / MANIFEST).exists():
      raise
    shutil.rmtree(temporary)  # another process made the same content first


def _remove_abandoned(folder: Path):
  """Removes what processes of this machine that were killed have left."""
  for path in folder.parent.glob(f'{folder.name}.{socket.gethostname()}.*.tmp'):
    pid = int(path.name.split('.')[-2])
    try:
      os.kill(pid, 0)
    except ProcessLookupError:
      shutil.rmtree(path, ignore_errors=True)
    except PermissionError:
      pass  # alive, somebody else's


def manifest(folder: Path) -> dict:
  """The manifest of a folder that is there. Compares the length of its files, not their bytes.

  Raises:
    DataError: the manifest cannot be read, or a file is missing or has another length.
  """
  advice = f'Delete {folder} and run again.'
  noted = json_file.read_object(folder / MANIFEST, dict(bytes=dict), refuse=DataError, todo=advice)
  for name, expected in noted['bytes'].items():
    if type(expected) is not int or Path(name).name != name or '\0' in name:
      raise DataError(f'{folder / MANIFEST} is damaged: {name!r} is no file of it. {advice}')
    path = folder / name
    found = path.stat().st_size if path.exists() else None
    if found != expected:
      state = 'is missing' if found is None else f'has {found:,} bytes'
      raise DataError(
        f'{path} {state}, {expected:,} bytes were written: the cache is damaged. {advice}'
      )
  return noted
