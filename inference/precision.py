"""Vectors in fewer bits, as `quantize_embeddings` of sentence-transformers makes them, and back."""

import numpy as np

PRECISIONS = ('float32', 'float16', 'int8', 'uint8', 'binary', 'ubinary')
# Their types in a file.
TYPES = {name: dict(binary='int8', ubinary='uint8').get(name, name) for name in PRECISIONS}
RANGED = ('int8', 'uint8')  # they need the least and the largest value of each dimension


def convert(
  vector_NxD: np.ndarray, precision: str, range_2xD: np.ndarray | None = None
) -> np.ndarray:
  """float32 vectors as what is stored; of binary ones the bits of eight dimensions are a byte.

  Args:
    precision: one of PRECISIONS; binary is ubinary - 128, so that the type has a sign.
    range_2xD: the least and the largest value of each dimension, for RANGED.
  """
  if precision in RANGED:
    start_D, step_D = _steps(range_2xD)
    level_NxD = np.clip(np.floor((vector_NxD - start_D) / step_D), 0, 255)
    return (level_NxD - 128).astype(np.int8) if precision == 'int8' else level_NxD.astype(np.uint8)
  if precision == 'binary':
    return (np.packbits(vector_NxD > 0, axis=-1).astype(np.int16) - 128).astype(np.int8)
  if precision == 'ubinary':
    return np.packbits(vector_NxD > 0, axis=-1)
  return vector_NxD.astype(precision)


def restore(
  stored_NxD: np.ndarray, precision: str, width: int, range_2xD: np.ndarray | None = None
) -> np.ndarray:
  """float32 vectors of width D from what is stored: to rank by, not what they were.

  A bit is 1 or -1; a level stands for its lower end, as in sentence-transformers.
  """
  if precision in RANGED:
    start_D, step_D = _steps(range_2xD)
    level_NxD = stored_NxD.astype(np.float32) + (128 if precision == 'int8' else 0)
    return level_NxD * step_D + start_D
  if precision in ('binary', 'ubinary'):
    if precision == 'binary':
      stored_NxD = (stored_NxD.astype(np.int16) + 128).astype(np.uint8)
    return np.unpackbits(stored_NxD, axis=-1)[:, :width].astype(np.float32) * 2 - 1
  return stored_NxD.astype(np.float32)


def stored_width(width: int, precision: str) -> int:
  """Numbers of a stored row."""
  return -(-width // 8) if precision.endswith('binary') else width


def _steps(range_2xD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Where the levels of each dimension begin, and how far apart they are."""
  start_D, end_D = range_2xD.astype(np.float32)
  step_D = (end_D - start_D) / 255
  return start_D, np.where(step_D == 0, np.float32(1), step_D)
