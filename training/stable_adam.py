"""StableAdamW (Wortsman et al. 2023, algorithm 2): Adam that slows down where a gradient jumps."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax


def scale_by_stable_adamw(
  b1: float, b2: float, eps: float, *, weight_decay: float, decays: Callable
) -> optax.GradientTransformation:
  """Adam with bias correction, plus the decay, over max(1, RMS of gradient / its second moment).

  The root mean square is that of one array, of a stacked array of one layer: the mean of
  g^2 / max(v, eps^2), v with this gradient and corrected. The rate divides by it, so the decay does
  too.

  Args:
    decays: parameters -> tree of bools, whether a parameter decays.
  """
  adam = optax.scale_by_adam(b1, b2, eps)

  def update(gradients, state, params):
    updates, state = adam.update(gradients, state, params)
    corrected = 1 - b2 ** state.count.astype(jnp.float32)
    stacked = _stacked(params)

    def stable(path, update, gradient, v, param, decayed):
      update = update + weight_decay * param if decayed else update
      own = stacked and 'blocks' in [entry.key for entry in path]
      axes = tuple(range(int(own), update.ndim))
      share = jnp.square(gradient) / jnp.maximum(v / corrected, eps**2)
      return update / jnp.maximum(1, jnp.sqrt(share.mean(axis=axes, keepdims=True)))

    trees = updates, gradients, state.nu, params, decays(updates)
    return jax.tree_util.tree_map_with_path(stable, *trees), state

  return optax.GradientTransformation(adam.init, update)


def _stacked(params) -> bool:
  """Whether each layer has parameters of its own, along the first axis."""
  return params['trunk']['blocks']['attention']['query']['kernel'].ndim == 4
