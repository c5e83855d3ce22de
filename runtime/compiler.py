"""Options of jax's compiler: how to compile for a platform, and where to keep compiled programs."""

import functools
import os
from pathlib import Path
import stat

import jax

from configs.schema.check import ConfigError

# By platform. On a CPU: the copy-insertion pass then sees that the old parameters and moments are
# dead when the new ones are written over them; without it each step begins by copying all of them.
_OPTIONS = dict(cpu=('xla_cpu_copy_insertion_use_region_analysis',))


def options(mesh) -> dict[str, bool]:
  """`compiler_options` of `jax.jit` for programs that run on this mesh."""
  platform = mesh.devices.flat[0].platform
  return {name: True for name in _OPTIONS.get(platform, ()) if _known(name)}


@functools.cache
def _known(name: str) -> bool:
  """Whether this jaxlib has an option: they come and go with its versions."""
  try:
    jax.jit(lambda: 0, compiler_options={name: True}).lower().compile()
  except jax.errors.JaxRuntimeError:
    return False
  return True


def keep_programs(folder: str):
  """Makes jax read compiled programs from `folder` and write new ones there.

  Programs in it are executed, so the folder must be this user's and no other user may open it. A
  damaged entry is compiled again.

  Raises:
    ConfigError: others may use the folder, or it is somebody else's.
  """
  path = Path(folder).expanduser()
  path.mkdir(mode=0o700, parents=True, exist_ok=True)
  found = path.stat()
  if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
    raise ConfigError(
      f'--compiled={folder}: programs in it are run, so it must be yours alone. Name a new folder, '
      f'or look into it and then: chmod 700 {folder}'
    )
  jax.config.update('jax_compilation_cache_dir', str(path))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', 0)
