"""Peak memory of one training step: python -m tools.memory --config=configs/gpt2_small.py --config.batch_size=8.

Compiles and runs one step on random tokens and prints what the compiler planned and what the process took.
`--config.loss_chunk` decides how many predictions have their V-wide logits at once, so the step with whole
logits is the same command with `--config.loss_chunk` = batch_size x sequence_length.
"""

import json
import resource

from configs import cli

cli.define_config()
cli.flags.DEFINE_bool('json', False, 'One JSON object instead of lines.')


def main():
  config = cli.FLAGS.config

  import jax
  import jax.numpy as jnp
  import numpy as np

  from configs import cells
  from models.config import ModelConfig
  from models.network import example_batch, make_network
  from objectives.corrupt import Masking
  from objectives.mix import make_objective
  from objectives.terms import Setup
  from training import sharding
  from training.optimizer import make_optimizer
  from training.step import Work, make_state, make_train_step

  B, T, V = config.batch_size, config.data.sequence_length, config.model.vocab_size
  masking = Masking(**config.mlm.to_dict())
  setup = Setup(jnp.zeros(V, bool), jnp.ones(V, bool), 0, masking, config.loss_chunk)
  objective = make_objective(config.objectives.to_dict(), setup)
  network = make_network(ModelConfig(**config.model.to_dict()), mask=config.mask, packed='nsp' not in objective.weights,
                         heads=objective.heads)
  tx, schedule = make_optimizer(config.optimizer, config.steps)
  mesh = sharding.make_mesh(config.mesh)
  random = np.random.default_rng(0)
  batch = dict(token=random.integers(0, V, (B, T), np.int32), segment=np.ones((B, T), np.int32),
               type=np.zeros((B, T), np.int32), label=np.zeros(B, np.int32))
  with jax.set_mesh(mesh):
    abstract, make = make_state(network, tx, seed=config.seed, mesh=mesh, average=False,
                                batch=example_batch(1, T, masking.predictions(T)))
    whole = cells.Part(cells.main_cell(config), 0, 1, 1)
    step = make_train_step([Work(whole, network.apply, objective)], tx, schedule, seed=config.seed,
                           accumulate=max(1, config.accumulate))
    batch = sharding.place(batch, mesh)
    planned = step.lower(abstract, batch).compile().memory_analysis()
    _, metrics = step(make(), batch)
    loss = float(metrics['train/loss'])
  results = dict(
      config=config.name, rows=B, tokens_a_row=T, loss_chunk=config.loss_chunk, loss=loss,
      planned_temporary_bytes=planned.temp_size_in_bytes, planned_state_bytes=planned.argument_size_in_bytes,
      peak_process_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
  if cli.FLAGS.json:
    print(json.dumps(results))
  else:
    for name, value in results.items():
      print(f'{name:<24} {value / 2**30:.2f} GiB' if name.endswith('bytes') else f'{name:<24} {value}')


if __name__ == '__main__':
  cli.run(main)
