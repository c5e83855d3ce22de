"""Fine-tunes a model on labelled tasks, many seeds in one program: python -m tools.finetune DIR
--tasks=mrpc \
--task_data=FOLDER --finetune_mask=same

DIR is the workdir of a run, or a Hugging Face directory. FOLDER holds sst2/, mrpc/, rte/, sick/ and
conll2000/ with their published files (docs/finetuning.md); --task_data=tfds takes GLUE's from
TensorFlow Datasets. The result goes into DIR/evaluations.json: mean and spread over seeds, and the
share of runs that do not beat the majority class. A mask other than `same` is part of its name
there, as in finetune_mrpc_causal, so that one task may be asked under several.
"""

from collections.abc import Callable
import json

from configs.schema.check import ConfigError
from runtime import cli

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('Tasks')
cli.flags.DEFINE_list('tasks', None, 'Of sst2, mrpc, rte, sick, conll2000: one or several.')
cli.flags.DEFINE_string('task_data', None, 'The folder with the task files, or tfds.')
cli.group('Recipe')
cli.flags.DEFINE_enum(
  'finetune_mask',
  None,
  ['same', 'bidirectional', 'causal'],
  'What tokens see in fine-tuning; same is the mask of the pre-training. No default: published '
  'comparisons differ in it.',
)
cli.flags.DEFINE_enum(
  'pooling',
  'mean',
  ['mean', 'last', 'first'],
  'Which token states a classifier of rows reads. BERT has first, GPT last.',
)
cli.flags.DEFINE_integer('seeds', 8, 'Number of seeds, trained at once.', lower_bound=1)
cli.flags.DEFINE_integer('first_seed', 0, 'The first seed.', lower_bound=0)
cli.flags.DEFINE_integer('steps', 300, 'Updates; 0 = as --epochs says.', lower_bound=0)
cli.flags.DEFINE_float('epochs', 3.0, 'Passes over the training examples, with --steps=0.', 1e-6)
cli.flags.DEFINE_integer('batch_size', 32, 'Rows an update, of each seed.', lower_bound=1)
cli.flags.DEFINE_float(
  'learning_rate', 1e-3, 'Peak; 1e-3 suits models of width 128, BERT-base takes 2e-5 to 5e-5.', 0
)
cli.flags.DEFINE_float(
  'warmup_share', 0.1, 'Of the updates; then the rate falls to 0 in a line.', 0, 1
)
cli.flags.DEFINE_float(
  'weight_decay', 0.01, 'Weight decay, decoupled from the gradient (AdamW).', 0
)
cli.flags.DEFINE_integer(
  'max_length', 128, 'Tokens of a row; longer ones are cut, and said to be.', lower_bound=8
)
cli.group('What is scored')
cli.flags.DEFINE_enum(
  'split',
  None,
  ['test', 'validation'],
  'What is scored; the test split by default, validation where its labels are not public. Choose '
  'settings on validation.',
)
cli.flags.DEFINE_integer(
  'limit', 0, 'At most so many examples of each split, drawn once; 0 = all.', lower_bound=0
)
cli.define_keep()
cli.define_json()


def main():
  flags = cli.FLAGS
  if not flags.tasks or not flags.task_data:
    raise ConfigError(
      '--tasks=NAME,... and --task_data=FOLDER are needed, as in --tasks=mrpc --task_data=tasks.'
    )
  if not flags.finetune_mask:
    raise ConfigError(
      '--finetune_mask=same, bidirectional or causal is needed: results under different masks are '
      'different results.'
    )

  from data.tasks import open_task
  from runtime import records
  from runtime.console import Console
  from tools.sweep import evaluations
  from training import finetune
  from training import load as loading

  directory = loading.flag()
  tasks = [open_task.load_named(name, flags.task_data).limited(flags.limit) for name in flags.tasks]
  weights = loading.load(directory, step=flags.step)
  tokenizer = weights.need_tokenizer()
  recipe = finetune.Recipe(
    mask=weights.mask if flags.finetune_mask == 'same' else flags.finetune_mask,
    pooling=flags.pooling,
    seeds=tuple(range(flags.first_seed, flags.first_seed + flags.seeds)),
    steps=flags.steps,
    epochs=flags.epochs,
    batch_size=flags.batch_size,
    learning_rate=flags.learning_rate,
    warmup_share=flags.warmup_share,
    weight_decay=flags.weight_decay,
    max_length=min(flags.max_length, weights.context),
  )
  if any(task.kind != 'words' for task in tasks):
    finetune.check_pooling(recipe.mask, recipe.pooling)
  console, results = Console(quiet=flags.json), {}
  console.say(
    f'{weights.source}: pre-trained {weights.mask}, fine-tuned {recipe.mask}, '
    f'{flags.seeds} seeds at once'
  )
  for task in tasks:
    split = flags.split or ('test' if 'test' in task.splits else 'validation')
    console.begin(0, recipe.updates(len(task.splits['train'])))
    console.status(f'compiling {task.name}')
    try:
      result = finetune.finetune(
        weights.config,
        weights.params,
        tokenizer,
        task,
        recipe,
        progress=_shown(console, split),
        split=split,
      )
    finally:
      console.end()
    name = evaluations.finetuned(task.name, flags.finetune_mask)
    results[name] = result | dict(
      pretrained_mask=weights.mask, source=weights.source, asked=cli.asked()
    )
    if not records.note_evaluations(directory, {name: results[name]}, keep=flags.keep):
      console.say(f'{directory} is no run, so nothing is kept in it: --json prints all.')
    if not flags.json:
      console.table(
        f'{task.name}: {result["rows"]:,} rows of {result["split"]}, trained on '
        f'{result["train_rows"]:,}',
        _rows(result),
      )
  if flags.json:
    print(json.dumps(results))


def _shown(console, split: str) -> Callable[[int, int, float, float, float], None]:
  """What `training.finetune.finetune` calls after each update, of all seeds together."""

  def show(done: int, of: int, loss: float, _, tokens: float):
    console.counted(done, f'loss {loss:.4f}', tokens)
    if done == of:
      console.status(f'scoring the {split} split')

  return show


def _rows(result: dict) -> dict[str, str]:
  """A result as words."""
  unit = result['unit']
  rows = {
    unit: f'{result["value"]:.4f} ± {result["std"]:.4f}  mean, standard deviation over '
    f'{len(result["seeds"])} seeds',
    'from, to': f'{result["min"]:.4f} to {result["max"]:.4f}',
    'failed runs': f'{result["failed_share"]:.0%}  {result["failed_means"]}',
  }
  rows |= {
    name: f'{score["mean"]:.4f} ± {score["std"]:.4f}'
    for name, score in result['other_scores'].items()
  }
  rows |= {f'{unit} of {name}': f'{score:.4f}' for name, score in result['baselines'].items()}
  cut = result['cut_rows']
  return rows | {
    'mask, pooling': f'{result["finetune_mask"]}, {result["pooling"]}',
    'updates': f'{result["steps"]:,} of {result["batch_size"]} rows, peak rate '
    f'{result["learning_rate"]:g}',
    'cut rows': f'{cut["train"]:,} in training, {cut["scored"]:,} scored',
    'time': f'{result["seconds"]:.0f} s',
  }


if __name__ == '__main__':
  cli.run(main, positional='weights')
