"""What a fine-tuned model says of texts: classes, numbers, and a label for each word."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data.errors import DataError
from data.rows.batches import next_multiple
from data.tasks import rows
from data.tasks.files import Example
from data.tokens.frames import Frame
from data.tokens.tokenizer import Tokenizer
from inference import framing
from inference.labels import HEADS, Labels
from inference.model import Model
from models.network import make_network
from runtime import finite
from runtime.errors import WeightsError

_SHORT = 64  # tokens: below, lengths are rounded up to a quarter of it, above to the whole
_RAW = ('number', 'span', 'choice')  # kinds of labels that are no shares of one row's output
UNREAD = -1  # the class of a word that has no token


class Said(NamedTuple):
  """What a model says of one text.

  Attributes:
    label: index of a class, or of an answer; a tuple of them, where a text may have several, or of
      words one each, UNREAD of a word without a token; a number where labels are numbers.
    probability: of each class or answer; of words that of each word's label; () where labels are
      numbers.
    cut: tokens that were not read, as there was no room for them.
  """

  label: int | float | tuple[int, ...]
  probability: tuple[float, ...]
  cut: int = 0


class Predictor:
  """Texts in, labels out; texts of like length share a batch.

  Args:
    max_length: tokens of a row, at most, its frame counted; as in training unless given.
    batch_size: rows at once; changes speed only.

  Raises:
    WeightsError: the model has no head for labels, or their names are not known.
  """

  def __init__(self, model: Model, *, max_length: int | None = None, batch_size: int = 32):
    self.labels = _labels(model)
    self._tokenizer = model.need_tokenizer()
    self._frame = framing.of(model)
    length = max_length or self.labels.max_length or model.context
    self.max_length = min(length, model.context)
    self._batch_size = batch_size
    self._params = jax.tree.map(jnp.asarray, model.params)
    self._head = head = HEADS.get(self.labels.kind, 'sequence')
    network = make_network(model.config, mask=model.mask, packed=False, heads=(head,))
    squash = jax.nn.sigmoid if self.labels.labels == 'several' else jax.nn.softmax

    @jax.jit
    def say(params, batch):
      logits = network.apply(params, batch)[head]
      logits = logits[:, 0] if head == 'sequence' else logits
      return logits if self.labels.labels in _RAW else squash(logits)

    self._say = say

  def texts(self, texts: Sequence[tuple[str, ...]]) -> list[Said | None]:
    """What the model says of texts, or pairs of them, in their order.

    Nothing is said of a text in which the tokenizer finds no token: None.

    Raises:
      DataError: there is no room for a text.
      NumericalError: an output is not finite.
    """
    encoded = iter(self._tokenizer.encode([text for each in texts for text in each]))
    parts = [[next(encoded) for _ in each] for each in texts]
    kept = [rows.fit(part, self._room(len(part))) for part in parts]
    found = self._of_rows([self._frame.lay(part) for part in kept])
    cut = [sum(map(len, part)) - sum(map(len, short)) for part, short in zip(parts, kept)]
    return [
      self._of_text(said_C, lost) if all(map(len, part)) else None
      for said_C, lost, part in zip(found, cut, parts)
    ]

  def choices(self, questions: Sequence[tuple[str, ...]]) -> list[Said | None]:
    """Which answer the model chooses, of questions with their answers: (question, answer, ...).

    Nothing is said where the tokenizer finds no token in the question or in an answer: None.

    Raises:
      as `texts`.
    """
    pairs = [(question, answer) for question, *answers in questions for answer in answers]
    scores = iter(self.texts(pairs))
    found: list[Said | None] = []
    for _, *answers in questions:
      own = [next(scores) for _ in answers]
      found.append(None if None in own else _chosen(own))
    return found

  def words(self, sentences: Sequence[tuple[str, ...]]) -> list[Said | None]:
    """What the model says of each word of sentences; None of those without any token.

    A sentence of more tokens than a row holds is read in windows that share half of their tokens;
    a word has the label of the window in which it is farthest from the ends.
    """
    room = self._room(1)
    examples = [Example(words, None) for words in sentences]
    parts, word_start = rows.word_tokens(examples, self._tokenizer)
    starts = [_windows(len(ids), room) for (ids,) in parts]
    laid = [
      self._frame.lay([ids[start : start + room]])
      for (ids,), begins in zip(parts, starts)
      for start in begins
    ]
    found = iter(self._of_rows(laid))
    said = []
    for (ids,), begins, first in zip(parts, starts, word_start):
      windows = [next(found) for _ in begins]
      of_words = self._of_words(windows, begins, first - 1, len(ids), room) if len(ids) else None
      said.append(of_words)
    return said

  def ends(self, pairs: Sequence[list[np.ndarray]]) -> list[np.ndarray]:
    """How each token of a row scores as the first and as the last of an answer, Tx2 each.

    Args:
      pairs: the ids of a question and of a part of its text, of each row.
    """
    return self._of_rows([self._frame.lay(part) for part in pairs])

  @property
  def frame(self) -> Frame:
    """What stands around the texts of a row."""
    return self._frame

  @property
  def tokenizer(self) -> Tokenizer:
    """The tokenizer of the model."""
    return self._tokenizer

  def _room(self, texts: int) -> int:
    room = self.max_length - self._frame.size(texts)
    if room < texts:
      what = 'a pair' if texts == 2 else 'a text'
      raise DataError(f'rows of {self.max_length} tokens have no room for {what}')
    return room

  def _of_text(self, said_C: np.ndarray, cut: int) -> Said:
    if self.labels.labels in ('number', 'choice'):
      return Said(float(said_C[0]), (), cut)
    probability = tuple(said_C.tolist())
    if self.labels.labels == 'several':
      return Said(tuple(np.flatnonzero(said_C > 0.5).tolist()), probability, cut)
    return Said(int(said_C.argmax()), probability, cut)

  def _of_words(self, windows, begins, first_W, length: int, room: int) -> Said:
    """Args: first_W: where each word's first token is in the sentence; -1 where it has none."""
    begin_N = np.array(begins)
    left_NxW = np.where(begin_N == 0, length, 0)[:, None] + first_W[None] - begin_N[:, None]
    right_NxW = begin_N[:, None] + room - 1 - first_W[None]
    inside_NxW = (first_W[None] >= begin_N[:, None]) & (right_NxW >= 0)
    right_NxW = right_NxW + np.where(begin_N + room >= length, length, 0)[:, None]
    best_W = np.where(inside_NxW, np.minimum(left_NxW, right_NxW), -1).argmax(axis=0)
    label, sure = [], []
    for first, window in zip(first_W, best_W):
      if first < 0:
        label.append(UNREAD)
        sure.append(0.0)
        continue
      said_C = windows[window][len(self._frame.before) + first - begins[window]]
      label.append(int(said_C.argmax()))
      sure.append(float(said_C.max()))
    return Said(tuple(label), tuple(sure))

  def _of_rows(self, laid: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """The output for each row: C, or of words TxC."""
    by_length = sorted(range(len(laid)), key=lambda index: len(laid[index][0]))
    found: list = [None] * len(laid)
    for start in range(0, len(laid), self._batch_size):
      chosen = by_length[start : start + self._batch_size]
      said = np.asarray(self._say(self._params, self._batch([laid[index] for index in chosen])))
      finite.check(said[: len(chosen)], f'what is said of {len(chosen):,} texts')
      for index, one in zip(chosen, said):
        found[index] = one
    return found

  def _batch(self, laid: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Rows padded to few shapes, each of which is a program to compile."""
    longest = max(len(ids) for ids, _ in laid)
    T = min(next_multiple(longest, _SHORT if longest > _SHORT else _SHORT // 4), self.max_length)
    B = min(1 << (len(laid) - 1).bit_length(), self._batch_size)
    batch = {name: np.zeros((B, T), np.int32) for name in ('token', 'segment', 'type')}
    for row, (ids, types) in enumerate(laid):
      batch['token'][row, : len(ids)] = ids
      batch['type'][row, : len(ids)] = types
      batch['segment'][row, : len(ids)] = 1
    if self._head == 'sequence':
      batch |= _pooled(batch['segment'], self.labels.pooling)
    return batch


def _labels(model: Model) -> Labels:
  """The labels of a model; raises WeightsError where there are none."""
  heads = sorted({*HEADS.values()} & {*model.heads})
  if not heads:
    raise WeightsError(
      f'{model.source} has no head for labels, only {", ".join(model.heads) or "the trunk"}: '
      'fine-tune it first (docs/predict.md).'
    )
  if model.labels is None:
    raise WeightsError(
      f'{model.source} has the head {heads[0]!r}, and no names of its labels are known: import it '
      'again with tools.convert, or bring the labels.json of the run back.'
    )
  return model.labels


def _chosen(scores: list[Said]) -> Said:
  """The answer with the highest score among those to one question."""
  score_A = np.array([each.label for each in scores], np.float64)
  share_A = np.exp(score_A - score_A.max())
  share_A /= share_A.sum()
  return Said(int(score_A.argmax()), tuple(share_A.tolist()), sum(each.cut for each in scores))


def _windows(length: int, room: int) -> list[int]:
  """Where the windows of a text begin: one, or several that share half of their tokens."""
  if length <= room:
    return [0]
  step = max(1, room // 2)
  return [*range(0, length - room, step), length - room]


def _pooled(segment_BxT: np.ndarray, pooling: str) -> dict[str, np.ndarray]:
  """Which states stand for the text of each row, as `objectives.classify.pool` says it."""
  count_B = np.maximum(segment_BxT.sum(axis=1), 1)
  if pooling == 'mean':
    return dict(pool=(segment_BxT / count_B[:, None])[:, None].astype(np.float32))
  at_B = np.zeros_like(count_B) if pooling == 'first' else count_B - 1
  return dict(pool_at=at_B[:, None].astype(np.int32))
