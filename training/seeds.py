"""Runs of several seeds on one labelled task, measured and not kept: what an evaluation needs.

The states and the step are those of training/stacked.py, as in a run with config.finetune.seeds.
Here the trunk is given and nothing is saved.
"""

import dataclasses
import math
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from configs import base
from configs.schema import grid
from data.tasks.packing import StackedBatches
from data.tasks.prepared import PreparedTask
from evaluation import examples
from models.config import ModelConfig
from models.heads import HEADS
from models.network import make_network, make_params
from objectives.mix import make_objective, module_of
from objectives.term import Labels, Setup
from training import stacked
from training.gradient import CellStep
from training.optimizer import make_optimizer
from training.state import State
from training.step import make_train_step

OBJECTIVES = ('classify', 'tag', 'answer', 'choose')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """How a task is fine-tuned.

  Attributes:
    mask: attention mask of the trunk in fine-tuning and scoring; may differ from pre-training.
    pooling: what a sequence classifier reads: the 'mean' over all tokens (special ones included),
      the 'last' or the 'first' token. One of POOLINGS.
    seeds: one run each; a run does not depend on which other seeds run with it.
    steps: updates; 0 = `epochs` passes over the examples.
    learning_rate: peak; linear warm-up, then linear decay to 0.
    warmup_share: share of the steps.
    max_length: tokens per row; longer rows are cut.
    predict_batch: rows scored at once; changes speed only.
  """

  mask: str
  pooling: str
  seeds: tuple[int, ...]
  steps: int
  epochs: float
  batch_size: int
  learning_rate: float
  warmup_share: float
  weight_decay: float
  max_length: int
  predict_batch: int = 64

  def updates(self, examples: int) -> int:
    """Returns the number of updates for so many training examples."""
    return self.steps or max(1, math.ceil(self.epochs * examples / self.batch_size))


class Runs:
  """Runs of several seeds on one task, as one program."""

  def __init__(self, model: ModelConfig, prepared: PreparedTask, recipe: Recipe):
    self._prepared, self._recipe = prepared, recipe
    task = prepared.task
    [self._name] = [name for name in OBJECTIVES if task.kind in module_of(name).TASKS]
    setup = Setup(None, None, 0, labels=Labels(kind=task.labels, pooling=recipe.pooling))
    self._objective = make_objective({self._name: 1.0}, setup)
    classes = dict(span=2).get(task.labels, max(1, len(task.classes)))
    self._network = make_network(
      dataclasses.replace(model, classes=classes),
      mask=recipe.mask,
      packed=True,
      heads=self._objective.heads,
    )
    self._examine = examples.make_examiner(
      self._network.apply, self._objective, shard=lambda batch: jax.tree.map(jnp.asarray, batch)
    )

  def train(self, params, progress):
    """(parameters with the axis N of the seeds, [final loss of each seed, nats])."""
    recipe, seeds = self._recipe, self._recipe.seeds
    steps = recipe.updates(len(self._prepared.task.splits['train']))
    tx, schedule = make_optimizer(_optimizer(recipe, steps), steps)
    cell = grid.Cell(recipe.mask, ((self._name, 1.0),))
    share = grid.BatchShare(cell, first=0, share=1, period=1)
    cells = [CellStep(share, self._network.apply, self._objective)]

    def step_of(seed):
      return make_train_step(cells, tx, schedule, seed=seed, steps=steps)

    update = jax.jit(stacked.make_step(step_of, seeds), donate_argnums=0)
    state = self._start(params, tx)
    orders = [
      self._prepared.batches('train', batch_size=recipe.batch_size, seed=seed) for seed in seeds
    ]
    batches = StackedBatches(orders)
    report = self._prepared.report['train']
    tokens = report['tokens'] / report['rows'] * recipe.batch_size * len(seeds)
    started, measured = time.monotonic(), None
    for step in range(steps):
      before = measured
      state, measured = update(state, batches[step])
      # The loss of the previous step, so that the device always has the next one queued.
      if progress is not None and before is not None:
        seconds = time.monotonic() - started
        progress(step, steps, float(before['train/loss']), seconds, tokens)
    losses = [float(measured[f'{stacked.name_of(seed)}train/loss']) for seed in seeds]
    if progress is not None:
      seconds = time.monotonic() - started
      progress(steps, steps, statistics.fmean(losses), seconds, tokens)
    return state.params, losses

  def _start(self, params, tx) -> State:
    """The states of all seeds at step 0: the trunk that is given, and a head of each seed."""
    trunk = {part: jax.tree.map(np.asarray, params[part]) for part in params if part not in HEADS}

    def start(seed, trunk) -> State:
      made = make_params(self._network, jax.random.fold_in(jax.random.key(seed), 0))
      initial = trunk | {head: made[head] for head in self._objective.heads}
      return State(jnp.zeros((), jnp.int32), initial, tx.init(initial))

    seed_N = jnp.array(self._recipe.seeds, jnp.uint32)
    return jax.jit(jax.vmap(start, in_axes=(0, None)))(seed_N, trunk)

  def said(self, params, index: int, split: str) -> examples.Said:
    """What the parameters of a seed say of a split."""
    batches = self._prepared.batches(
      split, batch_size=self._recipe.predict_batch, seed=0, shuffled=False
    )
    own = stacked.one_of(params, index)
    each = (batches[step] for step in range(len(batches)))
    return self._examine(own, each, self._prepared, split)


def _optimizer(recipe: Recipe, steps: int):
  """Returns `config.optimizer` for fine-tuning: defaults of configs/base.py, and the recipe."""
  optimizer = base.get_config().optimizer
  # Without bias correction the first updates are too large and more runs fail (Mosbach et al.
  # 2021).
  optimizer.update(
    learning_rate=recipe.learning_rate,
    schedule='linear',
    bias_correction=True,
    warmup_steps=round(recipe.warmup_share * steps),
    weight_decay=recipe.weight_decay,
  )
  return optimizer
