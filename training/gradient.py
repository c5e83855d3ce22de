"""What the rows of a cell say to the parameters: loss, gradient and means, over micro-batches."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
import zlib

import jax
import jax.numpy as jnp

from configs.schema import grid
from objectives.mix import Objective
from training.micro_batches import each, sum_over


class CellStep(NamedTuple):
  """A cell at work in a step: which rows are its own, and how they are read and scored.

  Attributes:
    share: its rows of each batch.
    apply: of its network.
    teach: (parameters of the teacher, batch) -> outputs of its heads; None where it has none.
  """

  share: grid.BatchShare
  apply: Callable
  objective: Objective
  teach: Callable | None = None


class Measured(NamedTuple):
  """What a batch said to the parameters; those of several cells add up.

  Attributes:
    loss: nats, each objective's mean times its weight, times the cell's share of the rows.
    gradient: of that loss, a tree like the parameters.
    predictions: tokens that were predicted.
    mask_hash: uint32 of what was drawn of the rows.
  """

  loss: jax.Array
  gradient: Any
  predictions: jax.Array
  mask_hash: jax.Array


def cell_gradient(
  cell: CellStep,
  params,
  rows,
  dropout_key,
  accumulate: int,
  tick: Callable | None = None,
  teacher=None,
) -> tuple[Measured, dict[str, dict[str, jax.Array]]]:
  """(what a cell's prepared rows say, {objective: {kind: mean}}), summed over micro-batches.

  Args:
    teacher: parameters of the teacher, which gets no gradient; it reads a micro-batch at a time.
  """
  objective = cell.objective
  counted = objective.counts(rows)
  score = _scorer(cell, counted)

  def loss_of(params, micro):
    told = dict(teacher=cell.teach(teacher, micro)) if cell.teach else {}
    return score(objective.terms(cell.apply(params, micro, dropout_key), micro | told))

  def gradient_of(micro):
    (loss, means), gradient = jax.value_and_grad(loss_of, has_aux=True)(params, micro)
    return loss, means, gradient

  if accumulate > 1 and objective.whole:
    found = _whole_batch_gradient(cell, params, rows, dropout_key, score, accumulate, tick)
  else:
    found = sum_over(gradient_of, rows, accumulate, tick)
  loss, means, gradient = found
  predictions = sum(counted[name] for name in objective.token_names)
  return Measured(loss, gradient, predictions, mask_hash(rows, objective.draws)), means


def _scorer(cell: CellStep, counted) -> Callable:
  """terms -> (their part of the loss, {objective: {kind: mean}}), by what counts in all rows."""
  denominators = {name: jnp.maximum(count, 1) for name, count in counted.items()}
  share = cell.share.share / cell.share.period

  def score(terms):
    means = {
      name: {kind: term.total / denominators[name] for kind, term in kinds.items()}
      for name, kinds in terms.items()
    }
    weights = cell.objective.weights
    weighted = [weights[name] * means[name]['loss'] for name in weights if name in means]
    return share * sum(weighted), means

  return score


def _whole_batch_gradient(
  cell: CellStep, params, rows, dropout_key, score: Callable, accumulate: int, tick
):
  """(loss, means, gradient) of objectives of which some need the vectors of all rows at once.

  Three passes, in the memory of a micro-batch (Gao et al. 2021, GradCache): the vectors of all
  rows; the gradient of the loss by the vectors; and each micro-batch again, with the gradient of
  its own vectors. Random draws belong to rows, so the two readings of a row draw the same.
  """
  objective = cell.objective
  alone = [name for name in objective.weights if name not in objective.whole]

  def whole_loss(vector_BxKxD):
    return score(objective.terms(dict(vector=vector_BxKxD), rows, objective.whole))

  def micro_loss(params, micro):
    outputs = cell.apply(params, micro, dropout_key)
    loss, means = score(objective.terms(outputs, micro, alone))
    return loss + (outputs['vector'] * micro['pull']).sum(), (loss, means)

  def gradient_of(micro):
    (_, (loss, means)), gradient = jax.value_and_grad(micro_loss, has_aux=True)(params, micro)
    return loss, means, gradient

  vector_BxKxD = each(
    lambda micro: cell.apply(params, micro, dropout_key)['vector'], rows, accumulate
  )
  (loss, means), pull_BxKxD = jax.value_and_grad(whole_loss, has_aux=True)(vector_BxKxD)
  pulled = rows | dict(pull=pull_BxKxD)
  rest, other_means, gradient = sum_over(gradient_of, pulled, accumulate, tick)
  return loss + rest, means | other_means, gradient


def mask_hash(rows, draws: Sequence[str]) -> jax.Array:
  """uint32 that depends on what was drawn of which row; for a certificate, not for secrets."""
  total = jnp.uint32(0)
  for name in draws:
    x_BxP = rows[name]
    value_BxP = (x_BxP.astype(jnp.uint32) + _number_of(name)) * jnp.uint32(2654435761)
    place_BxP = jnp.arange(x_BxP.size, dtype=jnp.uint32).reshape(x_BxP.shape)
    mixed_BxP = (value_BxP ^ (value_BxP >> 15)) * (2 * place_BxP + 1)
    total += (mixed_BxP ^ (mixed_BxP >> 13)).sum(dtype=jnp.uint32)
  return total


# What sets equal arrays of different names apart; other names are numbered by their letters.
_NUMBERS = dict(mlm_position=1, mlm_weight=2, prefix=3)


def _number_of(name: str) -> jax.Array:
  return jnp.uint32(_NUMBERS[name] if name in _NUMBERS else zlib.crc32(name.encode()))
