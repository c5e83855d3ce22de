"""Where runs are kept: a folder here, or gs://BUCKET/..., whose
objects are written whole and never appended to.

What is different there is in this file: no folders (mkdir does nothing), no rename (a copy, then a
removal), no time to set, and no way to add to an object. docs/pods.md says what was tried.
"""

import atexit
from collections.abc import Iterator
import contextlib
from importlib import util
import json
import os
from pathlib import Path
import re
import shutil
import tempfile
from typing import IO

from etils import epath
import fsspec

from configs.schema.check import ConfigError
from runtime.atomic import atomic_write

# {scheme: (package that speaks it, our extra that brings it)}
SCHEMES = {'gs': ('gcsfs', 'gcs')}

# where TensorFlow happens to be installed, etils would read through it
os.environ.setdefault('EPATH_USE_TF', 'false')
# another process writes too: its heartbeat must not come from a listing of an hour ago
for _scheme in SCHEMES:
  fsspec.config.conf.setdefault(_scheme, {}).setdefault('use_listings_cache', False)


def resolve_path(name: epath.PathLike, flag: str = '--workdir') -> Path | epath.Path:
  """The path of that name, of a folder or a file; ~ is understood.

  Args:
    flag: what the name was given with, for the error.

  Raises:
    ConfigError: it is on a store that is not known, or whose package is not installed.
  """
  scheme, separator, _ = str(name).partition('://')
  if not separator:
    return Path(name).expanduser()
  if scheme not in SCHEMES:
    raise ConfigError(
      f'{flag}={name}: {scheme}:// is no store that is known; there are '
      f'{", ".join(f"{one}://" for one in SCHEMES)}, and folders of this machine.'
    )
  package, extra = SCHEMES[scheme]
  if not util.find_spec(package):
    raise ConfigError(f"{flag}={name}: {scheme}:// needs {package}: pip install -e '.[{extra}]'")
  return epath.Path(name)


def hub_advice(name: str) -> str:
  """What to add to "no such folder" where the name may be one of the Hugging Face hub, or ''."""
  if not re.fullmatch(r'\w[\w.-]*/\w[\w.-]*', name):
    return ''
  return ' A model of the hub is downloaded first: docs/weights.md says how.'


def output_path(name: str, flag: str, ending: str = '') -> Path:
  """The path of a file of this machine that a program is to write; to be asked before slow work.

  Args:
    flag: what the name was given with, for the error.
    ending: that the name must have.

  Raises:
    ConfigError: it has another one, or its folder is not there.
  """
  path = Path(name).expanduser()
  if not name.endswith(ending):
    raise ConfigError(f'{flag}={name} must end in {ending}.')
  if not path.absolute().parent.is_dir():
    raise ConfigError(f'{flag}={name}: there is no such folder.')
  if path.is_dir():
    raise ConfigError(f'{flag}={name} is a folder: name a file in it.')
  return path


def make(folder: epath.Path | Path):
  """Makes a folder and those above it; on a store does nothing, and never makes a bucket."""
  if not remote(folder):
    folder.mkdir(parents=True, exist_ok=True)


def remote(path: epath.PathLike) -> bool:
  """Whether a path is on an object store."""
  return '://' in str(path)


def write(path: epath.Path | Path, content: str | bytes, *, racing: bool = False):
  """Writes a file whole or not at all, whenever the process is killed.

  Args:
    racing: as for `atomic_write`.
  """
  if not remote(path):
    atomic_write(path, content, racing=racing)
  elif isinstance(content, bytes):  # an object appears whole
    path.write_bytes(content)
  else:
    path.write_text(content)


def write_json(path: epath.Path | Path, value: dict, *, racing: bool = False):
  """Writes a JSON object as `write` does, an indented line a value."""
  write(path, json.dumps(value, indent=1) + '\n', racing=racing)


def claim(path: epath.Path | Path, text: str):
  """Writes a file that must not be there yet: of two processes that try, one succeeds.

  Raises:
    FileExistsError: it is there.
    OSError: it cannot be written.
  """
  if not remote(path):
    with open(path, 'x') as file:
      file.write(text)
    return
  store, key = fsspec.core.url_to_fs(str(path))
  try:
    store.pipe_file(key, text.encode(), mode='create')  # Google's: only if its generation is 0
  except FileExistsError:
    raise
  except Exception as error:  # each store has its own
    raise OSError(f'{path} cannot be written: {" ".join(str(error).split())[:300]}') from error


def refresh(path: epath.Path | Path, text: str):
  """Sets the modification time of a file, which holds this text, to now."""
  if remote(path):
    path.write_text(text)
  else:
    os.utime(path)


def move(source: epath.Path | Path, target: epath.Path | Path):
  """Renames a file or folder; on a store object by object, so a kill may leave both."""
  if remote(source):
    store, key = fsspec.core.url_to_fs(str(source))
    store.mv(key, store._strip_protocol(str(target)), recursive=store.isdir(key))
  else:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


@contextlib.contextmanager
def appending(path: epath.Path | Path) -> Iterator[IO]:
  """A file to add text to. On a store, what was written becomes part of the object on leaving.

  Yields:
    A file of this machine: of text on a disk, of bytes for a store.
  """
  if not remote(path):
    with path.open('a') as file:
      yield file
    return
  with tempfile.TemporaryFile() as file:
    try:
      yield file
    finally:
      file.seek(0)
      path.write_bytes((path.read_bytes() if path.exists() else b'') + file.read())


def local(folder: epath.Path | Path) -> Path:
  """A folder of this machine with the same files: itself, or a copy of one on a store.

  The copy has none of the folders in it, and is removed when the process ends.
  """
  if not remote(folder):
    return folder
  copy = Path(tempfile.mkdtemp(prefix='onemask-'))
  atexit.register(shutil.rmtree, copy, ignore_errors=True)
  for path in folder.iterdir():
    if not path.is_dir():
      path.copy(copy / path.name)
  return copy


def link(target: epath.Path | Path, folder: epath.Path | Path) -> str:
  """The reference by which a page in `folder` links to a file or folder.

  Relative; absolute where one is on a store and the other is not.
  """
  if remote(target) != remote(folder):
    return str(target) if remote(target) else Path(target).absolute().as_uri()
  if remote(target):  # as of an absolute path: relpath knows no schemes
    target, folder = (str(path).replace('://', '/', 1) for path in (target, folder))
    return os.path.relpath(f'/{target}', f'/{folder}')
  return os.path.relpath(target, folder)
