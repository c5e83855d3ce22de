"""A config's training step without its corpus: for planning, for memory, for benches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from configs.schema import grid
from models.config import ModelConfig
from models.network import example_batch, make_network
from objectives.corrupt import Masking
from objectives.mix import heads_of, make_objective
from objectives.projection import Setup
from runtime import compiler
from training.optimizer import make_optimizer
from training.step import Work, make_state, make_train_step


class Bare(NamedTuple):
  """What `train.py` would jit, with nothing read from a disk.

  Attributes:
    abstract: the state at step 0 as ShapeDtypeStructs with shardings.
    make: makes that state.
    step: jitted and donating, (state, batch) -> (state, metrics).
    batch: one global batch of random ordinary tokens, no padding, as numpy arrays.
  """

  abstract: Any
  make: Callable[[], Any]
  step: Callable
  batch: dict[str, np.ndarray]


def bare(config, mesh) -> Bare:
  """The first stage of a config's run at its full sequence length.

  Args:
    config: checked by `configs.schema.check`; `accumulate` 0 counts as 1.
    mesh: its devices need not be there
      (jax.experimental.topologies), unless something is made or run.
  """
  B, T, V = config.batch_size, config.data.sequence_length, config.model.vocab_size
  masking = Masking(**config.mlm.to_dict())
  heads = heads_of({name for cell in grid.trained(config) for name in cell.names})
  packed = not grid.paired(config)
  model = ModelConfig(**config.model.to_dict())

  def work(part: grid.Part) -> Work:
    setup = Setup(
      jnp.zeros(V, bool),
      jnp.ones(V, bool),
      0,
      masking,
      config.loss_chunk,
      prefix=part.cell.mask == 'prefix',
    )
    network = make_network(model, mask=part.cell.mask, packed=packed, heads=heads)
    return Work(part, network.apply, make_objective(dict(part.cell.weights), setup))

  tx, schedule = make_optimizer(config.optimizer, config.steps)
  network = make_network(model, mask=config.mask, packed=packed, heads=heads)
  abstract, make = make_state(
    network,
    tx,
    seed=config.seed,
    mesh=mesh,
    average=bool(config.optimizer.average),
    batch=example_batch(1, T, masking.predictions(T)),
  )
  step = make_train_step(
    [work(part) for part in grid.stages(config)[0].parts],
    tx,
    schedule,
    seed=config.seed,
    steps=config.steps,
    fixed_maskings=config.mlm.fixed_maskings,
    accumulate=max(1, config.accumulate),
    average=config.optimizer.average,
    options=compiler.options(mesh),
  )
  random = np.random.default_rng(0)
  return Bare(
    abstract,
    make,
    step,
    dict(
      token=random.integers(0, V, (B, T), np.int32),
      segment=np.ones((B, T), np.int32),
      type=np.zeros((B, T), np.int32),
      label=np.zeros(B, np.int32),
      id=np.arange(B, dtype=np.int32),
      epoch=np.zeros(B, np.int32),
    ),
  )
