"""A whole training in sixty lines: network, objective, optimiser, step, and nothing else.

  python examples/train_in_60_lines.py [bidirectional|causal]

Learns to continue (causal, CLM) or to complete (bidirectional, MLM) rows that count upwards. The
loop of train.py adds data, validation, checkpoints and logs around the same step.
"""

import argparse

import jax
import numpy as np

from configs import base
from configs.schema import check, grid
from objectives.term import Vocabulary
from parallel import sharding
from training.experiment import build, make_run_state
from training.step import jit_step

T, V, STEPS = 32, 64, 150


def config_of(mask: str):
  """The smallest network that learns it; every other knob has its default."""
  config = base.get_config()
  with config.unlocked():
    config.objectives = {'clm': 1.0} if mask == 'causal' else {'mlm': 1.0}
  config.update(name='counting', mask=mask, steps=STEPS, batch_size=16)
  config.data.sequence_length = T
  shape = dict(vocab_size=V, layers=2, width=64, heads=4, feed_forward=128, max_length=T)
  config.model.update(**shape, dropout=0.0, attention_dropout=0.0, positions='rotary')
  config.optimizer.update(learning_rate=3e-3, warmup_steps=20)
  check.check(config)
  return config


def batch_of(step: int) -> dict[str, np.ndarray]:
  """Rows that count upwards from somewhere: a pure function of the step."""
  first_Bx1 = np.random.default_rng(step).integers(1, V, (16, 1))
  token_BxT = (first_Bx1 + np.arange(T)).astype(np.int32) % (V - 1) + 1
  return dict(token=token_BxT, segment=np.ones_like(token_BxT), type=np.zeros_like(token_BxT))


def main(mask: str) -> float:
  config = config_of(mask)
  experiment = build(config, Vocabulary.any_of(V))
  mesh = sharding.make_mesh(config.mesh)
  with jax.set_mesh(mesh):
    _, make_state, optimizer, schedule = make_run_state(config, experiment.network, mesh)
    stage = grid.stages(config)[0]
    step = jit_step(experiment.train_step(stage, optimizer, schedule, accumulate=1), mesh)
    state = make_state()
    for number in range(STEPS):
      state, metrics = step(state, sharding.shard_batch(batch_of(number), mesh))
      if number % 25 == 0 or number == STEPS - 1:
        print(f'step {number:3}  loss {float(metrics["train/loss"]):.4f} nats a prediction')
  return float(metrics['train/loss'])


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('mask', nargs='?', choices=['bidirectional', 'causal'], default='causal')
  main(parser.parse_args().mask)
