"""What objectives on sentence vectors share: similarities, and their first dimensions alone."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

from objectives.term import Term, VectorLoss

_SMALL = 1e-12


def unit(vector_xD: jax.Array) -> jax.Array:
  """The vectors at length 1; 0 stays 0, with a finite gradient."""
  square_x1 = jnp.square(vector_xD).sum(axis=-1, keepdims=True)
  return vector_xD * jax.lax.rsqrt(jnp.maximum(square_x1, _SMALL**2))


def cosine(one_xD: jax.Array, other_xD: jax.Array) -> jax.Array:
  """Cosine of each vector with its partner."""
  return (unit(one_xD) * unit(other_xD)).sum(axis=-1)


def euclidean(one_xD: jax.Array, other_xD: jax.Array) -> jax.Array:
  """Distance of each vector from its partner; the gradient at 0 is 0."""
  square_x = jnp.square(one_xD - other_xD).sum(axis=-1)
  apart_x = square_x > 0
  return jnp.where(apart_x, jnp.sqrt(jnp.where(apart_x, square_x, 1.0)), 0.0)


def manhattan(one_xD: jax.Array, other_xD: jax.Array) -> jax.Array:
  """Sum of the absolute differences of each vector from its partner."""
  return jnp.abs(one_xD - other_xD).sum(axis=-1)


DISTANCES = dict(
  euclidean=euclidean,
  manhattan=manhattan,
  cosine=lambda one_xD, other_xD: 1 - cosine(one_xD, other_xD),
)


def present(batch) -> jax.Array:
  """float32 BxK: 1 where a row has the text of that number."""
  return batch['present'].astype(jnp.float32)


def whole_rows(batch) -> jax.Array:
  """float32 B: 1 where a row has its first two texts; rows of padding fill up a last batch."""
  return present(batch)[:, :2].prod(axis=1)


def negatives(batch) -> jax.Array:
  """float32 BxN: 1 where a row has that negative, beside its anchor and its positive."""
  return present(batch)[:, 2:] * whole_rows(batch)[:, None]


def matryoshka(
  vector_BxKxD: jax.Array, loss: VectorLoss, terms_of: Callable[..., dict[str, Term]]
) -> dict[str, Term]:
  """The terms, or their sum over first dimensions at length 1 (Kusupati et al. 2022).

  Everything but the loss is said of the most dimensions.
  """
  if not loss.dimensions:
    return terms_of(vector_BxKxD)
  found = [(weight, terms_of(vector)) for weight, vector in _shrunk(vector_BxKxD, loss)]
  total = sum(weight * terms['loss'].total for weight, terms in found)
  _, most = found[0]
  return most | dict(loss=most['loss']._replace(total=total))


def _shrunk(vector_BxKxD, loss: VectorLoss) -> Iterator[tuple[float, jax.Array]]:
  for size, weight in sorted(loss.dimensions, reverse=True):
    yield weight, unit(vector_BxKxD[:, :, :size])
