"""A vector for a text: the last layer, pooled over the
text's tokens (Reimers and Gurevych 2019).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from inference.model import Model

_BUCKET = 16  # lengths are rounded up to this, so that few programs serve all texts


class Embedder:
  """Texts in, vectors out.

  A text stands after the tokenizer's `bos` where the model's training had it so, and before its
  `eos` unless the model is causal.

  Args:
    max_length: tokens of a text that are read, special ones counted; as many as the model can
      unless given.
    pooling: mean over all tokens (special ones count), or the first or last one alone.
    normalize: vectors of length 1.
    read: (params, batch) -> {'hidden': BxTxD}, what is pooled;
      the output of the last layer unless given.
  """

  def __init__(
    self,
    model: Model,
    *,
    max_length: int | None = None,
    pooling: str = 'mean',
    normalize: bool = True,
    read: Callable[..., dict[str, jax.Array]] | None = None,
  ):
    self._tokenizer = model.need_tokenizer()
    self._max_length = model.context if max_length is None else min(max_length, model.context)
    self._add_bos, self._add_eos = model.add_bos, model.mask != 'causal'
    self._params = jax.tree.map(jnp.asarray, model.params)
    read = model.trunk.apply if read is None else read

    @jax.jit
    def embed(params, batch):
      hidden_BxTxD = read(params, batch)['hidden'].astype(jnp.float32)
      valid_BxTx1 = (batch['segment'] > 0).astype(jnp.float32)[:, :, None]
      if pooling == 'mean':
        vector_BxD = (hidden_BxTxD * valid_BxTx1).sum(axis=1) / valid_BxTx1.sum(axis=1)
      elif pooling == 'first':
        vector_BxD = hidden_BxTxD[:, 0]
      else:
        last_Bx1x1 = valid_BxTx1.sum(axis=1, keepdims=True).astype(jnp.int32) - 1
        vector_BxD = jnp.take_along_axis(hidden_BxTxD, last_Bx1x1, axis=1)[:, 0]
      if normalize:
        vector_BxD /= jnp.maximum(jnp.linalg.norm(vector_BxD, axis=1, keepdims=True), 1e-12)
      return vector_BxD

    self._embed = embed

  def __call__(
    self, texts: list[str], batch_size: int = 32, progress: Callable[[int], None] | None = None
  ) -> np.ndarray:
    """float32, a row a text. Texts of like length share a
    batch; the order of the rows is theirs.
    """
    rows = [self._row(ids) for ids in self._tokenizer.encode(texts)]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    vectors: list[np.ndarray | None] = [None] * len(rows)
    for start in range(0, len(order), batch_size):
      chosen = order[start : start + batch_size]
      T = -(-len(rows[chosen[-1]]) // _BUCKET) * _BUCKET
      token_BxT = np.zeros((batch_size, min(T, self._max_length)), np.int32)
      segment_BxT = np.zeros_like(token_BxT)
      segment_BxT[:, 0] = 1  # rows that only fill the batch divide by one token
      for row, index in enumerate(chosen):
        token_BxT[row, : len(rows[index])] = rows[index]
        segment_BxT[row, : len(rows[index])] = 1
      batch = dict(
        token=token_BxT,
        segment=segment_BxT,
        type=np.zeros_like(token_BxT),
        mlm_position=np.zeros((batch_size, 1), np.int32),
      )
      for index, vector_D in zip(chosen, np.asarray(self._embed(self._params, batch))):
        vectors[index] = vector_D
      if progress is not None:
        progress(min(start + batch_size, len(rows)))
    return np.stack(vectors)

  def _row(self, ids: np.ndarray) -> np.ndarray:
    begin = [self._tokenizer.bos] if self._add_bos or not len(ids) else []
    end = [self._tokenizer.eos] if self._add_eos else []
    return np.array([*begin, *ids[: self._max_length - len(begin) - len(end)], *end], np.int32)
