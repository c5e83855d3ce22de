"""Getting to the first step, and what compiling costs: a worker of tools.bench."""

from collections.abc import Callable
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

import jax

from parallel import sharding
from tools.bench.cases import CASES, Depth, Start
from tools.bench.train import CACHE, config_of
from tools.bench.worker import serve
from training.experiment import build_step

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 120


def start(case: Start, folder: Path, corpus: str) -> Callable[[], dict]:
  """A round is a run of train.py in a folder of its own, up to its first row of metrics."""
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
    with tempfile.TemporaryDirectory() as workdir, open(Path(workdir) / 'said', 'w+') as said:
      began = time.perf_counter()
      run = subprocess.Popen(
        [*command, f'--workdir={workdir}/run'], env=environment, stdout=said, stderr=said
      )
      rows = Path(workdir) / 'run' / 'metrics.jsonl'
      try:
        while not (rows.exists() and rows.stat().st_size):
          if run.poll() is not None or time.perf_counter() - began > _PATIENCE_S:
            said.seek(0)
            raise OSError(f'train.py came to no first step: {said.read()[-500:]}')
          time.sleep(0.01)
        return dict(value=time.perf_counter() - began)
      finally:
        run.kill()
        run.wait()

  return round_


def depth(case: Depth) -> Callable[[], dict]:
  """A round compiles the step at each depth, nothing remembered."""

  def seconds(layers: int) -> float:
    jax.clear_caches()
    config = config_of(
      case.config, '', {'model.layers': layers, 'batch_size': 8, 'data.sequence_length': 128}
    )
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
    return dict(value=list(taken.values())[-1] / list(taken.values())[0], compile_seconds=taken)

  return round_


if __name__ == '__main__':
  chosen = CASES[sys.argv[2]]
  serve(
    depth(chosen) if isinstance(chosen, Depth) else start(chosen, Path(sys.argv[3]), sys.argv[4]),
    {},
  )
