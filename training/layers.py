"""What differs by layer in an update: its rate, and whether it is frozen.

Layers are numbered from below: 0 is the embeddings, 1 to L the blocks, L + 1 everything above.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def decayed(decay: float) -> Callable:
  """(layer numbers, L, step) -> their share of the rate: 1 above all blocks, times `decay` a layer.

  As in BEiT (Bao et al. 2022) and, but for the last block, in ELECTRA (Clark et al. 2020).
  """

  def share(number, L, step):
    return decay ** (L + 1.0 - number)

  return share


def thawed(frozen: int, every: int) -> Callable:
  """(layer numbers, L, step) -> 1 where a layer is trained, 0 where it is frozen.

  Args:
    frozen: the embeddings and so many blocks stay frozen; 0 = none.
    every: updates after which one more layer is trained, from above; at first only what is above
      all blocks is (Howard and Ruder 2018). 0 = all at once.
  """

  def share(number, L, step):
    kept = number > frozen if frozen else number >= 0
    if every:
      kept &= number >= L + 1 - step // every
    return kept.astype(jnp.float32)

  return share


def scaled(updates, share: Callable, step):
  """A tree of updates times what `share` says of each layer at this step."""
  L = _layers(updates)

  def scaled_leaf(path, x):
    number = _number(path, L, x)
    return x * share(number, L, step).reshape(-1, *(1,) * (x.ndim - 1)).astype(x.dtype)

  return jax.tree_util.tree_map_with_path(scaled_leaf, updates)


def _names(path) -> list[str]:
  return [entry.key for entry in path if isinstance(entry, jax.tree_util.DictKey)]


def _layers(tree) -> int:
  """L, from the arrays of the blocks, which are stacked."""
  return jax.tree.leaves(tree['trunk']['blocks'])[0].shape[0]


def _number(path, L: int, x) -> jax.Array:
  """The layer numbers along the first axis of an array; one for all where it has one layer."""
  names = _names(path)
  if 'blocks' in names:
    return jnp.arange(1, L + 1)[L - x.shape[0] :]  # a first layer may lack its norm
  return jnp.array([0 if names[0] == 'embeddings' else L + 1])
