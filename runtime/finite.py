"""Numbers that are not finite end a program: nothing that is made of them means anything."""

from collections.abc import Mapping

import numpy as np

from runtime.errors import NumericalError


def check(numbers, what: str):
  """Raises NumericalError unless the numbers that `what` names are all finite."""
  wrong = int(np.sum(~np.isfinite(numbers)))
  if wrong:
    raise NumericalError(
      f'{what}: {wrong:,} of {np.size(numbers):,} numbers are not finite. The weights are damaged, '
      'or too large for this arithmetic.'
    )


def check_weights(weights: Mapping[str, object], source: str):
  """Raises NumericalError unless all weights are finite.

  Args:
    weights: {path: jax or numpy array}; of an array that several processes hold, the parts here.
    source: where they were read.
  """
  for path, array in weights.items():
    shards = getattr(array, 'addressable_shards', None)
    for part in [array] if shards is None else [shard.data for shard in shards]:
      part = np.asarray(part)
      # the smallest is NaN where any is, and this makes no array of its own
      if part.size and not np.isfinite([float(part.min()), float(part.max())]).all():
        raise NumericalError(
          f'{source}: the weights {path} are not finite, so nothing that a model says with them '
          'means anything. Copy them again, or name another checkpoint with --step.'
        )
