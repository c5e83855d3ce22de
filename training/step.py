"""One update: corrupt, forward, backward over micro-batches, optimise; jitted as one program.

Three named parts: `cell_gradient` (of one cell's rows, summed over micro-batches), `apply_update`,
and the metrics. All are pure; `jit_step` compiles them.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from configs.schema import grid
from models.network import Network
from parallel.sharding import shardings
from runtime import compiler
from training import spikes, stacked
from training.gradient import CellStep, Measured, cell_gradient
from training.state import State


def make_state(
  network: Network,
  tx: optax.GradientTransformation,
  *,
  seeds: Sequence[int],
  batch,
  mesh,
  average: bool,
  skip: spikes.Rule | None = None,
):
  """(the abstract state at step 0, with shardings; a function that makes it where it will live).

  Args:
    seeds: one, or several whose states stand side by side (training/stacked.py).
    batch: abstract or real arrays with the shapes of a prepared batch; values are not used.
    average: whether to keep an exponential average of the parameters.
    skip: which updates are skipped, if any are.
  """

  def init(key):
    params = network.init(key, jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), batch))
    averaged = jax.tree.map(jnp.copy, params) if average else None
    seen = spikes.nothing_seen(skip) if skip else None
    return State(jnp.zeros((), jnp.int32), params, tx.init(params), averaged, seen)

  def make(key):
    return nn.unbox(init(key))

  key = jax.random.key(seeds[0])
  where = shardings(mesh, jax.eval_shape(init, key))
  if len(seeds) > 1:
    key = jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))
    where, make = stacked.shardings(where), jax.vmap(make)
  abstract = jax.tree.map(
    lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
    jax.eval_shape(make, key),
    where,
  )
  return abstract, lambda: jax.jit(make, out_shardings=where)(key)


def make_train_step(
  cells: Sequence[CellStep],
  tx: optax.GradientTransformation,
  schedule: Callable,
  *,
  seed: int,
  steps: int = 1,
  fixed_maskings: int = 0,
  accumulate: int = 1,
  average: float = 0.0,
  skip: spikes.Rule | None = None,
  tick: Callable | None = None,
) -> Callable:
  """The pure (state, batch, teacher=None) -> (state, metrics) of one update; see `jit_step`.

  `teacher` are the parameters of the frozen network whose outputs some objectives learn from.

  Denominators depend on the prepared batch and not on the parameters, so they are known before the
  first micro-batch, and micro-batches are summed. Every random draw belongs to a row of the global
  batch. So `accumulate` changes no gradient and no metric, with dropout on or off.

  Args:
    cells: those of this stage of the schedule; together their shares are the batch.
    steps: of the whole run, for what changes with its progress.
    fixed_maskings: `config.mlm.fixed_maskings`.
    accumulate: micro-batches an update; must divide the rows of each share.
    average: decay of the parameter average; 0 where the state has none.
    skip: which updates are skipped; None where the state remembers no spikes.
    tick: called on the host with the number of each micro-batch that is done.

  Returns:
    A function whose metrics are scalars: train/loss, train/<objective>_loss and _accuracy (behind
    the cell's name, where there are several), tokens, predictions, mask_hash, norms, learning_rate,
    finite; with `skip`, skipped and skipped_updates so far; and block_gradient_norm, a tree by part
    of the network. If anything is not finite the state keeps its parameters.
  """

  def train_step(state: State, batch, teacher=None):
    _, dropout_key = step_keys(seed, state.step)
    parts, means = [], {}
    for cell in cells:
      rows = prepare(
        cell, batch, seed=seed, step=state.step, steps=steps, fixed_maskings=fixed_maskings
      )
      part, cell_means = cell_gradient(
        cell, state.params, rows, dropout_key, accumulate, tick, teacher
      )
      parts.append(part)
      means |= _named(cell_means, '' if len(cells) == 1 else f'{cell.share.cell}/')
    measured = functools.reduce(lambda one, other: jax.tree.map(jnp.add, one, other), parts)
    new, updates = apply_update(state, measured.gradient, tx, average)
    metrics = _metrics(state, batch, measured, updates) | means
    metrics['learning_rate'] = schedule(state.step)
    accepted, seen = metrics['finite'], state.spikes
    if skip:
      skipped, seen = spikes.judge(skip, seen, metrics['gradient_norm'])
      accepted &= ~skipped
      metrics |= dict(skipped=skipped, skipped_updates=seen.skipped)
    kept = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), new, state)
    return dataclasses.replace(kept, step=state.step + 1, spikes=seen), metrics

  return train_step


def jit_step(train_step: Callable, mesh) -> Callable:
  """The step as one compiled program that reuses the memory of the state that it is given."""
  return jax.jit(train_step, donate_argnums=0, compiler_options=compiler.options(mesh))


def prepare(cell: CellStep, batch, *, seed: int, step, steps: int, fixed_maskings: int):
  """A cell's rows as its network reads them at a step: a pure function of what a run records.

  Masks are drawn by a row's number in the global batch; with fixed maskings by which row of the
  corpus it is and by the epoch, modulo `fixed_maskings`. The number stays with the rows as `row`.
  """
  rows = {name: _own(x_Bx, cell.share) for name, x_Bx in batch.items()}
  rows['row'] = _own(jnp.arange(batch['token'].shape[0]), cell.share)
  if fixed_maskings:
    key = jax.random.key(seed)
    index_B = rows['id'] * fixed_maskings + rows['epoch'] % fixed_maskings
  else:
    key, _ = step_keys(seed, step)
    index_B = rows['row']
  return cell.objective.prepare(key, rows, index_B, step / max(1, steps - 1))


def apply_update(
  state: State, gradient, tx: optax.GradientTransformation, average: float
) -> tuple[State, Any]:
  """(the state with new parameters, moments and average at the same step, the updates)."""
  updates, opt_state = tx.update(gradient, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  averaged = state.average
  if average:
    averaged = jax.tree.map(lambda old, new: average * old + (1 - average) * new, averaged, params)
  new = dataclasses.replace(state, params=params, opt_state=opt_state, average=averaged)
  return new, updates


def step_keys(seed: int, step) -> tuple[jax.Array, jax.Array]:
  """(key of corruption, key of dropout) of a step; rows fold in their numbers."""
  masking_key, dropout_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), step))
  return masking_key, dropout_key


def _named(means: dict[str, dict[str, jax.Array]], before: str) -> dict[str, jax.Array]:
  """{mlm: {loss: x}} as {train/mlm_loss: x}."""
  return {
    f'train/{before}{name}_{kind}': value
    for name, kinds in means.items()
    for kind, value in kinds.items()
  }


def _metrics(state: State, batch, measured: Measured, updates) -> dict[str, Any]:
  gradient_norm = optax.global_norm(measured.gradient)
  return {
    'train/loss': measured.loss,
    'tokens': (batch['segment'] > 0).sum(),
    'predictions': measured.predictions,
    'mask_hash': measured.mask_hash,
    'gradient_norm': gradient_norm,
    'update_norm': optax.global_norm(updates),
    'parameter_norm': optax.global_norm(state.params),
    'finite': jnp.isfinite(measured.loss) & jnp.isfinite(gradient_norm),
    'block_gradient_norm': block_norms(measured.gradient),
  }


def _own(x_Bx, share: grid.BatchShare):
  """The rows of a share; every period has some, so that they stay on the devices that hold them."""
  if share.period == 1:
    return x_Bx
  B = x_Bx.shape[0]
  grouped_NxMx = x_Bx.reshape(B // share.period, share.period, *x_Bx.shape[1:])
  own_NxMx = grouped_NxMx[:, share.first : share.first + share.share]
  return own_NxMx.reshape(B // share.period * share.share, *x_Bx.shape[1:])


def block_norms(gradient) -> dict[str, jax.Array]:
  """Gradient norm of each part of the network; of each layer (L) for the stacked blocks."""
  norms = {name: optax.global_norm(part) for name, part in gradient.items() if name != 'trunk'}
  trunk = dict(gradient['trunk'])
  blocks = trunk.pop('blocks')
  # No reshape: it would bring the parts of a gradient that devices hold together.
  squares = [
    jnp.square(x.astype(jnp.float32)).sum(axis=tuple(range(1, x.ndim)))
    for x in jax.tree.leaves(blocks)
  ]
  if blocks['attention']['query']['kernel'].ndim == 3:  # shared layers are not stacked
    norms['blocks'] = optax.global_norm(blocks)
  else:
    L = max(map(len, squares))  # a first layer may lack its norm
    norms['blocks'] = jnp.sqrt(sum(jnp.pad(square, (L - len(square), 0)) for square in squares))
  return norms | {name: optax.global_norm(part) for name, part in trunk.items()}
