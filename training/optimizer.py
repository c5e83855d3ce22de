"""Optimisers: AdamW as in BERT and GPT-2, StableAdamW, LAMB, Muon for kernels; and schedules."""

from collections.abc import Callable
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib

from training import layers
from training.stable_adam import scale_by_stable_adamw


def make_optimizer(config, steps: int) -> tuple[optax.GradientTransformation, Callable]:
  """Builds the optimiser of a run of `steps` updates.

  The order is that of BERT's optimization.py: clip, Adam, decoupled weight decay (of kernels and
  embeddings), learning rate.

  Muon (Jordan et al. 2024) updates the kernels of the trunk, Adam all other parameters. The
  gradient is clipped by the norm over both groups. Both groups share one schedule, each with its
  own peak, which also scales its weight decay. An update of Muon has singular values near 1, times
  sqrt(fan out / fan in) where that is above 1.

  LAMB (You et al. 2020) as ALBERT has it (google-research/albert, lamb_optimizer.py): after the
  decay, each kernel and embedding's update is brought to the norm of the parameter
  (`scale_by_trust_ratio`).

  Args:
    config: `config.optimizer`.
    steps: updates of the whole run, over which the rate is scheduled.

  Returns:
    (transformation, schedule): optax's, and the learning rate of a step (`make_schedule`). With
    Muon the schedule is that of the trunk's kernels.
  """
  schedule = make_schedule(config, steps)
  rule = optax.scale_by_adam if config.bias_correction else scale_by_uncorrected_adam
  decay = optax.add_decayed_weights(config.weight_decay, mask=decays)
  adam = [rule(config.beta1, config.beta2, config.epsilon), decay]
  if config.name == 'adamw':
    parts = [*adam, optax.scale_by_learning_rate(schedule)]
  elif config.name == 'stable_adamw':
    moments = config.beta1, config.beta2, config.epsilon
    stable = scale_by_stable_adamw(*moments, weight_decay=config.weight_decay, decays=decays)
    parts = [stable, optax.scale_by_learning_rate(schedule)]
  elif config.name == 'lamb':
    parts = [*adam, scale_by_trust_ratio(), optax.scale_by_learning_rate(schedule)]
  else:
    adam_share = (config.adam_learning_rate or config.learning_rate) / config.learning_rate

    def scale_by_fan(updates, params):
      return jax.tree.map(widened, updates, matrices(updates))

    muon = [
      contrib.scale_by_muon(beta=config.muon_beta, weight_dimension_numbers=matrices),
      optax.stateless(scale_by_fan),
      decay,
    ]
    by_kind = dict(muon=optax.chain(*muon), adam=optax.chain(*adam, optax.scale(adam_share)))
    parts = [optax.partition(by_kind, kinds), optax.scale_by_learning_rate(schedule)]
  if config.layer_decay < 1:
    parts.insert(-1, scale_by_layer(layers.decayed(config.layer_decay)))
  if config.clip:
    parts.insert(0, clip_by_global_norm(config.clip))
  if config.frozen_layers or config.unfreeze_every:
    thawed = layers.thawed(config.frozen_layers, config.unfreeze_every)
    # of the gradient, which then has their norm only, and of the update, for the weight decay
    parts = [scale_by_layer(thawed), *parts, scale_by_layer(thawed)]
  return optax.chain(*parts), schedule


