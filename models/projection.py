"""What a head that predicts tokens returns in place of logits, which would be V wide."""

from typing import NamedTuple

import jax


class Projection(NamedTuple):
  """Logits that are not computed yet: hidden_BxPxE @ table_VxE.T + bias_V.

  They are the largest array of a whole step, so the loss decides how many of them exist at once.

  Attributes:
    bias_V: None where the head has none.
  """

  hidden_BxPxE: jax.Array
  table_VxE: jax.Array
  bias_V: jax.Array | None
