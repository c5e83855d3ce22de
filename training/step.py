"""One update: corrupt, forward, backward over micro-batches, optimise; jitted as one program."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from models.network import Network
from objectives.mix import Objective
from training.sharding import shardings
from training.state import State


def make_state(network: Network, tx: optax.GradientTransformation, *, seed: int, batch, mesh, average: bool):
  """(the state at step 0 in the abstract, with shardings; a function that makes it, born where it will live).

  Args:
    batch: abstract or real arrays with the shapes of a prepared batch; values are not used.
    average: whether to keep an exponential average of the parameters.
  """

  def init(key):
    params = network.init(key, jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), batch))
    return State(jnp.zeros((), jnp.int32), params, tx.init(params),
                 jax.tree.map(jnp.copy, params) if average else None)

  key = jax.random.key(seed)
  boxed = jax.eval_shape(init, key)
  where = shardings(mesh, boxed)
  abstract = jax.tree.map(lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
                          nn.unbox(boxed), where)
  return abstract, lambda: jax.jit(lambda key: nn.unbox(init(key)), out_shardings=where)(key)


def make_train_step(apply: Callable, tx: optax.GradientTransformation, schedule: Callable, objective: Objective,
                    *, seed: int, accumulate: int = 1, average: float = 0.0,
                    tick: Callable | None = None, nan_at: int | None = None) -> Callable:
  """The jitted, donating (state, batch) -> (state, metrics).

  Denominators depend on the prepared batch and not on the parameters, so they are known before the first
  micro-batch and micro-batches are summed: `accumulate` does not change the gradient.

  Args:
    accumulate: micro-batches an update; must divide the rows of a batch.
    average: decay of the parameter average; 0 where the state has none.
    tick: called on the host with the number of each micro-batch that is done.
    nan_at: for tests: the step whose loss becomes NaN.

  Returns:
    A function whose metrics are scalars: train/loss, train/<objective>_loss and _accuracy, tokens, norms,
    learning_rate, finite; and block_gradient_norm, a tree by part of the network. If anything is not finite
    the state keeps its parameters.
  """

  def train_step(state: State, batch):
    corrupt_key, dropout_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), state.step))
    tokens = (batch['segment'] > 0).sum()
    batch = objective.prepare(corrupt_key, batch, jnp.arange(batch['token'].shape[0]))
    counts = {name: jnp.maximum(count, 1) for name, count in objective.counts(batch).items()}

    def loss_of(params, micro, key):
      terms = objective.terms(apply(params, micro, key), micro)
      means = {name: {kind: term.total / counts[name] for kind, term in parts.items()}
               for name, parts in terms.items()}
      loss = sum(weight * means[name]['loss'] for name, weight in objective.weights.items())
      if nan_at is not None:
        loss *= jnp.where(state.step == nan_at, jnp.nan, 1.0)
      return loss, means

    def gradient_of(index, micro):
      key = jax.random.fold_in(dropout_key, index)
      (loss, means), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params, micro, key)
      return loss, means, gradient

    if accumulate == 1:
      loss, means, gradient = gradient_of(0, batch)
    else:
      micros = jax.tree.map(lambda x: _micro_batches(x, accumulate), batch)

      def add(sums, numbered):
        index, micro = numbered
        sums = jax.tree.map(jnp.add, sums, gradient_of(index, micro))
        if tick is not None:
          jax.debug.callback(tick, index)
        return sums, None

      first = jax.tree.map(lambda x: x[0], micros)
      zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gradient_of, 0, first))
      (loss, means, gradient), _ = jax.lax.scan(add, zeros, (jnp.arange(accumulate), micros))

    gradient_norm = optax.global_norm(gradient)
    finite = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
    updates, opt_state = tx.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    averaged = state.average
    if average:
      averaged = jax.tree.map(lambda old, new: average * old + (1 - average) * new, averaged, params)
    new = State(state.step, params, opt_state, averaged)
    new = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
    metrics = {
        'train/loss': loss,
        **{f'train/{name}_{kind}': value for name, kinds in means.items() for kind, value in kinds.items()},
        'tokens': tokens,
        'learning_rate': schedule(state.step),
        'gradient_norm': gradient_norm,
        'update_norm': optax.global_norm(updates),
        'parameter_norm': optax.global_norm(state.params),
        'finite': finite,
        'block_gradient_norm': block_norms(gradient),
    }
    return State(state.step + 1, new.params, new.opt_state, new.average), metrics

  return jax.jit(train_step, donate_argnums=0)


def _micro_batches(x_Bx, accumulate: int):
  """B... as AxB/A..., taking every A-th row, so that rows stay on the devices that hold them."""
  B = x_Bx.shape[0]
  return jnp.moveaxis(x_Bx.reshape(B // accumulate, accumulate, *x_Bx.shape[1:]), 1, 0)


def block_norms(gradient) -> dict[str, jax.Array]:
  """Gradient norm of each part of the network; of each layer (L) for the stacked blocks."""
  norms = {name: optax.global_norm(part) for name, part in gradient.items() if name != 'trunk'}
  trunk = dict(gradient['trunk'])
  blocks = trunk.pop('blocks')
  squares = [jnp.square(x.astype(jnp.float32)).reshape(x.shape[0], -1).sum(axis=1) for x in jax.tree.leaves(blocks)]
  shared = len({len(square) for square in squares}) > 1  # shared layers are not stacked
  norms['blocks'] = optax.global_norm(blocks) if shared else jnp.sqrt(sum(squares))
  return norms | {name: optax.global_norm(part) for name, part in trunk.items()}
