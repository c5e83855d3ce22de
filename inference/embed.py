"""A vector for a text: the last layer, pooled over its tokens (Reimers and Gurevych 2019)."""

from collections import deque
from collections.abc import Callable, Iterator
import dataclasses

import jax
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from data.rows.batches import next_multiple
from data.rows.packed import best_fit
from inference.layout import joined
from inference.model import Model
from models.network import make_network
from models.pooling import blind, pool, unit
from runtime import finite
from runtime.errors import WeightsError

# Rows of so many tokens at least, filled with short texts; fewer where all texts need fewer.
_ROW, _LEAST = 64, 16
_SLOTS = 16  # the most texts of a row


class Embedder:
  """Texts in, vectors out.

  A text stands between the special tokens of `Model.frame`. Where the files of a sentence encoder
  name a default prompt or fewer dimensions, they are obeyed.

  Args:
    max_length: tokens of a text that are read, special ones counted; as many as the model says
      unless given.
    pooling: a key of models.pooling.POOLINGS; the model's own unless given.
    normalize: vectors of length 1; a model may say so of itself.
    read: (params, batch) -> {'hidden': BxTxD}, what is pooled and not projected; the output of the
      last layer unless given.
    truncate: dimensions of a vector that are kept, the first ones; as many as the model says unless
      given.
    prompt: put before each text; the model's default one unless given.

  Attributes:
    width: D of the vectors.

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
    truncate: int | None = None,
    prompt: str | None = None,
  ):
    self._tokenizer = model.need_tokenizer()
    length = model.text_length if max_length is None else max_length
    self._max_length = min(length, model.context)
    self._begin, self._end = model.frame
    self._prompt = model.default_prompt if prompt is None else prompt
    devices = jax.local_devices()
    self._mesh = jax.make_mesh(
      (len(devices),), ('data',), devices=devices, axis_types=(jax.sharding.AxisType.Auto,)
    )
    whole = NamedSharding(self._mesh, PartitionSpec())
    self._params = jax.device_put(joined(model.params), whole)
    self._by_row = NamedSharding(self._mesh, PartitionSpec('data'))
    config = dataclasses.replace(model.config, pooling=pooling or model.config.pooling)
    if truncate is None and read is None:
      truncate = model.truncate_dim
    if blind(model.mask, config.pooling):
      raise WeightsError(
        f"pooling 'first' under a {model.mask} mask: the first token sees nothing of the text that "
        'it would stand for. Use last or mean.'
      )
    model.need_projection()
    network = make_network(config, mask=model.mask, packed=True, heads=('vector',))
    self.width = len(range(config.projection or config.width)[:truncate])

    @jax.jit
    def embed(params, batch):
      if read is None:
        vector_BxKxD = network.apply(params, batch)['vector']
      else:
        hidden_BxTxD = read(params, batch)['hidden']
        vector_BxKxD = pool(hidden_BxTxD, batch['segment'], config.pooling, _SLOTS)
      vector_BxKxD = vector_BxKxD[..., :truncate]
      return unit(vector_BxKxD) if normalize else vector_BxKxD

    self._embed = embed

  def __call__(
    self,
    texts: list[str],
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
    *,
    prompt: str | None = None,
  ) -> np.ndarray:
    """Vectors NxD, float32, in the order of the texts.

    Args:
      batch_size: rows of 64 tokens at once on a device, fewer of longer ones.
      progress: called with how many texts are done.
      prompt: put before each text in place of the embedder's.

    Raises:
      NumericalError: a vector is not finite.
    """
    before = self._prompt if prompt is None else prompt
    texts = [before + text for text in texts]
    rows = [self._row(ids) for ids in self._tokenizer.encode(texts)]
    vectors: list[np.ndarray | None] = [None] * len(rows)
    waiting: deque = deque()
    done = 0

    def take():
      nonlocal done
      members, vector_BxKxD = waiting.popleft()
      for of_row, vector_KxD in zip(members, np.asarray(vector_BxKxD)):
        for index, vector_D in zip(of_row, vector_KxD):
          vectors[index] = vector_D
      done += sum(map(len, members))
      if progress is not None:
        progress(done)

    for T, members in self._plan([len(row) for row in rows], batch_size * self._mesh.size):
      batch = jax.device_put(self._batch(rows, members, T), self._by_row)
      with jax.set_mesh(self._mesh):
        waiting.append((members, self._embed(self._params, batch)))
      if len(waiting) > 1:  # the devices have the next one while this one is taken
        take()
    while waiting:
      take()
    vector_NxD = np.stack(vectors)
    finite.check(vector_NxD, f'the vectors of {len(texts):,} texts')
    return vector_NxD

  def _row(self, ids: np.ndarray) -> np.ndarray:
    """The tokens that the network reads of a text."""
    alone = not (len(ids) or self._end)  # a row is not empty
    begin = self._begin or ((self._tokenizer.bos,) if alone else ())
    room = max(0, self._max_length - len(begin) - len(self._end))
    return np.array([*begin, *ids[:room], *self._end], np.int32)

  def _plan(self, lengths: list[int], batch_size: int) -> Iterator[tuple[int, list[list[int]]]]:
    """(T, the texts of each row) of each batch: rows are filled with texts, longest first."""
    left = list(range(len(lengths)))
    for width in sorted({self._width(length, _ROW) for length in lengths}, reverse=True):
      if not left:
        break
      shorter = self._width(width // 2, _ROW) if width > _ROW else 0
      least = -(-width // _SLOTS)  # so short a text takes as much room: a row holds few texts
      room = [max(lengths[index], least) for index in left]
      T = width if shorter else self._width(max(max(room), min(sum(room), width)), _LEAST)
      bins = [[left[place] for place in one] for one in best_fit(room, T)]
      # what no longer text has left room for goes into narrower rows
      now = [one for one in bins if max(lengths[index] for index in one) > shorter]
      left = [index for one in bins if one not in now for index in one]
      count = max(1, batch_size * _ROW // max(T, _ROW))
      for start in range(0, len(now), count):
        yield T, now[start : start + count]

  def _width(self, length: int, least: int) -> int:
    """Tokens of a row that holds so many: few widths, so few compiled programs."""
    return min(max(least, 1 << (length - 1).bit_length()), self._max_length)

  def _batch(
    self, rows: list[np.ndarray], members: list[list[int]], T: int
  ) -> dict[str, np.ndarray]:
    """What the network is given: the texts of a row one after the other, each its own segment."""
    B = next_multiple(1 << (len(members) - 1).bit_length(), self._mesh.size)
    token_BxT = np.zeros((B, T), np.int32)
    segment_BxT = np.zeros_like(token_BxT)
    for row, of_row in enumerate(members):
      position = 0
      for number, index in enumerate(of_row, 1):
        stop = position + len(rows[index])
        token_BxT[row, position:stop] = rows[index]
        segment_BxT[row, position:stop] = number
        position = stop
    return dict(
      token=token_BxT,
      segment=segment_BxT,
      type=np.zeros_like(token_BxT),
      present=np.zeros((B, _SLOTS), bool),  # its shape says how many texts a row may have
    )
