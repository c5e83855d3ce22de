"""Several seeds as one run: N states side by side, `jax.vmap` of the one step over them.

A seed decides the initial head (and trunk, where it is random), the order of the examples and
dropout. Parameters and moments have an axis N before their own. A batch has the first row of each
seed, then the second of each, and so on, so that devices share the rows of every seed. Each seed
trains as it would alone.
"""

from collections.abc import Callable, Sequence
import math
import statistics
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

# Of what a step measures: what is counted over all seeds. All else is a mean.
_COUNTED = ('tokens', 'predictions', 'mask_hash', 'skipped_updates')


def numbers(config) -> range:
  """The seeds of a run."""
  return range(config.seed, config.seed + config.finetune.seeds)


def name_of(seed: int) -> str:
  """What stands before the name of a number that is of one seed, as in seed_3/val/accuracy."""
  return f'seed_{seed}/'


def apart(batch, count: int):
  """The rows of each seed as arrays NxR..."""
  split = {name: x.reshape(-1, count, *x.shape[1:]) for name, x in batch.items()}
  return {name: x_RxNx.swapaxes(0, 1) for name, x_RxNx in split.items()}


def shardings(where):
  """Shardings of arrays that have the axis N before those of `where`."""
  return jax.tree.map(lambda each: NamedSharding(each.mesh, PartitionSpec(None, *each.spec)), where)


def one_of(params, index: int):
  """The parameters of one seed, from those of all."""
  return jax.jit(lambda every: jax.tree.map(lambda x: x[index], every))(params)


def repeated(values: dict[str, Any], like: dict[str, jax.Array]) -> dict[str, jax.Array]:
  """Arrays that are the same for all seeds, shaped and placed as those of `like`."""

  def repeat(every):
    return {name: jnp.broadcast_to(x, like[name].shape) for name, x in every.items()}

  where = {name: like[name].sharding for name in values}
  return jax.jit(repeat, out_shardings=where)(values)


def make_step(step_of: Callable[[Any], Callable], seeds: Sequence[int]) -> Callable:
  """The step of all seeds, from seed -> the step of one.

  Its metrics are those of one step: means over the seeds, and sums of what is counted. The loss of
  each seed stands beside them, and `finite` is of each seed.
  """
  seed_N = jnp.array(seeds, jnp.uint32)

  def train_step(state, batch):
    def of_one(seed, state, batch):
      return step_of(seed)(state, batch)

    state, measured = jax.vmap(of_one)(seed_N, state, apart(batch, len(seeds)))
    return state, _together(measured, seeds)

  return train_step


def _together(measured: dict[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
  """What a step says of all seeds, from arrays over N."""
  losses = {f'{name_of(seed)}train/loss': measured['train/loss'][n] for n, seed in enumerate(seeds)}
  found = {}
  for name, x in measured.items():
    if name == 'finite':
      found[name] = x
    elif name == 'skipped':
      found[name] = x.any()
    elif name in _COUNTED:
      found[name] = x.sum(dtype=x.dtype)
    else:
      found[name] = jax.tree.map(lambda each_Nx: each_Nx.mean(axis=0), x)
  return found | losses


def logged(split: str, found: list[dict[str, float]], seeds: Sequence[int]) -> dict[str, float]:
  """{val/NAME: mean over the seeds}; of several seeds also {seed_3/val/NAME: its own}.

  Args:
    split: val, what stands before the names.
    found: {name: score} of each seed.
  """
  means = {f'{split}/{name}': statistics.fmean(each[name] for each in found) for name in found[0]}
  if len(seeds) == 1:
    return means
  return means | {
    f'{name_of(seed)}{split}/{name}': value
    for seed, each in zip(seeds, found)
    for name, value in each.items()
  }


def spread(values: Sequence[float]) -> dict[str, Any]:
  """Mean, standard deviation (0 of one), lowest, highest, and the value of each seed."""
  return dict(
    mean=statistics.fmean(values),
    std=float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
    min=min(values),
    max=max(values),
    values=[*values],
  )


def summary(
  scores: dict[str, list[dict[str, float]]],
  seeds: Sequence[int],
  metric: str,
  majority: float,
) -> dict[str, Any]:
  """What result.json says of the seeds.

  A seed failed if its score on the validation split is not above that of the majority baseline;
  NaN never is.

  Args:
    scores: {split: [{name: score} of each seed]}; 'validation' is one of the splits.
    metric: the score that stands for the task.
    majority: that of the majority baseline on the validation split.
  """
  values = [each[metric] for each in scores['validation']]
  failed = [seed for seed, value in zip(seeds, values) if not value > majority]
  return dict(
    list=[*seeds],
    best=seeds[best_of(values)],
    metric=metric,
    failed=failed,
    failed_share=len(failed) / len(seeds),
    failed_means=f'validation {metric} is not above that of the majority baseline',
    **{
      split: {name: spread([each[name] for each in found]) for name in found[0]}
      for split, found in scores.items()
      if found[0]
    },
  )


def best_of(values: Sequence[float]) -> int:
  """Which value is the highest; of equal ones the first. NaN is below all."""
  finite = [-math.inf if math.isnan(value) else value for value in values]
  return finite.index(max(finite))
