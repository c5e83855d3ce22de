"""The vectors of the lines of a text: in memory or in a file, and the lines nearest to a query."""

import functools
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inference import precision as precisions
from inference import saved_vectors
from inference.embed import Embedder
from inference.model import Model
from inference.nearest import nearest
from models.network import by_path
from runtime.errors import StateError, WeightsError


class Asked(NamedTuple):
  """What decides the numbers of a vector, beside the weights; see tools/embed.py."""

  pooling: str
  normalize: bool
  prompt: str
  truncate_dim: int | None
  precision: str
  max_length: int


class LineVectors:
  """Vectors of lines, made when they are asked for.

  Args:
    console: is told how far it is.
    source: of the lines, for messages.

  Attributes:
    width: D of the vectors.
  """

  def __init__(
    self, model: Model, lines: list[str], asked: Asked, batch_size: int, console, source: str
  ):
    self._model, self._lines, self._asked = model, lines, asked
    self._batch_size, self._console, self._source = batch_size, console, source
    self._embed = Embedder(
      model,
      max_length=asked.max_length,
      pooling=asked.pooling,
      normalize=asked.normalize,
      truncate=asked.truncate_dim,
    )
    self.width = self._embed.width
    if asked.truncate_dim and asked.truncate_dim > self.width:
      raise WeightsError(
        f'--truncate_dim={asked.truncate_dim}: {model.source} has vectors of {self.width}.'
      )
    # what reading a line costs, about: a token has four characters, and no more are read
    costs = [min(len(line), 4 * asked.max_length) + 8 for line in lines]
    self._cost_N = np.concatenate([[0], np.cumsum(costs)])

  def save(self, path: Path):
    """Writes the matrix; goes on where a process before this one was stopped."""
    about = dict(rows=len(self._lines), width=self.width) | self._identity | self._asked._asdict()
    saved_vectors.write(path, about, self._part, self._console.say)

  def write_groups(self, path: Path, blanks: list[bool]):
    """Writes text and vector of each line that is not blank, as JSON lines."""
    part = path.with_name(f'{path.name}.part')
    with part.open('w', encoding='utf-8') as file:
      for start in range(0, len(self._lines), saved_vectors.CHUNK):
        stop = min(start + saved_vectors.CHUNK, len(self._lines))
        for number, vector_D in enumerate(self._part(start, stop), start):
          if not blanks[number]:
            vector = [float(f'{x:.9g}') for x in vector_D]  # so many digits give float32 back
            row = dict(text=self._lines[number], vector=vector)
            file.write(json.dumps(row, ensure_ascii=False) + '\n')
    part.replace(path)

  def search(
    self, queries: list[str], prompt: str, top: int, path: Path | None, blanks: list[bool]
  ) -> list[list[dict]]:
    """The nearest lines to each query: line (from 1), cosine and text.

    Args:
      prompt: put before each query.
      path: of the matrix of the lines; None: it is made here.
      blanks: which lines are never found.
    """
    query_QxD = self._embed(queries, self._batch_size, prompt=prompt)
    rows_of = self._in_memory() if path is None else self._saved(path).read
    row_QxK, cosine_QxK = nearest(
      query_QxD, rows_of, len(self._lines), top=top, left_out_N=np.array(blanks)
    )
    return [
      [
        dict(line=int(row) + 1, cosine=float(cosine), text=self._lines[row])
        for row, cosine in zip(row_K, cosine_K)
      ]
      for row_K, cosine_K in zip(row_QxK, cosine_QxK)
    ]

  def _part(self, start: int, stop: int) -> np.ndarray:
    """The vectors of some lines, float32."""

    def progress(done: int):
      cost_N = self._cost_N
      here = (cost_N[stop] - cost_N[start]) * done / (stop - start)
      share = (cost_N[start] + here) / cost_N[-1]
      self._console.part('embedding', start + done, len(self._lines), float(share))

    lines = self._lines[start:stop]
    return self._embed(lines, self._batch_size, progress, prompt=self._asked.prompt)

  def _in_memory(self):
    """(start, stop) -> vectors as the precision that was asked for leaves them."""
    count, asked = len(self._lines), self._asked
    starts = range(0, count, saved_vectors.CHUNK)
    parts = [self._part(start, min(start + saved_vectors.CHUNK, count)) for start in starts]
    vector_NxD = np.concatenate(parts)
    range_2xD = np.stack([vector_NxD.min(axis=0), vector_NxD.max(axis=0)])
    stored_NxD = precisions.convert(vector_NxD, asked.precision, range_2xD)
    restore = functools.partial(
      precisions.restore, precision=asked.precision, width=self.width, range_2xD=range_2xD
    )
    return lambda start, stop: restore(stored_NxD[start:stop])

  def _saved(self, path: Path) -> saved_vectors.Saved:
    """The matrix of these lines.

    Raises:
      StateError: it is of other lines, or of another model.
    """
    saved = saved_vectors.Saved(path)
    if (saved.rows, saved.width) != (len(self._lines), self.width):
      raise StateError(
        f'{path} has {saved.rows:,} rows of {saved.width}; there are {len(self._lines):,} lines, '
        f'and vectors of {self.width}.'
      )
    wanted = self._identity | dict(pooling=self._asked.pooling)
    for name, value in wanted.items():
      if saved.about.get(name, value) != value:
        raise StateError(f'{path} ' + self._difference(name, saved.about[name], value))
    return saved

  def _difference(self, name: str, there: object, here: object) -> str:
    if name == 'lines_sha256':
      return f'holds the vectors of another text than {self._source}.'
    if name == 'weights_sha256':
      return f'holds the vectors of another model than {self._model.source}.'
    return f'was made with another {name}: {there}, here {here}.'

  @functools.cached_property
  def _identity(self) -> dict[str, str]:
    """Hashes of the lines and of the weights."""
    lines = hashlib.sha256()
    for line in self._lines:
      lines.update(line.encode() + b'\n')
    weights = hashlib.sha256()
    for name, x in sorted(by_path(self._model.params).items()):
      weights.update(name.encode() + np.ascontiguousarray(x).tobytes())
    return dict(lines_sha256=lines.hexdigest(), weights_sha256=weights.hexdigest())
