"""AdamW as BERT and as GPT-2 had it, Muon for the kernels of
the trunk, and the learning rate of a step.
"""

from collections.abc import Callable
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib


def make_optimizer(config, steps: int) -> tuple[optax.GradientTransformation, Callable]:
  """(transformation, schedule) of a `config.optimizer` for a run of `steps` updates.

  Order as in BERT's optimization.py: clip, Adam, decoupled decay (of kernels and embeddings), rate.
  With Muon (Jordan et al. 2024) the norm that is clipped is still that of the whole gradient, and
  the rest of the order holds for each of the two kinds of parameters by itself: both rates have one
  schedule, each its own peak, and what decays does so at the rate of its kind. An update of Muon
  has singular values near 1, times sqrt(fan out / fan in) where that is above 1.
  """
  schedule = make_schedule(config, steps)
  rule = optax.scale_by_adam if config.bias_correction else scale_by_uncorrected_adam
  decay = optax.add_decayed_weights(config.weight_decay, mask=decays)
  adam = [rule(config.beta1, config.beta2, config.epsilon), decay]
  if config.name == 'adamw':
    parts = [*adam, optax.scale_by_learning_rate(schedule)]
  else:
    share = (config.adam_learning_rate or config.learning_rate) / config.learning_rate
    muon = [
      contrib.scale_by_muon(beta=config.muon_beta, weight_dimension_numbers=matrices),
      optax.stateless(lambda updates, _: jax.tree.map(widened, updates, matrices(updates))),
      decay,
    ]
    by_kind = dict(muon=optax.chain(*muon), adam=optax.chain(*adam, optax.scale(share)))
    parts = [optax.partition(by_kind, kinds), optax.scale_by_learning_rate(schedule)]
  if config.clip:
    parts.insert(0, clip_by_global_norm(config.clip))
  return optax.chain(*parts), schedule


def clip_by_global_norm(limit: float) -> optax.GradientTransformation:
  """optax's, but for one factor in place of two divisions an
  element, which cost a CPU a pass of their own.
  """

  def update(updates, state, params=None):
    factor = jnp.minimum(1.0, limit / optax.global_norm(updates))
    return jax.tree.map(lambda x: x * factor.astype(x.dtype), updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def kinds(params):
  """'muon' for the kernels of the trunk's blocks, whatever their rank; 'adam' for all else."""

  def kind(path, _):
    keys = [entry.key for entry in path if isinstance(entry, jax.tree_util.DictKey)]
    return 'muon' if 'blocks' in keys and keys[-1] == 'kernel' else 'adam'

  return jax.tree_util.tree_map_with_path(kind, params)


def matrices(kernels):
  """Which axes of a kernel are read and which are written; those
  before them number the layers, each by itself.
  """

  def axes(path, _):
    name = path[-2].key
    if name in ('query', 'key', 'value'):  # DxHxK: the heads together are one matrix
      return contrib.MuonDimensionNumbers(-3, (-2, -1))
    # HxKxD, DxF or FxD
    return contrib.MuonDimensionNumbers((-3, -2) if name == 'output' else -2, -1)

  return jax.tree_util.tree_map_with_path(axes, kernels)


def make_schedule(config, steps: int) -> Callable[[jax.Array], jax.Array]:
  """Learning rate of the update at a step, counted from 0.

  'linear' is BERT's: the decay runs over all steps and warm-up cuts into it, so the very first
  update has rate 0 and the rate jumps a little where warm-up
  ends. The others start where warm-up ends.
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
      raise ValueError(
        f'optimizer.schedule={config.schedule!r}: choose linear, cosine, wsd or constant.'
      )
    return peak * jnp.where(step < warmup, step / max(1, warmup), share)

  return schedule


def decays(params):
  """Which leaves weight decay applies to: all but biases and norms."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: jax.tree_util.keystr(path[-1:]) not in ("['bias']", "['scale']"), params
  )


def widened(update, axes: contrib.MuonDimensionNumbers):
  """An orthogonal update of a matrix, larger where it writes
  more axes than it reads (Jordan et al. 2024).
  """
  read, written = (math.prod(np.take(update.shape, which).ravel()) for which in axes)
  return update * max(1, written / read) ** 0.5


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
