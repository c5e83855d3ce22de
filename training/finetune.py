"""Fine-tuning of a trunk with a new head on a labelled task: many seeds in one program.

Seeds differ in the initial head, the order of the examples and the dropout, in nothing else. Their
states are stacked along a leading axis S, and `jax.vmap` turns the training step of
training/step.py into one step of all seeds.
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
from objectives.term import Labels, Setup
from training.gradient import CellStep
from training.optimizer import make_optimizer
from training.state import State
from training.step import make_train_step

POOLINGS = ('mean', 'last', 'first')


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


def check_pooling(mask: str, pooling: str):
  """Raises ConfigError for an unknown pooling, or if the pooled token cannot attend to the text."""
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
  """Fine-tunes every seed on a task and scores it.

  Args:
    params: of a pre-trained network; parameters of its heads are ignored.
    split: the split to score; training is on 'train'.
    progress: called after each update with (updates done, updates in all, mean loss in nats,
      seconds since the start, tokens per update over all seeds, without padding).

  Returns:
    The entry of evaluations.json, as `summarise` has it, with the recipe.

  Raises:
    ConfigError: the pooling cannot work under the mask, or there is no such split.
    DataError: max_length leaves no room for the task's texts.
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
  train_data = _device_data(train.batch, recipe.pooling, words)
  trained, losses = _train(network, head, params, train_data, recipe, progress)
  scored_data = _device_data(scored.batch, recipe.pooling, words)
  predicted_SxN = _predict(network, head, trained, scored_data, recipe.predict_batch)
  gold = [example.label for example in task.splits[split]]
  answers = list(predicted_SxN)
  if words:
    outside = task.classes.index('O')  # the label of words that were cut off
    answers = [rows.by_word(scored, predicted_NxT, outside) for predicted_NxT in predicted_SxN]
  scores = [labels.score(task, gold, answer) for answer in answers]
  setting = dict(
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
  headline, baselines = labels.HEADLINE[task.kind], labels.baselines(task, split)
  return summarise(headline, scores, baselines, losses) | setting


def summarise(
  headline: str, scores: list[dict[str, float]], baselines: dict[str, float], losses: list[float]
) -> dict:
  """Returns mean and spread over seeds, and the share of runs that failed.

  A run fails if it does not beat the majority baseline, or if its loss is not finite.

  Args:
    headline: name of the score that stands for the task.
    scores: {name: score} of each seed.
    baselines: {name: headline score}, 'majority' among them.
    losses: final training loss of each seed, nats.
  """
  values = [one[headline] for one in scores]
  failed = [
    not math.isfinite(loss) or value <= baselines['majority'] for value, loss in zip(values, losses)
  ]
  spread = statistics.stdev if len(values) > 1 else lambda _: 0.0
  others = {}
  for name in scores[0]:
    if name != headline:
      values_of_name = [one[name] for one in scores]
      others[name] = dict(mean=statistics.fmean(values_of_name), std=spread(values_of_name))
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
  """Puts all rows of a split on the device; adds `pool` (NxT) for a classifier of rows."""
  data = dict(batch, id=np.arange(len(batch['label'])))
  if not words:
    data['label'] = batch['label'][:, None]
    data['pool'] = pool_shares(batch['segment'], pooling)[:, None]
    data['example'] = data['id'][:, None]
  return {name: jnp.asarray(x) for name, x in data.items()}


def pool_shares(segment_NxT: np.ndarray, pooling: str) -> np.ndarray:
  """Returns the weight of each token in what the classifier reads, NxT; each row sums to 1.

  Args:
    segment_NxT: 0 is padding.
    pooling: one of POOLINGS.
  """
  valid_NxT = (segment_NxT > 0).astype(np.float32)
  if pooling == 'mean':
    return valid_NxT / valid_NxT.sum(axis=1, keepdims=True)
  if pooling == 'last':
    position_N = valid_NxT.sum(axis=1).astype(int) - 1
  else:
    position_N = np.zeros(len(valid_NxT), int)
  return np.eye(valid_NxT.shape[1], dtype=np.float32)[position_N]


def example_order(seed: int, examples: int, steps: int, batch_size: int) -> np.ndarray:
  """Returns the indices of the examples of each update, int32, steps x batch_size.

  Each epoch is a permutation of its own, a pure function of (seed, epoch). An update may hold
  examples of two epochs.
  """

  def permutation(epoch: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=(seed, epoch))).permutation(examples)

  epochs = math.ceil(steps * batch_size / examples)
  order = np.concatenate([permutation(epoch) for epoch in range(epochs)])
  return order[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)


def _train(
  network: Network, head: str, params, data: dict[str, jax.Array], recipe: Recipe, progress
):
  """Trains all seeds.

  Returns:
    (parameters stacked along S, [final loss of each seed, nats]).
  """
  examples, seeds = len(data['label']), jnp.array(recipe.seeds, jnp.uint32)
  steps = recipe.updates(examples)
  tx, schedule = make_optimizer(_optimizer(recipe, steps), steps)
  name = {'sequence': 'classify', 'tokens': 'tag'}[head]
  objective = make_objective(
    {name: 1.0}, Setup(None, None, 0, labels=Labels(pooling=recipe.pooling))
  )
  whole_batch = grid.BatchShare(grid.Cell(recipe.mask, ((name, 1.0),)), first=0, share=1, period=1)
  cell = CellStep(whole_batch, network.apply, objective)
  trunk = {part: jax.tree.map(np.asarray, params[part]) for part in params if part not in HEADS}

  def start(seed, trunk) -> State:
    own_head = make_params(network, jax.random.fold_in(jax.random.key(seed), 0))[head]
    initial = trunk | {head: own_head}
    return State(jnp.zeros((), jnp.int32), initial, tx.init(initial))

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
    previous_loss_S = loss_S
    state, loss_S = update_all(seeds, state, order[step], data)
    # The loss of the previous step, so that the device always has the next one queued.
    if progress is not None and previous_loss_S is not None:
      progress(step, steps, float(previous_loss_S.mean()), time.monotonic() - started, tokens)
  losses = [float(loss) for loss in loss_S]
  if progress is not None:
    progress(steps, steps, statistics.fmean(losses), time.monotonic() - started, tokens)
  return state.params, losses


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


def _predict(
  network: Network, head: str, params, data: dict[str, jax.Array], size: int
) -> np.ndarray:
  """Returns the most likely class under each seed: SxN of rows, or SxNxT of tokens."""
  count = len(data['label'])

  def predict(params, batch):
    best = network.apply(params, batch)[head].argmax(axis=-1).astype(jnp.int32)
    return best if head == 'tokens' else best[:, 0]

  predict_all = jax.jit(jax.vmap(predict, in_axes=(0, None)))
  found = []
  for start in range(0, count, size):
    # The last batch repeats its last row, so that one program serves all batches.
    chosen_B = np.minimum(np.arange(start, start + size), count - 1)
    found.append(np.asarray(predict_all(params, {name: x[chosen_B] for name, x in data.items()})))
  return np.concatenate(found, axis=1)[:, :count]