def clip_by_global_norm(limit: float) -> optax.GradientTransformation:
  """Scales the gradient so that its global norm is at most `limit`, as optax's function does.

  It multiplies by one factor. optax divides each element instead, which XLA compiles for a CPU as a
  separate pass over all gradients (docs/LOG.md, 2026-11-25, "where a training step ...").
  """

  def update(updates, state, params=None):
    factor = jnp.minimum(1.0, limit / optax.global_norm(updates))
    return jax.tree.map(lambda x: x * factor.astype(x.dtype), updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


class Count(NamedTuple):
  """How many updates there were."""

  count: jax.Array


def scale_by_layer(share: Callable) -> optax.GradientTransformation:
  """Multiplies an update by what `share` of training/layers.py says of each layer at this step."""

  def update(updates, state, params=None):
    return layers.scaled(updates, share, state.count), Count(state.count + 1)

  return optax.GradientTransformation(lambda params: Count(jnp.zeros((), jnp.int32)), update)


def kinds(params):
  """Labels each parameter: 'muon' for kernels of the trunk's blocks, 'adam' for all others."""

  def kind(path, _):
    keys = [entry.key for entry in path if isinstance(entry, jax.tree_util.DictKey)]
    return 'muon' if 'blocks' in keys and keys[-1] == 'kernel' else 'adam'

  return jax.tree_util.tree_map_with_path(kind, params)


def matrices(kernels):
  """Returns, for each kernel, its (input axes, output axes), which make it a matrix for Muon.

  The axes before these number the layers; each layer is a matrix by itself.
  """

  return jax.tree_util.tree_map_with_path(lambda path, _: _fan_axes(path), kernels)


def _fan_axes(path) -> contrib.MuonDimensionNumbers:
  """The input and output axes of a kernel of the blocks."""
  name = path[-2].key
  if name in ('query', 'key', 'value'):  # DxHxK: the heads together are one matrix
    return contrib.MuonDimensionNumbers(-3, (-2, -1))
  # HxKxD, DxF or FxD
  return contrib.MuonDimensionNumbers((-3, -2) if name == 'output' else -2, -1)


def make_schedule(config, steps: int) -> Callable[[jax.Array], jax.Array]:
  """Returns a function from the step, counted from 0, to the learning rate of its update.

  'linear' is BERT's (optimization.py): the decay runs over all steps and warm-up replaces its
  beginning, so the rate jumps a little where warm-up ends. 'cosine' starts to decay where warm-up
  ends. 'wsd' (warm-up, stable, decay: Hu et al. 2024) decays over the last `decay_share` of the
  steps, linearly or as 1 - sqrt(share of the decay that is past) (Hagele et al. 2024). With
  warm-up, the first update has rate 0.

  The last update, step `steps` - 1, has `final_share` of the peak. A share of 0 is reached one step
  later, as in BERT and in transformers: an update with rate 0 would be wasted.

  Raises:
    ValueError: on the first call, for an unknown `config.schedule`.
  """
  peak, final = config.learning_rate, config.final_share
  warmup = config.warmup_steps or round(config.warmup_share * steps)
  end = steps - 1 if final else steps

  def schedule(step):
    step = jnp.asarray(step, jnp.float32)
    after = jnp.clip((step - warmup) / max(1, end - warmup), 0, 1)
    if config.schedule == 'linear':
      share = final + (1 - final) * (1 - jnp.minimum(step / max(1, end), 1))
    elif config.schedule == 'cosine':
      share = final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * after))
    elif config.schedule == 'wsd':
      remaining = jnp.clip((end - step) / max(1, config.decay_share * steps), 0, 1)
      if config.decay == 'one_minus_sqrt':
        remaining = 1 - jnp.sqrt(1 - remaining)
      share = final + (1 - final) * remaining
    elif config.schedule == 'constant':
      share = 1.0
    else:
      raise ValueError(
        f'optimizer.schedule={config.schedule!r}: choose linear, cosine, wsd or constant.'
      )
    if final and config.schedule != 'constant':
      share = jnp.where(step < end, share, final)  # also where the first update is the last one
    return peak * jnp.where(step < warmup, step / max(1, warmup), share)

  return schedule


def decays(params):
  """Returns a tree of bools: True where weight decay applies, which is all but biases and norms."""

  def decayed(path, _):
    return jax.tree_util.keystr(path[-1:]) not in ("['bias']", "['scale']")

  return jax.tree_util.tree_map_with_path(decayed, params)


def widened(update, axes: contrib.MuonDimensionNumbers):
  """Scales an orthogonalised update by sqrt(fan out / fan in), where above 1 (Jordan et al. 2024).

  Args:
    axes: the input and output axes of the update, as `matrices` gives them.
  """
  fan_in, fan_out = (math.prod(np.take(update.shape, which).ravel()) for which in axes)
  return update * max(1, fan_out / fan_in) ** 0.5


def scale_by_trust_ratio() -> optax.GradientTransformation:
  """Multiplies an update by the norm of its parameter over its own, where both are above 0.

  Biases and norms are left alone. A kernel of the blocks has a ratio for each layer, as if layers
  were not stacked; optax's function of this name would take one norm over all layers.
  """

  def scaled(path, update, param, decayed):
    if not decayed:
      return update
    axes = _axes_of_a_layer(path)
    of_param, of_update = (
      jnp.sqrt(jnp.sum(x * x, axis=axes, keepdims=True)) for x in (param, update)
    )
    known = (of_param > 0) & (of_update > 0)
    return update * jnp.where(known, of_param / jnp.where(known, of_update, 1), 1)

  def update(updates, state, params=None):
    trees = updates, params, decays(updates)
    return jax.tree_util.tree_map_with_path(scaled, *trees), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _axes_of_a_layer(path) -> tuple[int, ...] | None:
  """The axes of a kernel of the blocks that are not the layers; None, all axes, elsewhere."""
  if not any(entry.key == 'blocks' for entry in path):
    return None
  fan = _fan_axes(path)
  return tuple(np.ravel(fan.reduction_axis)) + tuple(np.ravel(fan.output_axis))


class UncorrectedAdamState(NamedTuple):
  """Exponential averages of the gradient (mu) and of its square (nu)."""

  mu: optax.Updates
  nu: optax.Updates


def scale_by_uncorrected_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
  """Adam without bias correction: BERT's AdamWeightDecayOptimizer (optimization.py).

  Epsilon is added outside the root. optax's scale_by_adam always corrects the bias.
  """

  def init(params):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return UncorrectedAdamState(zeros, zeros)

  def update(updates, state, params=None):
    mu = optax.update_moment(updates, state.mu, b1, 1)
    nu = optax.update_moment_per_elem_norm(updates, state.nu, b2, 2)
    return jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu, nu), UncorrectedAdamState(mu, nu)

  return optax.GradientTransformation(init, update)
