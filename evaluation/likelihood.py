"""What a model says of a text, in nats: one scorer for every cell
of the grid, and never a number without its kind.

A score is -log p of a text's tokens given the tokenizer's `bos`, or, where no chain rule makes a
probability of a whole text, a pseudo-score: the same sum over tokens of
which each was predicted with others known. Kinds:

  causal    each token given those before it; sums to a probability over all texts.
  prefix    the same, after a beginning that is bidirectional and is not scored (Raffel et al. 2020,
            3.2.1).
  pll       each token hidden alone, all others seen (Salazar et al. 2020).
  pll_word  with a token the later tokens of its word are masked too (Kauf and Ivanova 2023,
            "within-word l2r").
  mntp      as pll, and predicted from the position before (GPT-BERT, Charpentier and Samuel 2024).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data.tokens.tokenizer import Tokenizer
from evaluation.errors import TaskError
from evaluation.validation import perplexity
from objectives.projection import projected_nats

# What one token's share of a score is called, in every result.
KINDS = dict(
  causal='causal log-likelihood',
  prefix='log-likelihood after a prefix read from both sides',
  pll='pseudo-log-likelihood, a token hidden at a time',
  pll_word='pseudo-log-likelihood, the rest of the word hidden too',
  mntp='pseudo-log-likelihood, a token hidden and predicted from the position before',
)
_HEAD = dict(causal='clm', prefix='clm', pll='mlm', pll_word='mlm', mntp='mlm')
_LOGITS = 1 << 26  # that exist at once: 256 MiB


def kinds_of(mask: str, objectives: Iterable[str]) -> tuple[str, ...]:
  """The kinds of score that a model of this mask and these
  objectives can give, the one that fits best first.
  """
  kinds = []
  if 'clm' in objectives and mask != 'bidirectional':  # which would see every answer
    kinds += ['prefix', 'causal'] if mask == 'prefix' else ['causal']
  if 'mlm' in objectives:
    kinds += ['pll', 'pll_word']
  if 'mntp' in objectives:
    kinds += ['mntp']
  return tuple(kinds)


def choose(kind: str | None, mask: str, objectives: Iterable[str]) -> str:
  """`kind`, or without one the kind that fits.

  Raises:
    TaskError: the model cannot give it.
  """
  objectives = sorted(objectives)
  kinds = kinds_of(mask, objectives)
  model = f'a model of mask {mask!r} and objectives {", ".join(objectives) or "none"}'
  if kind is not None and kind not in KINDS:
    raise TaskError(f'score {kind!r} is none of {", ".join(KINDS)}.')
  if not kinds:
    why = (
      ' sees the answers that it would be scored on'
      if 'clm' in objectives
      else ' predicts no tokens'
    )
    raise TaskError(f'{model}{why}: it gives a text no likelihood of any kind.')
  if kind is not None and kind not in kinds:
    raise TaskError(f'score {kind!r}: {model} cannot give it; it can give {" or ".join(kinds)}.')
  return kind or kinds[0]


class Rows(NamedTuple):
  """What the network reads at once: B rows of T tokens, in each
  of which P positions predict `target_BxP`.
  """

  token_BxT: np.ndarray
  segment_BxT: np.ndarray
  prefix_BxT: np.ndarray
  position_BxP: np.ndarray
  target_BxP: np.ndarray


class Scorer:
  """Texts in, nats of each of their tokens out; the scores
  do not depend on what else is in a batch.

  Args:
    apply: (params, batch) -> outputs, of a network with rows that are not packed.
    kind: one of KINDS that `kinds_of` gives for the model.
    mask: the network's: 'bidirectional', 'causal' or 'prefix'.
    max_length: the most tokens a row can have, special ones counted.
    batch_tokens: tokens of a batch, padding counted; changes speed and memory only.
  """

  def __init__(
    self,
    apply: Callable,
    params: Any,
    tokenizer: Tokenizer,
    *,
    kind: str,
    mask: str,
    max_length: int,
    batch_tokens: int = 4_096,
  ):
    self.kind = kind
    self._params = jax.tree.map(jnp.asarray, params)
    self._tokenizer, self._max_length, self._batch_tokens = tokenizer, max_length, batch_tokens
    self._left = _HEAD[kind] == 'clm'  # one reading predicts every token
    # Under a causal mask nothing before `eos` sees it, and after a prefix it would be an answer.
    self._closed = not self._left and mask != 'causal'
    self._hidden = tokenizer.mask
    if not self._left and self._hidden is None:
      raise TaskError(f'score {kind!r}: the tokenizer has no mask token to hide tokens behind.')

    @jax.jit
    def score(params, rows: Rows):
      batch = dict(
        token=rows.token_BxT,
        segment=rows.segment_BxT,
        type=jnp.zeros_like(rows.token_BxT),
        mlm_position=rows.position_BxP,
      )
      if self._left:
        batch['prefix'] = rows.prefix_BxT
      projection = apply(params, batch)[_HEAD[kind]]
      return projected_nats(
        projection, rows.target_BxP, chunk=max(1, _LOGITS // projection[1].shape[0])
      )[0]

    self._score = score

  def __call__(
    self,
    ids: Sequence[np.ndarray],
    read: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
  ) -> list[np.ndarray]:
    """Nats (float64) of each scored token of each text.

    Args:
      ids: of each text, as Tokenizer.encode gives them, unframed.
      read: how many first tokens of each text are given and not scored; for 'prefix' from both
        sides. None = 0.
      progress: called with (rows done, of how many).

    Raises:
      TaskError: a text is longer than the model reads.
    """
    read = [0] * len(ids) if read is None else read
    counts = [max(0, len(text) - skipped) for text, skipped in zip(ids, read, strict=True)]
    first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    nats = np.full(first[-1], np.nan)
    buckets: dict[int, list[int]] = {}
    for index, text in enumerate(ids):
      if counts[index]:
        buckets.setdefault(self._bucket(len(text) + 1 + self._closed), []).append(index)
    total = sum(
      1 if self._left else counts[index] for members in buckets.values() for index in members
    )
    done = 0
    for T, members in sorted(buckets.items()):
      asked = ((ids[index], read[index], int(first[index])) for index in members)
      readings = (reading for one in asked for reading in self._readings(*one))
      count = sum(1 if self._left else counts[index] for index in members)
      for rows, place_BxP, filled in self._batches(readings, T, count):
        nats_BxP = np.asarray(self._score(self._params, rows), np.float64)
        nats[place_BxP[place_BxP >= 0]] = nats_BxP[place_BxP >= 0]
        done += filled
        if progress is not None:
          progress(done, total)
    return [nats[start:stop] for start, stop in zip(first[:-1], first[1:])]

  def _bucket(self, length: int) -> int:
    """T for a row of so many tokens: a few lengths an octave,
    so that few programs serve all texts.
    """
    if length > self._max_length:
      raise TaskError(
        f'a text has {length:,} tokens, special ones counted, and the model reads '
        f'{self._max_length:,}: cut it.'
      )
    step = max(8, 1 << max(0, length.bit_length() - 3))
    return min(-(-length // step) * step, self._max_length)

  def _readings(self, ids: np.ndarray, read: int, place: int) -> Iterator[tuple]:
    """(token, positions that are asked, targets, place of the
    first target, end of the prefix) of each row.
    """
    tokenizer = self._tokenizer
    row_T = np.array([tokenizer.bos, *ids, *([tokenizer.eos] if self._closed else [])], np.int32)
    scored = range(1 + read, 1 + len(ids))
    if self._left:
      # `begin` is given too, but a prefix that is `begin` alone is what a causal model reads.
      yield (
        row_T,
        [t - 1 for t in scored],
        row_T[scored],
        place,
        1 + read if self.kind == 'prefix' else 0,
      )
      return
    word_T = np.cumsum(tokenizer.word_start_V[row_T] | (np.arange(len(row_T)) == 1))
    for t in scored:
      hidden_T = np.arange(len(row_T)) == t
      if self.kind == 'pll_word':
        hidden_T = (word_T == word_T[t]) & (np.arange(len(row_T)) >= t)
      token_T = np.where(hidden_T, np.int32(self._hidden), row_T)
      yield token_T, [t - (self.kind == 'mntp')], row_T[t : t + 1], place + t - 1 - read, 0

  def _batches(
    self, readings: Iterator[tuple], T: int, count: int
  ) -> Iterator[tuple[Rows, np.ndarray, int]]:
    """Batches of one shape: (rows, place_BxP of each target's
    nats or -1, how many rows are filled).
    """
    B = max(1, min(self._batch_tokens // T, 1 << (count - 1).bit_length()))
    P = T if self._left else 1  # a causal head answers at every position, in order
    while count:
      filled = min(B, count)
      rows = Rows(
        *(
          np.zeros((B, width), dtype)
          for width, dtype in (
            (T, np.int32),
            (T, np.int32),
            (T, np.bool_),
            (P, np.int32),
            (P, np.int32),
          )
        )
      )
      place_BxP = np.full((B, P), -1, np.int64)
      for row, (token_T, positions, target_P, place, prefix) in zip(range(filled), readings):
        rows.token_BxT[row, : len(token_T)] = token_T
        rows.segment_BxT[row, : len(token_T)] = 1
        rows.prefix_BxT[row, :prefix] = True
        columns = positions if self._left else [0]
        rows.position_BxP[row, columns] = positions
        rows.target_BxP[row, columns] = target_P
        place_BxP[row, columns] = np.arange(place, place + len(columns))
      yield rows, place_BxP, filled
      count -= filled


def summarize(kind: str, nats: Sequence[np.ndarray], byte_count: int) -> dict[str, float]:
  """Totals of scored texts, each named by the kind of its score.

  Args:
    byte_count: UTF-8 bytes of what was scored.
  """
  total, tokens = math.fsum(x for text in nats for x in text), sum(map(len, nats))
  pseudo = '' if _HEAD[kind] == 'clm' else 'pseudo_'
  return {
    f'{kind}_nats': total,
    f'{kind}_tokens': tokens,
    f'{kind}_{pseudo}bits_per_byte': total / math.log(2) / byte_count,
    f'{kind}_{pseudo}perplexity': perplexity(total / max(tokens, 1)),
  }
