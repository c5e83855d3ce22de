"""Scores sentence vectors under several poolings, as a model is or after a short training: python
-m tools.poolings DIR --tasks=mean,last --task_data=FOLDER

DIR is the workdir of a run, or a Hugging Face directory; a task is a pooling. FOLDER holds the
files of sts (docs/evaluation.md). With --groups the model is first trained on that file, once for
each pooling, by the loop of train.py; such runs are not kept. What is found goes into
DIR/evaluations.json: sts_mean, or after training with cosent sts_mean_cosent.
"""

from collections.abc import Callable
import dataclasses
import json
from pathlib import Path
import tempfile

from configs.schema import names
from configs.schema.check import ConfigError
from data.errors import DataError
from runtime import cli

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('What is scored')
cli.flags.DEFINE_list('tasks', None, f'Poolings: {", ".join(names.poolings())}.')
cli.flags.DEFINE_string('task_data', None, 'The folder with the files of sts.')
cli.flags.DEFINE_integer('task_limit', 0, 'Pairs of a file; 0 = all.', lower_bound=0)
cli.group('Training before it')
cli.flags.DEFINE_string(
  'groups', None, 'A file of groups, as config.data.groups; a name in --task_data, or a path.'
)
cli.flags.DEFINE_string('objective', 'cosent', 'Of those on groups, as contrast, cosent or angle.')
cli.flags.DEFINE_integer('steps', 100, 'Updates.', lower_bound=1)
cli.flags.DEFINE_integer('batch_size', 32, 'Groups an update.', lower_bound=1)
cli.flags.DEFINE_float('learning_rate', 5e-4, 'Peak; 5e-4 suits models of width 128.', 0)
cli.flags.DEFINE_integer('max_length', 64, 'Tokens of a text in training.', lower_bound=8)
cli.flags.DEFINE_integer('seed', 0, 'Of the training.', lower_bound=0)
cli.define_keep()
cli.define_json()


def main():
  flags = cli.FLAGS
  folder = _check(flags)

  from evaluation.subject import Subject
  from evaluation.vectors import sts
  from runtime import records
  from runtime.console import Console
  from tools.sweep import evaluations
  from training import load as loading

  directory = loading.flag()
  console, results, kept = Console(quiet=flags.json), {}, True
  model = loading.load(directory, step=flags.step)
  model.need_tokenizer()
  sts.files(Subject(model, folder, flags.task_limit, None, console.part))
  train = _trainer(directory, folder) if flags.groups else None
  for pooling in flags.tasks:
    pooled = model._replace(config=dataclasses.replace(model.config, pooling=pooling))
    trained = train(pooling) if train else pooled
    found = sts.run(Subject(trained, folder, flags.task_limit, None, console.part))['sts']
    name = evaluations.pooled(pooling, flags.objective if train else None)
    results[name] = found | dict(source=model.source, asked=cli.asked())
    kept = records.note_evaluations(directory, {name: results[name]}, keep=flags.keep)
    console.say(f'{name}: {found["value"]:.4f}  {found["unit"]}')
  if not kept:
    console.say(f'{directory} is no run, so nothing is kept in it: --json prints all.')
  if flags.json:
    print(json.dumps(results))


def _check(flags) -> Path:
  """Refuses flags that make no sense; returns the folder of the tasks."""
  if not flags.tasks or not flags.task_data:
    raise ConfigError('--tasks=POOLING,... and --task_data=FOLDER are needed.')
  for pooling in flags.tasks:
    if pooling not in names.poolings():
      raise ConfigError(f'--tasks: {pooling!r} is none of {", ".join(names.poolings())}.')
  known = [name for name, fact in names.objectives().items() if fact.ROWS == 'text_groups']
  if flags.objective not in known:
    raise ConfigError(f'--objective={flags.objective} is none of {", ".join(known)}.')
  folder = Path(flags.task_data).expanduser()
  if not folder.is_dir():
    raise DataError(f'--task_data={flags.task_data}: no such folder.')
  return folder


def _trainer(directory: Path, folder: Path) -> Callable:
  """A function pooling -> the model of `directory` after a training under it."""
  from runtime.console import Console
  from runtime.errors import Preempted
  from runtime.signals import Stop
  from training import load as loading
  from training import loop

  within = folder / cli.FLAGS.groups
  groups = str(within.absolute()) if within.exists() else cli.FLAGS.groups
  stop = Stop()

  def train(pooling: str):
    config = _config(directory, groups, pooling)
    with tempfile.TemporaryDirectory() as run:
      try:
        loop.train(config, Path(run) / 'run', stop=stop, console=Console(quiet=True))
      except Preempted as error:
        raise Preempted(f'stopped; what is not said of {pooling} is not kept') from error
      return loading.load(Path(run) / 'run')

  return train


def _config(directory: Path, groups: str, pooling: str):
  """What train.py would be given."""
  from configs.embed import sts
  from configs.schema import check
  from training import adopt

  flags, config = cli.FLAGS, sts.get_config()
  with config.unlocked():
    config.objectives = {flags.objective: 1.0}
  config.update(
    seed=flags.seed, steps=flags.steps, batch_size=flags.batch_size, init_from=str(directory)
  )
  config.data.update(groups=groups, sequence_length=flags.max_length)
  config.optimizer.learning_rate = flags.learning_rate
  config.validation.update(every=flags.steps, first=False)
  config.checkpoint.every = flags.steps
  config.log.tensorboard = False
  config = adopt.settle(config)
  with config.unlocked():
    config.model.pooling = pooling  # whatever the model says of itself
  check.check(config)
  return config.lock()


if __name__ == '__main__':
  cli.run(main, positional='weights')
