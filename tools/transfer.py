"""Scores of a fine-tuned run on its test splits, by how the checkpoint is chosen: python -m
tools.transfer --workdir=DIR

For a run with a task in several languages, as --config.data.task=wiki_topics:en+es+fr, and with
checkpoints that were kept (--config.checkpoint.every=50 --config.checkpoint.keep=20). The
checkpoint for a language is not chosen with examples of that language: `last` is the last one,
`source` the best one on the validation split, `averaged` has the mean of the parameters of all.
`oracle` is the best one on that very test split, which nobody has: what is above the others is
luck, and a paper that reports it reports luck (Keung et al. 2020; averaging: Schmidt et al. 2023).
"""

import json
import operator

from configs.schema.check import ConfigError
from runtime import cli, storage, workdir
from runtime.errors import StateError

cli.group('What is scored')
cli.flags.DEFINE_string('workdir', None, 'The workdir of a fine-tuned run.')
cli.define_json()


def main():
  flags = cli.FLAGS
  if not flags.workdir:
    raise ConfigError('--workdir=DIR is missing: the workdir of a fine-tuned run.')
  directory = storage.resolve_path(flags.workdir, '--workdir')
  config = workdir.read_config(directory)
  if not config.data.task or config.finetune.seeds > 1:
    raise ConfigError(
      f'--workdir={flags.workdir} is no run of one seed on a labelled task (config.data.task).'
    )

  from runtime.console import Console

  console = Console(quiet=flags.json)
  found = score(directory, config, console)
  storage.write_json(directory / 'transfer.json', found)
  if flags.json:
    print(json.dumps(found))
    return
  for split, chosen in found['chosen'].items():
    rows = {name: f'{value:.4f}' for name, value in chosen.items()}
    console.table(f'{found["metric"]} on {split}, {len(found["steps"])} checkpoints', rows)


def score(directory, config, console) -> dict:
  """What transfer.json holds: scores of every checkpoint, and the chosen ones, by split."""
  import jax

  from evaluation import examples
  from parallel import sharding
  from training import checkpoint
  from training.experiment import build_experiment
  from training.load import load_params

  config.mesh.update(data=-1, fsdp=1, tensor=1)
  config.checkpoint.best = ''
  experiment = build_experiment(config, console.stage)
  task, mesh = experiment.prepared.task, sharding.make_mesh(config.mesh)
  splits = [name for name in task.splits if name != 'train']
  metric = examples.headline(task)
  steps = [step for step in checkpoint.available(directory / 'checkpoints') if step]  # 0: untrained
  if not steps:
    raise StateError(f'--workdir={directory} has no checkpoint of a trained model: finish the run.')
  total, scores = None, []
  with jax.set_mesh(mesh):
    scorer = _make_scorer(experiment, mesh)
    for step in steps:
      params, _ = load_params(config, experiment.network, directory, mesh, step=step)
      total = params if total is None else jax.tree.map(operator.add, total, params)
      scores.append({split: scorer(params, split)[metric] for split in splits})
    mean = jax.tree.map(lambda x, like: (x / len(steps)).astype(like.dtype), total, params)
    averaged = {split: scorer(mean, split)[metric] for split in splits}
  best = max(range(len(steps)), key=lambda index: scores[index]['validation'])
  chosen = {
    split: dict(
      last=scores[-1][split],
      source=scores[best][split],
      averaged=averaged[split],
      oracle=max(each[split] for each in scores),
    )
    for split in splits
  }
  majority = {split: examples.baseline(task, split)[metric] for split in splits}
  return dict(metric=metric, steps=steps, scores=scores, chosen=chosen, majority=majority)


def _make_scorer(experiment, mesh):
  """A function (params, split) -> scores by name."""
  from evaluation import examples
  from parallel import sharding

  config, cell = experiment.config, experiment.cells[experiment.main]
  examine = examples.make_examiner(
    cell.apply,
    cell.held_out,
    shard=lambda batch: sharding.shard_batch(batch, mesh),
    to_host=sharding.to_host,
  )
  size, multiple = sharding.round_up(config.validation.batch_size, mesh), sharding.row_parts(mesh)

  def scorer(params, split: str) -> dict[str, float]:
    batches = experiment.validation(size, multiple=multiple, split=split)
    in_order = (batches[index] for index in range(len(batches)))
    said = examine(params, in_order, experiment.prepared, split)
    return examples.score(experiment.prepared.task, split, said.predicted)

  return scorer


if __name__ == '__main__':
  cli.run(main)
