"""Several objectives on one network, weighted: what `config.objectives` names.

An objective is a module of this package, and nothing else names objectives one by one. It has

  HEADS        names of models.heads.HEADS that the network must provide
  ROWS         rows that it reads: packed | sentence_pairs | labelled | text_groups
  PREDICTS     tokens | rows | teacher: what one prediction is of; the last is counted nowhere
  UNITS        {kind: unit in words} of its results
  weight       (batch) -> how much counts, from the prepared batch alone
  terms        (outputs, batch, setup) -> {kind: Term}, `loss` among them

and, where it needs them,

  predictions  (T, masking, progress, *, prefix) -> float: predicted tokens of a full row; else 0
  prepare      (key_B, batch, setup) -> batch: corruption, on the device; each row has its own key
  WHOLE_BATCH  its terms need the heads' outputs for every row of the batch at once, not of some
  NEEDS        of the tokenizer: mask_token
  DRAWS        names of arrays of the prepared batch that say what was drawn of a row
  TASKS        kinds of labelled task that it can train on, of data.tasks.labelled
  LABELS       what it reads of a group of texts beside them: score | scores | class | vectors
  WRONG_PAIRS  random | swapped: how half of the sentence pairs are wrong
  BLIND        masks under which it cannot see what it asks about: refused
  ANSWERS_SEEN masks that show it its answers: refused, except as a negative control
  ALONE        no other objective may read the same rows
  TEACHER      its terms read what a frozen network says of the prepared batch: batch['teacher'],
               outputs of heads by name; not scored by validation
  BESIDE       objectives of which one must be beside it: that one says what is masked or predicted
  CHANCE       nats of a guess, drawn beside its loss
  scores       as terms, with more kinds, for evaluation: no gradient is taken
  answers      (outputs, batch, setup) -> {name: array}: what it says of each example, for scores
               that need a whole split
  targets      (batch) -> (position_BxP, token_BxP, weight_BxP): what is predicted, for people

HEADS, ROWS, TASKS, LABELS, WRONG_PAIRS, BLIND, ANSWERS_SEEN, ALONE, TEACHER and BESIDE are
literals: configs.schema.names reads them without running the module.
"""

from collections.abc import Callable, Iterable
import importlib
from types import ModuleType
from typing import NamedTuple

import jax

from objectives import prefix
from objectives.term import Setup, Term


class Objective(NamedTuple):
  """What training and evaluation need of a mix of objectives.

  Attributes:
    weights: how much each objective counts in the loss.
    heads: what the network must provide.
    draws: names of arrays of a prepared batch that say what was drawn of its rows.
    token_names: those of the objectives that predict tokens.
    units: {name in results, as mlm_loss: unit in words}.
    prepare: (key, batch, index_B, progress) -> batch: corruption, on the device; row i draws from
      (key, index_B[i]), and progress, 0 to 1, is the share of the steps that are done.
    counts: batch -> {name: how much counts}; depends on the prepared batch alone.
    whole: those of the objectives whose terms need the outputs of the whole batch at once.
    terms: (outputs, batch, names=all) -> {name: {'loss': Term, 'accuracy': Term}}.
    scores: the same for evaluation, where an objective may have more to say.
    answers: (outputs, batch) -> {name: array}, of the objective that reads labels; else nothing.
  """

  weights: dict[str, float]
  heads: tuple[str, ...]
  draws: tuple[str, ...]
  token_names: tuple[str, ...]
  units: dict[str, str]
  prepare: Callable[..., dict[str, jax.Array]]
  counts: Callable[..., dict[str, jax.Array]]
  whole: tuple[str, ...]
  terms: Callable[..., dict[str, dict[str, Term]]]
  scores: Callable[..., dict[str, dict[str, Term]]]
  answers: Callable[..., dict[str, jax.Array]]


def module_of(name: str) -> ModuleType:
  """The module of an objective."""
  return importlib.import_module(f'objectives.{name}')


def heads_of(names: Iterable[str]) -> tuple[str, ...]:
  """What the network must provide for these objectives."""
  return tuple(head for name in sorted(names) for head in module_of(name).HEADS)


def optional(name: str, attribute: str, default=None):
  """An attribute that an objective need not have."""
  return getattr(module_of(name), attribute, default)


def needs_mask_token(names: Iterable[str]) -> list[str]:
  """The objectives among these that mask tokens."""
  return sorted(name for name in names if 'mask_token' in optional(name, 'NEEDS', ()))


def make_objective(weights: dict[str, float], setup: Setup) -> Objective:
  """The mix of `weights`: each name is a module of this package."""
  modules = {name: module_of(name) for name in sorted(weights)}

  def prepare(key, batch, index_B, progress=0.0):
    now = setup
    if setup.masking is not None:
      now = setup._replace(rate=setup.masking.rate_at(progress))
    if setup.prefix:
      key_B = _row_keys(jax.random.fold_in(key, 1), index_B)
      batch = batch | dict(prefix=prefix.draw(key_B, batch['segment']))
    for module in modules.values():
      if hasattr(module, 'prepare'):
        batch = module.prepare(_row_keys(key, index_B), batch, now)
    return batch

  def counts(batch):
    return {name: module.weight(batch) for name, module in modules.items()}

  def terms(outputs, batch, names=tuple(modules)):
    return {name: modules[name].terms(outputs, batch, setup) for name in names}

  def scores(outputs, batch):
    return {
      name: optional(name, 'scores', module.terms)(outputs, batch, setup)
      for name, module in modules.items()
    }

  def answers(outputs, batch):
    said = {}
    for name in modules:
      said |= optional(name, 'answers', _silent)(outputs, batch, setup)
    return said

  draws = {drawn for name in modules for drawn in optional(name, 'DRAWS', ())}
  return Objective(
    weights=dict(weights),
    heads=heads_of(weights),
    draws=tuple(sorted(draws | ({'prefix'} if setup.prefix else set()))),
    token_names=tuple(name for name in modules if modules[name].PREDICTS == 'tokens'),
    units={
      f'{name}_{kind}': unit for name in modules for kind, unit in modules[name].UNITS.items()
    },
    prepare=prepare,
    counts=counts,
    whole=tuple(name for name in modules if optional(name, 'WHOLE_BATCH', False)),
    terms=terms,
    scores=scores,
    answers=answers,
  )


def _silent(outputs, batch, setup) -> dict[str, jax.Array]:
  return {}


def _row_keys(key, index_B):
  return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index_B)
