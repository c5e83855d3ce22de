"""What a head that predicts tokens returns in place of logits, which would be V wide."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Projection(NamedTuple):
  """Logits that are not computed yet: hidden_BxPxE @ table_VxE.T + bias_V.

  They are the largest array of a whole step, so the loss decides how many of them exist at once.

  Attributes:
    bias_V: None where the head has none.
  """

  hidden_BxPxE: jax.Array
  table_VxE: jax.Array
  bias_V: jax.Array | None


def with_bias(projection: Projection) -> Projection:
  """The same projection; a bias that it lacks is 0."""
  hidden_BxPxE, table_VxE, bias_V = projection
  if bias_V is None:
    bias_V = jnp.zeros(table_VxE.shape[0])
  return Projection(hidden_BxPxE, table_VxE, bias_V)


def project(hidden_BxCxE, table_VxE, bias_V) -> jax.Array:
  """float32 logits_BxCxV."""
  logits_BxCxV = jnp.einsum(
    'BCE,VE->BCV',
    hidden_BxCxE,
    table_VxE.astype(hidden_BxCxE.dtype),
    preferred_element_type=jnp.float32,
  )
  return logits_BxCxV + bias_V[None, None, :]
