"""Fine-tuning of a trunk with a new head on a labelled task, over many seeds, as an evaluation.

What sweeps and tools.finetune measure; a model that is kept is fine-tuned by train.py. Rows,
objectives, step and scores are the same.
"""

from collections.abc import Callable
import dataclasses
import math
import time

from configs.schema.check import ConfigError
from data.tasks import prepared as tasks
from data.tasks.labelled import LISTS, Task
from data.tokens.tokenizer import Tokenizer
from evaluation import examples, labels
from models.config import ModelConfig
from training import stacked
from training.seeds import Recipe, Runs

POOLINGS = ('mean', 'last', 'first')


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
  if _pools(task):
    check_pooling(recipe.mask, recipe.pooling)
  if split not in task.splits:
    raise ConfigError(
      f'{task.name} has no labelled split {split}; there are {", ".join(task.splits)}.'
    )
  started = time.monotonic()
  used = dataclasses.replace(
    task, splits={name: task.splits[name] for name in dict.fromkeys(('train', split))}
  )
  prepared = tasks.of(used, tokenizer, recipe.max_length)
  runs = Runs(model, prepared, recipe)
  trained, losses = runs.train(params, progress)
  found = [runs.said(trained, index, split) for index in range(len(recipe.seeds))]
  scores = [_scores(used, split, said) for said in found]
  report = prepared.report
  setting = dict(
    finetune_mask=recipe.mask,
    pooling=recipe.pooling if _pools(task) else 'first piece of a word',
    learning_rate=recipe.learning_rate,
    steps=recipe.updates(len(task.splits['train'])),
    batch_size=recipe.batch_size,
    warmup_share=recipe.warmup_share,
    weight_decay=recipe.weight_decay,
    seeds=list(recipe.seeds),
    split=split,
    train_rows=len(task.splits['train']),
    rows=len(task.splits[split]),
    cut_rows=dict(train=report['train']['cut'], scored=report[split]['cut']),
    final_losses=losses,
    seconds=round(time.monotonic() - started, 1),
  )
  return summarise(_headline(task), scores, _baselines(used, split), losses) | setting


def _pools(task: Task) -> bool:
  """Whether a state stands for a whole text."""
  return task.kind in ('text', 'pair', *LISTS)


def _plain(task: Task) -> bool:
  """Whether evaluation/labels.py has names for its scores, under which older results are kept."""
  return task.kind in labels.HEADLINE and task.labels == 'class'


def _headline(task: Task) -> str:
  return labels.HEADLINE[task.kind] if _plain(task) else examples.headline(task)


def _baselines(task: Task, split: str) -> dict[str, float]:
  if _plain(task):
    return labels.baselines(task, split)
  return dict(majority=examples.baseline(task, split)[_headline(task)])


def _scores(task: Task, split: str, said: examples.Said) -> dict[str, float]:
  """Scores by name, the headline among them."""
  if not _plain(task):
    return examples.score(task, split, said.predicted)
  predicted = said.predicted
  if task.kind == 'words':
    outside = task.classes.index('O') if 'O' in task.classes else -1  # of words that were cut off
    predicted = [[outside if tag < 0 else tag for tag in row] for row in predicted]
  return labels.score(task, [example.label for example in task.splits[split]], predicted)


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
  spread = {name: stacked.spread([one[name] for one in scores]) for name in scores[0]}
  own = spread.pop(headline)
  return dict(
    value=own.pop('mean'),
    unit=headline,
    higher_is_better=True,
    side='understanding',
    **own,
    failed_share=sum(failed) / len(failed),
    failed_means='not above the majority class, or a loss that is not finite',
    baselines=baselines,
    other_scores={name: dict(mean=each['mean'], std=each['std']) for name, each in spread.items()},
  )
