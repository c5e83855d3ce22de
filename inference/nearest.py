"""The nearest rows of a matrix to each query: every row is compared, some at a time."""

from collections.abc import Callable

import numpy as np

_ROWS = 1 << 14  # compared at once


def nearest(
  query_QxD: np.ndarray,
  rows_of: Callable[[int, int], np.ndarray],
  count: int,
  *,
  top: int,
  left_out_N: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """(row_QxK, cosine_QxK), the largest cosine first; of equal ones the earlier row.

  Args:
    rows_of: (start, stop) -> those of the N rows as float32 vectors.
    count: N.
    top: K; fewer where there are not so many rows.
    left_out_N: rows that are never found.
  """
  query_QxD = _unit(query_QxD)
  row_QxK = np.zeros((len(query_QxD), 0), np.int64)
  cosine_QxK = np.zeros((len(query_QxD), 0), np.float32)
  for start in range(0, count, _ROWS):
    index_M = np.arange(start, min(start + _ROWS, count))
    vector_MxD = _unit(rows_of(start, index_M[-1] + 1))
    if left_out_N is not None:
      kept_M = ~left_out_N[index_M]
      index_M, vector_MxD = index_M[kept_M], vector_MxD[kept_M]
    new_QxM = np.broadcast_to(index_M, (len(query_QxD), len(index_M)))
    row_QxK = np.concatenate([row_QxK, new_QxM], axis=1)
    cosine_QxK = np.concatenate([cosine_QxK, query_QxD @ vector_MxD.T], axis=1)
    best_QxK = np.argsort(-cosine_QxK, axis=1, kind='stable')[:, :top]
    row_QxK = np.take_along_axis(row_QxK, best_QxK, axis=1)
    cosine_QxK = np.take_along_axis(cosine_QxK, best_QxK, axis=1)
  return row_QxK, cosine_QxK


def _unit(vector_NxD: np.ndarray) -> np.ndarray:
  vector_NxD = vector_NxD.astype(np.float32)
  return vector_NxD / np.maximum(np.linalg.norm(vector_NxD, axis=1, keepdims=True), 1e-12)
