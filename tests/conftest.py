"""Eight simulated devices, for tests that shard; a shape that broadcasts by accident is an error.

Tests compile far more than they run, so the compiler is told to be quick rather than thorough, and
each program is compiled once for all tests, workers and child processes of a session. Where
JAX_COMPILATION_CACHE_DIR names a folder, programs are kept there for the next session too. Their
keys hold jaxlib's version and the compiler's options; keep a folder to one machine.
"""

from importlib.metadata import version
import os
from pathlib import Path
import shutil
import tempfile

_WORKER = 'PYTEST_XDIST_WORKER' in os.environ
_OF_THIS_SESSION = 'JAX_COMPILATION_CACHE_DIR' not in os.environ
if _OF_THIS_SESSION:  # workers inherit it from the process that starts them
  os.environ['JAX_COMPILATION_CACHE_DIR'] = tempfile.mkdtemp(prefix='onemask-compiled-')
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
os.environ['JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES'] = '0'
# XLA's older code generator for the CPU takes half as long. Runs of train.py (tests/runs.py) have
# the newer one, as a user's do. jaxlib 0.12 has it no more, and XLA ends a process that names a
# flag it does not know.
if version('jaxlib').startswith('0.10.'):
  os.environ['XLA_FLAGS'] = (
    os.environ.get('XLA_FLAGS', '') + ' --xla_cpu_use_fusion_emitters=false'
  ).strip()

import jax  # noqa: E402  (reads the variables above)

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_disable_most_optimizations', True)

# Files whose slow tests take minutes. Workers take files in order, so what is long begins first.
_LONG = ('test_distributed.py', 'test_sweep.py', 'test_claims.py', 'test_resume.py')


def pytest_collection_modifyitems(items):
  items.sort(key=lambda item: item.path.name not in _LONG)


def pytest_unconfigure():
  if _OF_THIS_SESSION and not _WORKER:
    shutil.rmtree(Path(os.environ['JAX_COMPILATION_CACHE_DIR']), ignore_errors=True)
