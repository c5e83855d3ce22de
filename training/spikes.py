"""Updates that are skipped because their gradient is far larger than those before it.

The rule is OLMo's (Groeneveld et al. 2024, SkipStepOptimizer in OLMo-core) for the gradient norm.
What it remembers is part of the state, so a resumed run skips what it would have skipped.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Rule(NamedTuple):
  """When an update is skipped; the knobs of `config.optimizer` have the same names.

  Attributes:
    skip_sigmas: standard deviations above the mean of the window, beyond which a norm is a spike.
    skip_window: W, norms of updates that were done. None is skipped until there are so many.
    skip_limit: updates in a row that may be skipped; the next one is done whatever its norm.
  """

  skip_sigmas: float
  skip_window: int
  skip_limit: int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Spikes:
  """What a rule remembers between steps.

  Attributes:
    norm_W: gradient norms of the last updates that were done, as a ring.
    done: int32, updates that were done.
    in_a_row: int32, updates that were skipped since the last one that was done.
    skipped: int32, updates that were skipped in the whole run.
  """

  norm_W: jax.Array
  done: jax.Array
  in_a_row: jax.Array
  skipped: jax.Array


def rule_of(config) -> Rule | None:
  """The rule of a `config.optimizer`; None where no update is skipped."""
  rule = Rule(config.skip_sigmas, config.skip_window, config.skip_limit)
  return rule if rule.skip_sigmas else None


def nothing_seen(rule: Rule) -> Spikes:
  """What a rule remembers at step 0."""
  zero = lambda: jnp.zeros((), jnp.int32)
  return Spikes(jnp.zeros(rule.skip_window), zero(), zero(), zero())


def judge(rule: Rule, spikes: Spikes, norm: jax.Array) -> tuple[jax.Array, Spikes]:
  """(whether to skip the update with this gradient norm, what is remembered afterwards).

  The norm of a skipped update does not enter the window.
  """
  bound = spikes.norm_W.mean() + rule.skip_sigmas * spikes.norm_W.std()
  full = spikes.done >= rule.skip_window
  skip = full & (norm > bound) & (spikes.in_a_row < rule.skip_limit)
  entered_W = spikes.norm_W.at[spikes.done % rule.skip_window].set(norm)
  return skip, Spikes(
    norm_W=jnp.where(skip, spikes.norm_W, entered_W),
    done=spikes.done + ~skip,
    in_a_row=jnp.where(skip, spikes.in_a_row + 1, 0),
    skipped=spikes.skipped + skip,
  )
