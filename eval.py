"""Scores a trained model on its validation set: python eval.py --workdir=runs/mine

--tasks=blimp,... asks for more, before that; --task_data=FOLDER holds the files of the tasks, as
blimp/BLiMP.zip, or else TensorFlow Datasets are asked; --task_limit=N takes N pairs of each
paradigm. --score names the kind of likelihood (docs/evaluation.md). What tasks find is merged into
DIR/evaluations.json. With --tasks, DIR may also hold a model without a run: what tools.convert
wrote, into which nothing is written without --keep, or a Hugging Face directory.
--results=FOLDER gets what sts, retrieval, pairs and rerank found once more, a JSON file a task, as
mteb writes it.
"""

if __name__ == '__main__':  # before the imports below, which take a second
  from runtime import interrupt

  interrupt.guard()

import json
from os import PathLike
from pathlib import Path
import time

from configs.schema import check, meshes
from data.errors import DataError
from runtime import cli, storage
from runtime.console import Console

cli.group('What is scored')
cli.define_weights('The workdir of a run; with --tasks also a Hugging Face directory.')
cli.flags.DEFINE_string(
  'claim', None, 'Instead: does a published number hold? FILE or FILE:ID of claims/, or all.'
)
cli.define_step()
cli.define_json()
cli.group('Tasks')
cli.define_keep()
cli.flags.DEFINE_list(
  'tasks', [], 'What to evaluate besides the validation set, names of evaluation/tasks.py.'
)
cli.flags.DEFINE_string(
  'task_data', None, 'The folder with the files of the tasks; TensorFlow Datasets by default.'
)
cli.flags.DEFINE_integer(
  'task_limit', 0, 'Examples of a task (blimp: pairs of a paradigm); 0 = all.', lower_bound=0
)
cli.flags.DEFINE_string(
  'results', None, 'A folder for TASK.json of mteb: of sts, retrieval, pairs and rerank.'
)
cli.flags.DEFINE_string(
  'score', None, 'causal, prefix, pll, pll_word or mntp; what fits the model by default.'
)


def main():
  flags = cli.FLAGS
  if flags.claim:
    from tools.claims import measure

    return measure.answer(flags.claim, flags.weights, as_json=flags.json)
  if not flags.weights:
    raise check.ConfigError('--workdir=DIR is missing: the folder of a run of train.py.')
  directory = storage.resolve_path(flags.weights)
  if flags.task_data and not Path(flags.task_data).expanduser().is_dir():
    raise DataError(f'--task_data={flags.task_data}: no such folder.')
  if flags.results and (flags.task_limit or not flags.tasks):
    raise check.ConfigError(
      '--results says what whole --tasks found: it needs them, and no --task_limit.'
    )
  console = Console(quiet=flags.json)
  result = dict(workdir=flags.weights)
  if flags.tasks:
    result['tasks'] = examine(directory, console)
  if not flags.tasks or (directory / 'checkpoints').exists():
    result |= validate(directory, console)
  if flags.json:
    print(json.dumps(result))


def examine(directory: PathLike, console: Console) -> dict[str, dict]:
  """Runs the tasks that are asked for, and keeps what each found as soon as it is found."""
  flags = cli.FLAGS

  from evaluation import tasks
  from evaluation.subject import Subject
  from runtime import records
  from training import load as loading

  tasks.check(flags.tasks)
  model = loading.load(directory, step=flags.step)
  model.need_tokenizer()
  folder = Path(flags.task_data).expanduser() if flags.task_data else None
  subject = Subject(model, folder, flags.task_limit, flags.score, console.part)
  tasks.check_files(flags.tasks, subject)
  results = {}
  try:
    for name in flags.tasks:
      started = time.monotonic()
      said = dict(source=model.source, asked=cli.asked())
      found = {key: value | said for key, value in tasks.TASKS[name](subject).items()}
      results |= found
      kept = records.note_evaluations(directory, found, keep=flags.keep)
      if flags.results:
        write_results(found, time.monotonic() - started)
  finally:  # what is done is shown, whatever became of the next
    if results:
      console.table(model.source, tasks.rows(results))
  if not kept:
    console.say(f'{directory} is no run, so nothing is kept in it: --json prints all.')
  return results


