"""Our side of fine-tuning: a worker of tools.bench."""

from collections.abc import Callable
import dataclasses
import json
import math
from pathlib import Path
import sys
import time

import jax

from configs.finetune import classify
from configs.schema import grid
from parallel import sharding
from runtime import allocator
from tools.bench.cases import CASES
from tools.bench.embed import random_weights
from tools.bench.kinds import Finetune
from tools.bench.worker import serve
from training import adopt, cost, warm_start
from training.experiment import build_experiment, make_run_state
from training.prefetch import Prefetcher
from training.step import jit_step


def config_of(case: Finetune, weights: str, task_data: str):
  """The config of the run whose first steps are measured."""
  config = classify.get_config().unlock()
  config.update(init_from=weights, batch_size=case.rows, steps=case.steps, accumulate=1)
  config.data.update(task=case.task, task_files=task_data, sequence_length=case.T)
  config.optimizer.schedule = 'constant'  # rounds go on where the last one ended
  config.model.scan = False  # faster on a CPU, and slower to compile
  return adopt.settle(config)


def finetune(
  case: Finetune, folder: Path, corpus: str, weights: str, task_data: str
) -> tuple[Callable[[], dict], dict]:
  """Leaves the place of weights and task for the peer in `folder`.

  Returns:
    A function that does a round of updates, and facts: FLOPs of a round, the share of tokens that
    are no padding.
  """
  weights = weights or random_weights(folder, corpus)
  (folder / 'finetune.json').write_text(json.dumps(dict(weights=weights, task_data=task_data)))
  config = config_of(case, weights, task_data)
  allocator.disable_malloc_trim()
  mesh = sharding.make_mesh(config.mesh)
  jax.set_mesh(mesh)
  experiment = build_experiment(config)
  _, make, tx, schedule = make_run_state(config, experiment.network, mesh)
  step = jit_step(experiment.train_step(grid.stages(config)[0], tx, schedule, accumulate=1), mesh)
  state = make()
  params = warm_start.begin_with(weights, experiment, state.params, mesh, lambda _: None)
  state = dataclasses.replace(state, params=params)

  def round_():
    nonlocal state
    batches, losses = Prefetcher(experiment, mesh, 1), []
    started = time.perf_counter()
    for number in range(case.steps):
      batch, _ = batches[number]
      state, metrics = step(state, sharding.shard_batch(batch, mesh))
      losses.append(metrics['train/loss'])
    assert all(math.isfinite(float(loss)) for loss in losses)  # waits for the steps
    seconds = time.perf_counter() - started
    batches.close()
    return dict(work=case.rows * case.steps, tokens=tokens, seconds=seconds)

  tokens, useful = _tokens(experiment, case.steps)
  heads = experiment.objective.heads
  flops = cost.flops_per_token(experiment.model, heads, experiment.prepared.T, 0) * tokens
  return round_, dict(flops=flops, useful_share=useful / tokens)


def _tokens(experiment, steps: int) -> tuple[int, int]:
  """(tokens of the first steps, those of them that are no padding)."""
  batches = experiment.batches(experiment.prepared.T)
  read = [batches[number]['segment'] for number in range(steps)]
  return sum(each.size for each in read), sum(int((each > 0).sum()) for each in read)


if __name__ == '__main__':
  serve(*finetune(CASES[sys.argv[2]], Path(sys.argv[3]), *sys.argv[4:7]))
