"""Several objectives on one network, weighted: what `config.objectives` names."""

from collections.abc import Callable, Iterable
import importlib
from typing import Any, NamedTuple

import jax

from objectives import prefix
from objectives.projection import Setup, Term


class Objective(NamedTuple):
  """What training and evaluation need of a mix of objectives.

  Attributes:
    weights: how much each objective counts in the loss.
    heads: what the network must provide.
    prepare: (key, batch, index_B, progress) -> batch: corruption, on device; row i draws from (key,
      index_B[i]), and progress, 0 to 1, is the share of the steps that are done.
    counts: batch -> {name: how much counts}; depends on the prepared batch alone.
    terms: (outputs, batch) -> {name: {'loss': Term, 'accuracy': Term}}.
    scores: the same without a gradient, for evaluation, where an objective may have more to say.
  """

  weights: dict[str, float]
  heads: tuple[str, ...]
  prepare: Callable[..., dict[str, jax.Array]]
  counts: Callable[..., dict[str, jax.Array]]
  terms: Callable[..., dict[str, dict[str, Term]]]
  scores: Callable[..., dict[str, dict[str, Term]]]


def heads_of(names: Iterable[str]) -> tuple[str, ...]:
  """What the network must provide for these objectives."""
  return tuple(
    head for name in sorted(names) for head in importlib.import_module(f'objectives.{name}').HEADS
  )


def make_objective(weights: dict[str, float], setup: Setup) -> Objective:
  """The mix of `weights`: each name is a module of this package."""
  modules: dict[str, Any] = {
    name: importlib.import_module(f'objectives.{name}') for name in sorted(weights)
  }

  def prepare(key, batch, index_B, progress=0.0):
    now = setup._replace(rate=setup.masking.rate_at(progress))
    if setup.prefix:
      key_B = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.fold_in(key, 1), index_B)
      batch = batch | dict(prefix=prefix.draw(key_B, batch['segment']))
    for module in modules.values():
      batch = module.prepare(key, batch, index_B, now)
    return batch

  def counts(batch):
    return {name: module.weight(batch) for name, module in modules.items()}

  def terms(outputs, batch):
    return {name: module.terms(outputs, batch, setup) for name, module in modules.items()}

  def scores(outputs, batch):
    return {
      name: getattr(module, 'scores', module.terms)(outputs, batch, setup)
      for name, module in modules.items()
    }

  return Objective(dict(weights), heads_of(weights), prepare, counts, terms, scores)
