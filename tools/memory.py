"""Peak memory of one training step: python -m tools.memory
--config=configs/gpt2_small.py --config.batch_size=8.

Compiles and runs one step on random tokens and prints what the compiler planned and what the
process took. `--config.loss_chunk` decides how many predictions have their V-wide logits at once,
so the step with whole logits is the same command with
`--config.loss_chunk` = batch_size x sequence_length.
"""

import json
import resource

from runtime import cli

cli.define_config()
cli.define_json()


def main():
  config = cli.FLAGS.config

  import jax

  from configs.schema import meshes
  from parallel import sharding
  from training.bare_step import build_step

  devices = sharding.find_devices(config.platform)
  meshes.check(config, len(devices), 1, devices[0].platform)
  mesh = sharding.make_mesh(config.mesh)
  with jax.set_mesh(mesh):
    run = build_step(config, mesh)
    batch = sharding.shard_batch(run.batch, mesh)
    planned = run.step.lower(run.abstract, batch).compile().memory_analysis()
    _, metrics = run.step(run.make(), batch)
    loss = float(metrics['train/loss'])
  results = dict(
    config=config.name,
    rows=config.batch_size,
    tokens_a_row=config.data.sequence_length,
    loss_chunk=config.loss_chunk,
    loss=loss,
    planned_temporary_bytes=planned.temp_size_in_bytes,
    planned_state_bytes=planned.argument_size_in_bytes,
    peak_process_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
  )
  if cli.FLAGS.json:
    print(json.dumps(results))
  else:
    for name, value in results.items():
      print(
        f'{name:<24} {value / 2**30:.2f} GiB' if name.endswith('bytes') else f'{name:<24} {value}'
      )


if __name__ == '__main__':
  cli.run(main)
