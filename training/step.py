"""One update: corrupt, forward, backward over micro-batches, optimise; jitted as one program."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from configs.schema import grid
from models.network import Network
from objectives.mix import Objective
from parallel.sharding import shardings
from training.state import State


def make_state(
  network: Network, tx: optax.GradientTransformation, *, seed: int, batch, mesh, average: bool
):
  """(the state at step 0 in the abstract, with shardings; a
  function that makes it, born where it will live).

  Args:
    batch: abstract or real arrays with the shapes of a prepared batch; values are not used.
    average: whether to keep an exponential average of the parameters.
  """

  def init(key):
    params = network.init(key, jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), batch))
    return State(
      jnp.zeros((), jnp.int32),
      params,
      tx.init(params),
      jax.tree.map(jnp.copy, params) if average else None,
    )

  key = jax.random.key(seed)
  boxed = jax.eval_shape(init, key)
  where = shardings(mesh, boxed)
  abstract = jax.tree.map(
    lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
    nn.unbox(boxed),
    where,
  )
  return abstract, lambda: jax.jit(lambda key: nn.unbox(init(key)), out_shardings=where)(key)


class Work(NamedTuple):
  """A cell at work in a step: which rows are its own, and how they are read and scored."""

  part: grid.Part
  apply: Callable
  objective: Objective


def make_train_step(
  works: Sequence[Work],
  tx: optax.GradientTransformation,
  schedule: Callable,
  *,
  seed: int,
  steps: int = 1,
  fixed_maskings: int = 0,
  accumulate: int = 1,
  average: float = 0.0,
  tick: Callable | None = None,
  nan_at: int | None = None,
  options: dict | None = None,
) -> Callable:
  """The jitted, donating (state, batch) -> (state, metrics).

  Denominators depend on the prepared batch and not on the parameters, so they are known before the
  first micro-batch and micro-batches are summed: `accumulate` does not change the gradient. Nor do
  cells that share a batch meet: each counts by its share of the rows.

  Args:
    works: the cells of this stage of the schedule; together their parts are the batch.
    steps: of the whole run, for what changes with its progress.
    fixed_maskings: `config.mlm.fixed_maskings`.
    accumulate: micro-batches an update; must divide the rows of each part.
    average: decay of the parameter average; 0 where the state has none.
    tick: called on the host with the number of each micro-batch that is done.
    nan_at: for tests: the step whose loss becomes NaN.
    options: of the compiler, as `runtime.compiler.options` gives them.

  Returns:
    A function whose metrics are scalars: train/loss, train/<objective>_loss and _accuracy (behind
    the cell's name, where there are several), tokens, predictions, mask_hash, norms, learning_rate,
    finite; and block_gradient_norm, a tree by part of the network. If
    anything is not finite the state keeps its parameters.
  """

  def train_step(state: State, batch):
    _, dropout_key = _keys(seed, state.step)

    def measure(number, work):
      prepared = prepare(
        work, batch, seed=seed, step=state.step, steps=steps, fixed_maskings=fixed_maskings
      )
      counted = work.objective.counts(prepared)
      counts = {name: jnp.maximum(count, 1) for name, count in counted.items()}
      share = work.part.share / work.part.period

      def loss_of(params, micro, index):
        key = jax.random.fold_in(dropout_key, number * accumulate + index)
        terms = work.objective.terms(work.apply(params, micro, key), micro)
        means = {
          name: {kind: term.total / counts[name] for kind, term in parts.items()}
          for name, parts in terms.items()
        }
        loss = share * sum(
          weight * means[name]['loss'] for name, weight in work.objective.weights.items()
        )
        if nan_at is not None:
          loss *= jnp.where(state.step == nan_at, jnp.nan, 1.0)
        return loss, means

      loss, means, gradient = _summed(loss_of, state.params, prepared, accumulate, tick)
      under = '' if len(works) == 1 else f'{work.part.cell}/'
      means = {
        f'train/{under}{name}_{kind}': value
        for name, kinds in means.items()
        for kind, value in kinds.items()
      }
      predictions = sum(count for name, count in counted.items() if name not in grid.PAIRED)
      return dict(
        loss=loss, gradient=gradient, predictions=predictions, mask_hash=mask_hash(prepared)
      ), means

    sums, means = measure(0, works[0])
    for number, work in enumerate(works[1:], start=1):
      more, more_means = measure(number, work)
      sums, means = jax.tree.map(jnp.add, sums, more), means | more_means
    loss, gradient = sums['loss'], sums['gradient']
    gradient_norm = optax.global_norm(gradient)
    finite = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
    updates, opt_state = tx.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    averaged = state.average
    if average:
      averaged = jax.tree.map(
        lambda old, new: average * old + (1 - average) * new, averaged, params
      )
    new = State(state.step, params, opt_state, averaged)
    new = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
    metrics = {
      'train/loss': loss,
      **means,
      'tokens': (batch['segment'] > 0).sum(),
      'predictions': sums['predictions'],
      'mask_hash': sums['mask_hash'],
      'learning_rate': schedule(state.step),
      'gradient_norm': gradient_norm,
      'update_norm': optax.global_norm(updates),
      'parameter_norm': optax.global_norm(state.params),
      'finite': finite,
      'block_gradient_norm': block_norms(gradient),
    }
    return State(state.step + 1, new.params, new.opt_state, new.average), metrics

  return jax.jit(train_step, donate_argnums=0, compiler_options=options)


def prepare(work: Work, batch, *, seed: int, step, steps: int, fixed_maskings: int):
  """The rows of a part as its network reads them at a step: a pure function of what a run records.

  What a row hides is drawn by its place in the global batch; with static masking by which row it
  is, and by how often it was read before, modulo `fixed_maskings`.
  """
  index_B = _own(jnp.arange(batch['token'].shape[0]), work.part)
  rows = {name: _own(x_Bx, work.part) for name, x_Bx in batch.items()}
  if fixed_maskings:
    key = jax.random.key(seed)
    index_B = rows['id'] * fixed_maskings + rows['epoch'] % fixed_maskings
  else:
    key, _ = _keys(seed, step)
  return work.objective.prepare(key, rows, index_B, step / max(1, steps - 1))


def _keys(seed: int, step):
  """(key of what is hidden, key of dropout) of a step."""
  return jax.random.split(jax.random.fold_in(jax.random.key(seed), step))


def mask_hash(prepared) -> jax.Array:
  """uint32 that depends on what of which row is hidden or read from
  both sides; for a certificate, not for secrets.
  """
  total = jnp.uint32(0)
  for number, name in enumerate(('mlm_position', 'mlm_weight', 'prefix')):
    if name in prepared:
      x_BxP = prepared[name]
      value_BxP = (x_BxP.astype(jnp.uint32) + jnp.uint32(number + 1)) * jnp.uint32(2654435761)
      place_BxP = jnp.arange(x_BxP.size, dtype=jnp.uint32).reshape(x_BxP.shape)
      mixed_BxP = (value_BxP ^ (value_BxP >> 15)) * (2 * place_BxP + 1)
      total += (mixed_BxP ^ (mixed_BxP >> 13)).sum(dtype=jnp.uint32)
  return total


def _own(x_Bx, part: grid.Part):
  """The rows of a part; every period has some, so that they stay on the devices that hold them."""
  if part.period == 1:
    return x_Bx
  B = x_Bx.shape[0]
  grouped_NxMx = x_Bx.reshape(B // part.period, part.period, *x_Bx.shape[1:])
  own_NxMx = grouped_NxMx[:, part.first : part.first + part.share]
  return own_NxMx.reshape(B // part.period * part.share, *x_Bx.shape[1:])


def _summed(loss_of: Callable, params, batch, accumulate: int, tick: Callable | None):
  """(loss, means, gradient) of a batch, the sum over its micro-batches."""

  def gradient_of(index, micro):
    (loss, means), gradient = jax.value_and_grad(loss_of, has_aux=True)(params, micro, index)
    return loss, means, gradient

  if accumulate == 1:
    return gradient_of(0, batch)
  micros = jax.tree.map(lambda x: _micro_batches(x, accumulate), batch)

  def add(sums, numbered):
    index, micro = numbered
    sums = jax.tree.map(jnp.add, sums, gradient_of(index, micro))
    if tick is not None:
      jax.debug.callback(tick, index)
    return sums, None

  first = jax.tree.map(lambda x: x[0], micros)
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gradient_of, 0, first))
  return jax.lax.scan(add, zeros, (jnp.arange(accumulate), micros))[0]


def _micro_batches(x_Bx, accumulate: int):
  """B... as AxB/A..., taking every A-th row, so that rows stay on the devices that hold them."""
  B = x_Bx.shape[0]
  return jnp.moveaxis(x_Bx.reshape(B // accumulate, accumulate, *x_Bx.shape[1:]), 1, 0)


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
  shared = len({len(square) for square in squares}) > 1  # shared layers are not stacked
  norms['blocks'] = optax.global_norm(blocks) if shared else jnp.sqrt(sum(squares))
  return norms | {name: optax.global_norm(part) for name, part in trunk.items()}