def write_results(found: dict[str, dict], seconds: float):
  """Writes FOLDER/TASK.json of --results for each task that mteb has a form for."""
  from evaluation.vectors import leaderboard

  folder = storage.resolve_path(cli.FLAGS.results, '--results')
  folder.mkdir(parents=True, exist_ok=True)
  for name, result in leaderboard.results(found, seconds).items():
    storage.write_json(folder / f'{name}.json', result)


def validate(directory: PathLike, console: Console) -> dict:
  """Scores the validation set of a run."""
  flags = cli.FLAGS

  import jax  # takes seconds: only now that the flags are known to be good

  from evaluation import validation
  from parallel import sharding
  from runtime import workdir
  from training.experiment import build_experiment
  from training.load import load_params

  config = workdir.read_config(directory)
  config_sha256 = check.config_hash(check.resolve(config))
  try:
    meshes.sizes(config.mesh, len(sharding.find_devices()))
  except ValueError:
    # the devices here need not be those of the training
    config.mesh.update(data=-1, fsdp=1, tensor=1)

  experiment = build_experiment(config, console.stage)
  prepared = experiment.prepared
  workdir.check_fingerprint(
    directory, dict(data=prepared.fingerprint, tokenizer=prepared.tokenizer.sha256)
  )
  mesh = sharding.make_mesh(config.mesh)
  with jax.set_mesh(mesh):
    params, step = load_params(config, experiment.network, directory, mesh, step=flags.step)
    if experiment.labelled:
      found = score_splits(experiment, params, mesh, console, step)
      return dict(step=step, config_sha256=config_sha256, **found)
    size = sharding.round_up(config.validation.batch_size, mesh)
    evaluate = validation.make_evaluator(
      experiment.network.apply,
      experiment.held_out,
      seed=config.validation.seed,
      shard=lambda batch: sharding.shard_batch(batch, mesh),
    )
    report = prepared.report
    parts = {
      name: validation.Part(iter_batches(experiment.validation(size, part=name)), text)
      for name, text in experiment.validation_texts.items()
    }
    results = evaluate(params, parts)
  if 'bits_per_byte' in results:
    lost = report['validation']['lost_bytes']
    results['text'] = validation.described_text(report['normalised'], lost)
  if 'unigram_entropy' in report:  # text groups have none
    results['unigram_entropy'] = report['unigram_entropy']
  results['validation_sha256'] = report['validation']['sha256']
  console.table(
    f'{config.name} at step {step:,}: {experiment.validation(1).rows:,} validation rows',
    validation.rows(results, experiment.held_out.units),
  )
  return dict(step=step, config_sha256=config_sha256, **results)


def iter_batches(batches):
  """Every batch of a split that is read in order."""
  return (batches[index] for index in range(len(batches)))


def score_splits(experiment, params, mesh, console: Console, step: int) -> dict[str, dict]:
  """{split: scores} of a fine-tuned run, as its result.json has them.

  The lead from which a question has no answer is chosen on the validation, as there.
  """
  from evaluation import examples, questions
  from parallel import sharding

  config, prepared = experiment.config, experiment.prepared
  task = prepared.task
  cell = experiment.cells[experiment.main]
  examine = examples.make_examiner(
    cell.apply,
    cell.held_out,
    shard=lambda batch: sharding.shard_batch(batch, mesh),
    to_host=sharding.to_host,
    n_best=config.finetune.n_best,
    longest_answer=config.finetune.longest_answer,
  )
  null, threshold = task.kind == 'question' and questions.may_be_null(task), None
  size, multiple = sharding.round_up(config.validation.batch_size, mesh), sharding.row_parts(mesh)
  found = {}
  for split in [name for name in task.splits if name != 'train']:
    batches = experiment.validation(size, multiple=multiple, split=split)
    every_batch = (batches[index] for index in range(len(batches)))
    said = examine(params, every_batch, prepared, split)
    if null and split == 'validation':
      threshold = questions.choose_threshold(task, split, said.predicted)
    found[split] = dict(loss=said.loss) | examples.score(task, split, said.predicted, threshold)
    rows = {name: f'{value:.4f}' for name, value in found[split].items()}
    console.table(f'{config.name} at step {step:,}: {batches.rows:,} examples of {split}', rows)
  return found


if __name__ == '__main__':
  cli.run(main)
