"""What a run runs on: versions, code and devices, and whether a resumed run found others."""

import hashlib
from importlib import metadata
import os
import pathlib
import platform

from etils import epath
import jax

from runtime import json_file, storage
from runtime.errors import StateError

_ROOT = pathlib.Path(__file__).parents[1]
# The folders that decide what a run computes.
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
_TOPOLOGY = ('devices', 'processes', 'mesh')


def versions() -> dict[str, str]:
  """What decides about bits, and must be the same in every process of a run."""
  libraries = {name: metadata.version(name) for name in ('jax', 'jaxlib', 'flax', 'optax')}
  return libraries | dict(
    python=platform.python_version(), xla_flags=os.environ.get('XLA_FLAGS', '')
  )


def code_sha256() -> str:
  """SHA-256 of names and contents of the source files that decide what a run computes."""
  files = []
  for folder in _CODE:
    files += (_ROOT / folder).rglob('*.py')
  sha = hashlib.sha256()
  for path in sorted(files):
    sha.update(f'{path.relative_to(_ROOT)}'.encode() + path.read_bytes())
  return sha.hexdigest()


def machine() -> dict:
  """What a run runs on, as software.json has it. Starts jax's backend."""
  return versions() | dict(
    platform=jax.default_backend(),
    device=jax.devices()[0].device_kind,
    devices=jax.device_count(),
    processes=jax.process_count(),
    cpus=len(os.sched_getaffinity(0)),
  )


def note_software(directory: epath.PathLike, facts: dict, mesh: dict[str, int], say=print):
  """Writes software.json: what bit-identity is promised for.

  Args:
    facts: `machine()`.
    mesh: devices along each axis.
    say: called with a line when the run went on something else before.

  Raises:
    StateError: software.json is damaged.
  """
  facts = facts | dict(mesh=mesh)
  path = epath.Path(directory) / 'software.json'
  old = None
  if path.exists():
    old = json_file.read_object(
      path, refuse=StateError, todo='Remove it; this run then writes it anew.'
    )
  changed = [name for name in facts if old and old.get(name) != facts[name]]
  if changed:
    what = 'topology' if any(name in _TOPOLOGY for name in changed) else 'software'
    differences = ', '.join(f'{name} {old.get(name)} -> {facts[name]}' for name in changed)
    say(f'{what} changed: bit-identity not promised ({differences})')
  if old != facts:
    storage.write_json(path, facts)
