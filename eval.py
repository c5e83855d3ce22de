"""Scores a trained model on its validation set: python eval.py --workdir=DIR [--step=N] [--json]."""

import json

from configs import check, cli
from training.console import Console

cli.flags.DEFINE_string('workdir', None, 'The folder of a run of train.py.')
cli.flags.DEFINE_string('claim', None, 'Instead: does a published number hold? FILE or FILE:ID of claims/, or all.')
cli.flags.DEFINE_integer('step', None, 'Which checkpoint; the newest by default.')
cli.flags.DEFINE_bool('json', False, 'One JSON object instead of a table.')


def main():
  flags = cli.FLAGS
  if flags.claim:
    from tools import claims
    return claims.answer(flags.claim, flags.workdir, as_json=flags.json)
  if not flags.workdir:
    raise check.ConfigError('--workdir=DIR is missing: the folder of a run of train.py.')
  directory = flags.workdir

  import jax  # takes seconds: only now that the flags are known to be good

  from evaluation import suite
  from training import sharding, workdir
  from training.assemble import assemble, load_params

  config = workdir.read_config(directory)
  config_sha256 = check.config_hash(check.resolve(config))
  if len(sharding.find_devices()) % (config.mesh.fsdp * config.mesh.tensor):
    config.mesh.update(fsdp=1, tensor=1)  # the devices here need not be those of the training
  config.mesh.data = -1

  console = Console(quiet=flags.json)
  experiment = assemble(config, console.stage)
  prepared = experiment.prepared
  workdir.check_fingerprint(directory, dict(data=prepared.fingerprint, tokenizer=prepared.tokenizer.sha256))
  mesh = sharding.make_mesh(config.mesh)
  with jax.set_mesh(mesh):
    params, step = load_params(config, experiment.network, directory, mesh, step=flags.step)
    batches = experiment.validation(sharding.round_up(config.validation.batch_size, mesh))
    results = suite.run(
        experiment.network.apply, params, experiment.held_out, (batches[i] for i in range(len(batches))),
        seed=config.validation.seed, place=lambda batch: sharding.place(batch, mesh), report=prepared.report)
  if flags.json:
    print(json.dumps(dict(workdir=directory, step=step, config_sha256=config_sha256, **results)))
  else:
    console.table(f'{config.name} at step {step:,}: {batches.rows:,} validation rows', suite.rows(results))


if __name__ == '__main__':
  cli.run(main)
