"""Parameters of a vocabulary that has grown: a new entry begins as the mean of its pieces."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from data.tokens import extension
from data.tokens.tokenizer import Tokenizer


def grown(
  theirs: dict[str, Any],
  ours: dict[str, Any],
  old: Tokenizer,
  new: Tokenizer,
  to_host: Callable = jax.device_get,
) -> dict[str, Any]:
  """The parameters of a model with rows for the new entries of its vocabulary.

  Args:
    theirs: {path: array} of the model.
    ours: those of the run that goes on; rows that no entry has are left as they are there.
    old, new: vocabularies, of which the second extends the first.
    to_host: returns whole arrays, also those that other processes hold parts of.
  """
  row_of = {}
  for index in range(old.size, new.size):
    row_of[index] = extension.pieces(old, new.token(index)) or [old.unknown]
  found = dict(theirs)
  for path, x_Vx in ours.items():
    if path in theirs and _of_vocabulary(path):
      before_Vx, rows_Vx = to_host(theirs[path]), np.array(to_host(x_Vx))
      rows_Vx[: old.size] = before_Vx[: old.size]
      for index, parts in row_of.items():
        rows_Vx[index] = before_Vx[parts].mean(0)
      found[path] = rows_Vx
  return found


def _of_vocabulary(path: str) -> bool:
  """Whether a parameter has a row for each entry: the embedding, an output table, or its bias."""
  head, _, rest = path.partition('/')
  return path == 'embeddings/token' or head in ('mlm', 'clm') and rest in ('bias', 'kernel')
