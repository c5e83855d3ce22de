"""What the compiler is told, and the folder of compiled programs: safe, and of use."""

import os
import subprocess
import sys

import jax
import pytest
import runs

from configs import base
from configs.schema.check import ConfigError
from parallel import sharding
from runtime import compiler

_PROGRAM = """
import jax
from runtime import compiler
compiler.keep_programs({folder!r})
import jax.numpy as jnp
print(float(jax.jit(lambda x: jnp.sin(x @ x).sum())(jnp.arange(9.0).reshape(3, 3))))
"""


def compute(folder) -> str:
  env = {
    name: value for name, value in runs.environment().items() if name != 'JAX_COMPILATION_CACHE_DIR'
  }
  result = subprocess.run(
    [sys.executable, '-c', _PROGRAM.format(folder=str(folder))],
    cwd=runs.ROOT,
    env=env,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert result.returncode == 0, result.stderr
  return result.stdout


def test_a_damaged_program_is_compiled_again(tmp_path):
  folder = tmp_path / 'compiled'
  said = compute(folder)
  programs = sorted(path for path in folder.iterdir() if path.stat().st_size)
  assert programs and folder.stat().st_mode & 0o777 == 0o700
  for path in programs:
    path.write_bytes(path.read_bytes()[:40])
  assert compute(folder) == said


@pytest.mark.parametrize('mode', [0o755, 0o720])
def test_a_folder_that_others_may_use_is_refused(tmp_path, mode):
  folder = tmp_path / 'compiled'
  folder.mkdir()
  os.chmod(folder, mode)
  with pytest.raises(ConfigError, match='chmod 700'):
    compiler.keep_programs(str(folder))


def test_options_are_those_that_this_jaxlib_knows():
  assert not compiler._known('xla_cpu_no_such_option')
  mesh = sharding.make_mesh(base.get_config().mesh)
  options = compiler.options(mesh)
  assert jax.devices()[0].platform != 'cpu' or set(options) <= set(compiler._OPTIONS['cpu'])
  assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2
