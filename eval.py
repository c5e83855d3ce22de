"""Scores a trained model on its validation set: python eval.py --workdir=DIR [--step=N] [--json]."""

import json

from configs import check, cli
from training.console import Console
from training.errors import StateError

cli.flags.DEFINE_string('workdir', None, 'The folder of a run of train.py.')
cli.flags.DEFINE_integer('step', None, 'Which checkpoint; the newest by default.')
cli.flags.DEFINE_bool('json', False, 'One JSON object instead of a table.')


def main():
  flags = cli.FLAGS
  if not flags.workdir:
    raise check.ConfigError('--workdir=DIR is missing: the folder of a run of train.py.')
  from etils import epath

  directory = epath.Path(flags.workdir)
  if not (directory / 'config.json').exists():
    raise StateError(f'{directory} holds no run: there is no config.json in it.')
  config = check.from_resolved(json.loads((directory / 'config.json').read_text()))

  import jax

  from evaluation import suite
  from training import sharding, workdir
  from training.assemble import assemble, load_params

  console = Console(quiet=flags.json)
  experiment = assemble(config, console.stage)
  prepared = experiment.prepared
  workdir.check_fingerprint(directory, dict(data=prepared.fingerprint, tokenizer=prepared.tokenizer.sha256))
  mesh = sharding.make_mesh(config.mesh)
  with jax.set_mesh(mesh):
    params, step = load_params(experiment, directory, mesh, step=flags.step, say=console.say)
    batches = experiment.validation(sharding.round_up(config.validation.batch_size, mesh))
    results = suite.run(
        experiment.network.apply, params, experiment.held_out, (batches[i] for i in range(len(batches))),
        seed=config.validation.seed, place=lambda batch: sharding.place(batch, mesh), report=prepared.report)
  if flags.json:
    print(json.dumps(dict(workdir=str(directory), step=step, config_sha256=check.config_hash(check.resolve(config)),
                          **results)))
  else:
    console.table(f'{config.name} at step {step:,}: {batches.rows:,} validation rows', suite.rows(results))


if __name__ == '__main__':
  cli.run(main)
