"""Fine-tuning a trunk with a new head on a labelled task: many seeds as one program.

Every seed has its own head, its own order of the examples and its own dropout, and nothing else:
states are stacked along a leading axis (seeds, written S here), and `jax.vmap` turns the one step
that everything here trains with into the step of all seeds.
"""

from collections.abc import Callable
import dataclasses
import math
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from configs import base
from configs.schema import grid
from configs.schema.check import ConfigError
from data.tasks import rows
from data.tasks.labelled import Task
from data.tokens.tokenizer import Tokenizer
from evaluation import labels
from models.config import ModelConfig
from models.heads import HEADS
from models.network import Network, make_network, make_params
from objectives.mix import make_objective
from objectives.term import Setup
from training.optimizer import make_optimizer
from training.state import State
from training.step import CellStep, make_train_step

POOLINGS = ('mean', 'last', 'first')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """How a task is fine-tuned.

  Attributes:
    mask: of the trunk while it is fine-tuned and scored; it need not be the one of the
      pre-training.
    pooling: what a classifier of rows reads: the mean over the tokens (special ones count), the
      last or the first.
    seeds: the runs, side by side; a seed gives the same run in any company.
    steps, epochs: updates, or passes over the examples where steps is 0.
    max_length: tokens of a row; longer ones are cut.
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
    return self.steps or max(1, math.ceil(self.epochs * examples / self.batch_size))


def check_pooling(mask: str, pooling: str):
  """Raises ConfigError where the pooled token has not seen the text."""
  if pooling not in POOLINGS:
    raise ConfigError(f'pooling={pooling!r}: choose one of {", ".join(POOLINGS)}.')
  if mask == 'causal' and pooling == 'first':
    raise ConfigError(
      'pooling=first under a causal mask reads a token that has seen nothing of the text: use '
      'pooling=last or pooling=mean, or finetune_mask=bidirectional.'
    )


def finetune(
  model: ModelConfig,
  params,
  tokenizer: Tokenizer,
  task: Task,
  recipe: Recipe,
  *,
  split: str,
  progress: Callable[[int, int, float, float, float], None] | None = None,
) -> dict:
  """Fine-tunes every seed on a task and scores it: what evaluations.json says of it.

  Args:
    params: of the trunk; heads among them are left out.
    split: what is scored.
    progress: called after each update with (updates done, of how many, mean loss in nats, seconds
      since the start, tokens of an update of all seeds, padding not counted).

  Raises:
    ConfigError: the pooling cannot work under the mask, or the split is not there.
    DataError: rows have no room for the task's texts.
  """
  words = task.kind == 'words'
  if not words:
    check_pooling(recipe.mask, recipe.pooling)
  if split not in task.splits:
    raise ConfigError(
      f'{task.name} has no labelled split {split}; there are {", ".join(task.splits)}.'
    )
  started = time.monotonic()
  encode = lambda name: rows.encode(
    task.kind, task.splits[name], tokenizer, max_length=recipe.max_length
  )
  train, scored = encode('train'), encode(split)
  head = 'tokens' if words else 'sequence'
  network = make_network(
    dataclasses.replace(model, classes=len(task.classes)),
    mask=recipe.mask,
    packed=False,
    heads=(head,),
  )
  trained, losses = _train(
    network, head, params, _device_data(train.batch, recipe.pooling, words), recipe, progress
  )
  predicted_SxN = _predict(
    network, head, trained, _device_data(scored.batch, recipe.pooling, words), recipe.predict_batch
  )
  gold = [example.label for example in task.splits[split]]
  other = task.classes.index('O') if words else 0
  answers = [
    rows.by_word(scored, predicted, other) if words else predicted for predicted in predicted_SxN
  ]
  scores = [labels.score(task, gold, answer) for answer in answers]
  about = dict(
    finetune_mask=recipe.mask,
    pooling='first piece of a word' if words else recipe.pooling,
    learning_rate=recipe.learning_rate,
    steps=recipe.updates(len(task.splits['train'])),
    batch_size=recipe.batch_size,
    warmup_share=recipe.warmup_share,
    weight_decay=recipe.weight_decay,
    seeds=list(recipe.seeds),
    split=split,
    train_rows=len(task.splits['train']),
    rows=len(gold),
    cut_rows=dict(train=train.cut, scored=scored.cut),
    final_losses=losses,
    seconds=round(time.monotonic() - started, 1),
  )
  return (
    summarise(labels.HEADLINE[task.kind], scores, labels.baselines(task, split), losses) | about
  )


def summarise(
  headline: str, scores: list[dict[str, float]], baselines: dict[str, float], losses: list[float]
) -> dict:
  """Mean and spread over seeds, and the share of runs that failed.

  A run fails when it does not beat the majority class of the
  training examples, or when its loss is not finite.
  """
  values = [one[headline] for one in scores]
  failed = [
    not math.isfinite(loss) or value <= baselines['majority'] for value, loss in zip(values, losses)
  ]
  spread = statistics.stdev if len(values) > 1 else lambda _: 0.0
  others = {
    name: dict(
      mean=statistics.fmean(one[name] for one in scores), std=spread([one[name] for one in scores])
    )
    for name in scores[0]
    if name != headline
  }
  return dict(
    value=statistics.fmean(values),
    unit=headline,
    higher_is_better=True,
    side='understanding',
    std=spread(values),
    min=min(values),
    max=max(values),
    failed_share=sum(failed) / len(failed),
    failed_means='not above the majority class, or a loss that is not finite',
    baselines=baselines,
    values=values,
    other_scores=others,
  )


def _device_data(batch: dict[str, np.ndarray], pooling: str, words: bool) -> dict[str, jax.Array]:
  data = dict(batch)
  if not words:
    data['pool'] = pool_shares(batch['segment'], pooling)
  return {name: jnp.asarray(x) for name, x in data.items()}


def pool_shares(segment_NxT: np.ndarray, pooling: str) -> np.ndarray:
  """How much of each token the classifier reads, NxT; rows add up to 1."""
  valid_NxT = (segment_NxT > 0).astype(np.float32)
  if pooling == 'mean':
    return valid_NxT / valid_NxT.sum(axis=1, keepdims=True)
  place_N = (
    valid_NxT.sum(axis=1).astype(int) - 1 if pooling == 'last' else np.zeros(len(valid_NxT), int)
  )
  return np.eye(valid_NxT.shape[1], dtype=np.float32)[place_N]


def example_order(seed: int, examples: int, steps: int, batch_size: int) -> np.ndarray:
  """steps x batch_size: epoch after epoch, each a permutation of
  its own, a pure function of (seed, epoch).
  """
  epochs = math.ceil(steps * batch_size / examples)
  shuffle = lambda epoch: np.random.Generator(np.random.Philox(key=(seed, epoch))).permutation(
    examples
  )
  whole = np.concatenate([shuffle(epoch) for epoch in range(epochs)])
  return whole[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)


def _train(
  network: Network, head: str, params, data: dict[str, jax.Array], recipe: Recipe, progress
):
  """(parameters, final loss in nats) of every seed, stacked along the first axis.

  The update of one seed is that of every run (training/step.py); `jax.vmap` makes it that of all.
  """
  examples, seeds = len(data['label']), jnp.array(recipe.seeds, jnp.uint32)
  steps = recipe.updates(examples)
  tx, schedule = make_optimizer(_optimizer(recipe, steps), steps)
  name = {'sequence': 'classify', 'tokens': 'tag'}[head]
  objective = make_objective({name: 1.0}, Setup(None, None, 0))
  whole = grid.BatchShare(grid.Cell(recipe.mask, ((name, 1.0),)), 0, 1, 1)
  cell = CellStep(whole, network.apply, objective)
  trunk = {part: jax.tree.map(np.asarray, params[part]) for part in params if part not in HEADS}

  def start(seed, trunk) -> State:
    own_head = make_params(network, jax.random.fold_in(jax.random.key(seed), 0))[head]
    begun = trunk | {head: own_head}
    return State(jnp.zeros((), jnp.int32), begun, tx.init(begun))

  def update(seed, state: State, chosen_B, data):
    train_step = make_train_step([cell], tx, schedule, seed=seed, steps=steps)
    state, metrics = train_step(state, {name: x[chosen_B] for name, x in data.items()})
    return state, metrics['train/loss']

  state = jax.jit(jax.vmap(start, in_axes=(0, None)))(seeds, trunk)
  update_all = jax.jit(jax.vmap(update, in_axes=(0, 0, 0, None)), donate_argnums=1)
  orders = [example_order(seed, examples, steps, recipe.batch_size) for seed in recipe.seeds]
  order = np.stack(orders, axis=1)
  tokens = float((data['segment'] > 0).sum()) / examples * recipe.batch_size * len(seeds)
  started, loss_S = time.monotonic(), None
  for step in range(steps):
    before = loss_S
    state, loss_S = update_all(seeds, state, order[step], data)
    # Of the step before: the host never waits on the device.
    if progress is not None and before is not None:
      progress(step, steps, float(before.mean()), time.monotonic() - started, tokens)
  losses = [float(loss) for loss in loss_S]
  if progress is not None:
    progress(steps, steps, statistics.fmean(losses), time.monotonic() - started, tokens)
  return state.params, losses


def _optimizer(recipe: Recipe, steps: int):
  """The optimiser's part of a config, as fine-tuning has it."""
  optimizer = base.get_config().optimizer
  # Bias correction: without it the first updates are too long and more runs fail (Mosbach et al.
  # 2021).
  optimizer.update(
    learning_rate=recipe.learning_rate,
    schedule='linear',
    bias_correction=True,
    warmup_steps=round(recipe.warmup_share * steps),
    weight_decay=recipe.weight_decay,
  )
  return optimizer


def _predict(
  network: Network, head: str, params, data: dict[str, jax.Array], size: int
) -> np.ndarray:
  """The likeliest class of every seed (first axis) for every row, or every token of it."""
  count = len(data['label'])

  def predict(params, batch):
    return network.apply(params, batch)[head].argmax(axis=-1).astype(jnp.int32)

  predict_all = jax.jit(jax.vmap(predict, in_axes=(0, None)))
  found = []
  for start in range(0, count, size):
    # the last batch repeats its last row
    chosen_B = np.minimum(np.arange(start, start + size), count - 1)
    found.append(np.asarray(predict_all(params, {name: x[chosen_B] for name, x in data.items()})))
  return np.concatenate(found, axis=1)[:, :count]
