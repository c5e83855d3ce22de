"""AdamW as BERT and as GPT-2 had it, and the learning rate of a step."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


def make_optimizer(config, steps: int) -> tuple[optax.GradientTransformation, Callable]:
  """(transformation, schedule) of a `config.optimizer` for a run of `steps` updates.

  Order as in BERT's optimization.py: clip, Adam, decoupled decay (of kernels and embeddings), rate.
  """
  schedule = make_schedule(config, steps)
  adam = optax.scale_by_adam if config.bias_correction else scale_by_uncorrected_adam
  parts = [
      adam(config.beta1, config.beta2, config.epsilon),
      optax.add_decayed_weights(config.weight_decay, mask=decays),
      optax.scale_by_learning_rate(schedule),
  ]
  if config.clip:
    parts.insert(0, clip_by_global_norm(config.clip))
  return optax.chain(*parts), schedule


def clip_by_global_norm(limit: float) -> optax.GradientTransformation:
  """optax's, but for one factor in place of two divisions an element, which cost a CPU a pass of their own."""

  def update(updates, state, params=None):
    factor = jnp.minimum(1.0, limit / optax.global_norm(updates))
    return jax.tree.map(lambda x: x * factor.astype(x.dtype), updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def make_schedule(config, steps: int) -> Callable[[jax.Array], jax.Array]:
  """Learning rate of the update at a step, counted from 0.

  'linear' is BERT's: the decay runs over all steps and warm-up cuts into it, so the very first update has
  rate 0 and the rate jumps a little where warm-up ends. The others start where warm-up ends.
  """
  peak, warmup, final = config.learning_rate, config.warmup_steps, config.final_share

  def schedule(step):
    step = jnp.asarray(step, jnp.float32)
    after = jnp.clip((step - warmup) / max(1, steps - warmup), 0, 1)
    if config.schedule == 'linear':
      share = final + (1 - final) * (1 - jnp.minimum(step / steps, 1))
    elif config.schedule == 'cosine':
      share = final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * after))
    elif config.schedule == 'wsd':
      left = jnp.clip((steps - step) / max(1, config.decay_share * steps), 0, 1)
      share = final + (1 - final) * left
    elif config.schedule == 'constant':
      share = 1.0
    else:
      raise ValueError(f'optimizer.schedule={config.schedule!r}: choose linear, cosine, wsd or constant.')
    return peak * jnp.where(step < warmup, step / max(1, warmup), share)

  return schedule


def decays(params):
  """Which leaves weight decay applies to: all but biases and norms."""
  return jax.tree_util.tree_map_with_path(
      lambda path, _: jax.tree_util.keystr(path[-1:]) not in ("['bias']", "['scale']"), params)


class UncorrectedAdamState(NamedTuple):
  mu: optax.Updates
  nu: optax.Updates


def scale_by_uncorrected_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
  """Adam without bias correction, epsilon outside the root: BERT's, which optax does not have."""

  def init(params):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return UncorrectedAdamState(zeros, zeros)

  def update(updates, state, params=None):
    mu = optax.update_moment(updates, state.mu, b1, 1)
    nu = optax.update_moment_per_elem_norm(updates, state.nu, b2, 2)
    return jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu, nu), UncorrectedAdamState(mu, nu)

  return optax.GradientTransformation(init, update)
