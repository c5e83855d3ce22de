"""Seconds to the first step, and the cost of compiling deep networks: a worker of tools.bench."""

from collections.abc import Callable
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

import jax

from parallel import sharding
from tools.bench.cases import CASES
from tools.bench.kinds import Depth, Start
from tools.bench.train import CACHE, config_of
from tools.bench.worker import serve
from training.bare_step import build_step

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 120  # for the first step


def start(case: Start, folder: Path, corpus: str) -> Callable[[], dict]:
  """A function that runs train.py in a new folder up to its first row of metrics.

  Raises:
    OSError: in a round: train.py ended or hung before its first step.
  """
  command = [
    sys.executable,
    str(ROOT / 'train.py'),
    f'--config={ROOT}/configs/{case.config}.py',
    f'--config.data.corpus={corpus}',
    f'--config.data.cache={CACHE}',
  ]
  if case.cached:
    command.append(f'--compiled={folder / "compiled"}')
  environment = {
    name: value for name, value in os.environ.items() if name != 'JAX_COMPILATION_CACHE_DIR'
  }

  def round_():
    with tempfile.TemporaryDirectory() as workdir, open(Path(workdir) / 'output', 'w+') as output:
      began = time.perf_counter()
      run = subprocess.Popen(
        [*command, f'--workdir={workdir}/run'], env=environment, stdout=output, stderr=output
      )
      metrics = Path(workdir) / 'run' / 'metrics.jsonl'
      try:
        while not (metrics.exists() and metrics.stat().st_size):
          if run.poll() is not None or time.perf_counter() - began > _PATIENCE_S:
            output.seek(0)
            raise OSError(f'train.py came to no first step: {output.read()[-500:]}')
          time.sleep(0.01)
        return dict(value=time.perf_counter() - began)
      finally:
        run.kill()
        run.wait()

  return round_


def depth(case: Depth) -> Callable[[], dict]:
  """A function that compiles the step at each depth, without any cache.

  Its `value` is the time of the deepest over that of the shallowest.
  """

  def seconds(layers: int) -> float:
    jax.clear_caches()
    changes = {'model.layers': layers, 'batch_size': 8, 'data.sequence_length': 128}
    config = config_of(case.config, '', changes)
    config.objectives = dict(mlm=1.0)
    mesh = sharding.make_mesh(config.mesh)
    with jax.set_mesh(mesh):
      run = build_step(config, mesh)
      batch = sharding.shard_batch(run.batch, mesh)
      began = time.perf_counter()
      run.step.lower(run.abstract, batch).compile()
    return time.perf_counter() - began

  def round_():
    taken = {str(layers): seconds(layers) for layers in case.layers}
    shallowest, *_, deepest = taken.values()
    return dict(value=deepest / shallowest, compile_seconds=taken)

  return round_


if __name__ == '__main__':
  chosen = CASES[sys.argv[2]]
  if isinstance(chosen, Depth):
    serve(depth(chosen), {})
  else:
    serve(start(chosen, Path(sys.argv[3]), sys.argv[4]), {})
