"""A vector for a text: the last layer, pooled over its tokens (Reimers and Gurevych 2019)."""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from data.rows.batches import in_batches, next_multiple
from inference.model import Model
from models.masks import KINDS
from models.network import make_network
from models.pooling import pool, unit
from runtime import finite
from runtime.errors import WeightsError

_BUCKET = 16  # lengths are rounded up to this, so that few programs serve all texts


class Embedder:
  """Texts in, vectors out.

  A text stands after the tokenizer's `bos` where the model's training had it so, and before its
  `eos` unless the model is causal.

  Args:
    max_length: tokens of a text that are read, special ones counted; as many as the model can
      unless given.
    pooling: a key of models.pooling.POOLINGS; the model's own unless given.
    normalize: vectors of length 1; a model may say so of itself.
    read: (params, batch) -> {'hidden': BxTxD}, what is pooled and not projected; the output of the
      last layer unless given.

  Raises:
    WeightsError: the mask lets the first token, which is to stand for its text, see nothing of it.
  """

  def __init__(
    self,
    model: Model,
    *,
    max_length: int | None = None,
    pooling: str | None = None,
    normalize: bool = True,
    read: Callable[..., dict[str, jax.Array]] | None = None,
  ):
    self._tokenizer = model.need_tokenizer()
    self._max_length = model.context if max_length is None else min(max_length, model.context)
    self._add_bos, self._add_eos = model.add_bos, model.mask != 'causal'
    self._params = jax.tree.map(jnp.asarray, model.params)
    config = dataclasses.replace(
      model.config,
      pooling=pooling or model.config.pooling,
      unit_vectors=normalize or model.config.unit_vectors,
    )
    if config.pooling == 'first' and not KINDS[model.mask].rule(0, 1, True):
      raise WeightsError(
        f"pooling 'first' under a {model.mask} mask: the first token sees nothing of the text that "
        'it would stand for. Use last or mean.'
      )
    network = make_network(config, mask=model.mask, packed=False, heads=('vector',))

    @jax.jit
    def embed(params, batch):
      if read is None:
        return network.apply(params, batch)['vector'][:, 0]
      vector_BxD = pool(read(params, batch)['hidden'], batch['segment'], config.pooling)[:, 0]
      return unit(vector_BxD) if config.unit_vectors else vector_BxD

    self._embed = embed

  def __call__(
    self, texts: list[str], batch_size: int = 32, progress: Callable[[int], None] | None = None
  ) -> np.ndarray:
    """Vectors NxD, float32, in the order of the texts; texts of like length share a batch.

    Args:
      progress: called with how many texts are done.

    Raises:
      NumericalError: a vector is not finite.
    """
    rows = [self._row(ids) for ids in self._tokenizer.encode(texts)]
    by_length = np.array(sorted(range(len(rows)), key=lambda index: len(rows[index])))
    vectors: list[np.ndarray | None] = [None] * len(rows)
    done = 0
    for index_B, new in in_batches(len(rows), batch_size):
      chosen_B = by_length[index_B]
      batch = self._batch([rows[index] for index in chosen_B])
      vector_BxD = np.asarray(self._embed(self._params, batch))
      for index, vector_D in zip(chosen_B[:new], vector_BxD):
        vectors[index] = vector_D
      done += new
      if progress is not None:
        progress(done)
    vector_NxD = np.stack(vectors)
    finite.check(vector_NxD, f'the vectors of {len(texts):,} texts')
    return vector_NxD

  def _row(self, ids: np.ndarray) -> np.ndarray:
    """The tokens that the network reads of a text."""
    start = [self._tokenizer.bos] if self._add_bos or not len(ids) else []
    end = [self._tokenizer.eos] if self._add_eos else []
    room = self._max_length - len(start) - len(end)
    return np.array([*start, *ids[:room], *end], np.int32)

  def _batch(self, rows: list[np.ndarray]) -> dict[str, np.ndarray]:
    """What the network is given, padded to the longest row."""
    T = min(next_multiple(max(map(len, rows)), _BUCKET), self._max_length)
    token_BxT = np.zeros((len(rows), T), np.int32)
    segment_BxT = np.zeros_like(token_BxT)
    for row, token_T in enumerate(rows):
      token_BxT[row, : len(token_T)] = token_T
      segment_BxT[row, : len(token_T)] = 1
    return dict(
      token=token_BxT,
      segment=segment_BxT,
      type=np.zeros_like(token_BxT),
      mlm_position=np.zeros((len(rows), 1), np.int32),
    )
