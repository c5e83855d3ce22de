"""(Pseudo-)log-likelihood of texts, in nats: one scorer for every mask x objective pair (cell).

A score is -log p of a text's tokens given the tokenizer's `bos`. A masked model gives a
pseudo-score: the same sum, with each token predicted from tokens on both sides, which is no
probability of the text. Scores of different kinds are not comparable, so each states its kind:

  causal    each token given those before it; sums to a probability over all texts.
  prefix    the same after a prefix, which is read bidirectionally and not scored (Raffel et al.
            2020, 3.2.1).
  pll       each token masked alone, all others seen (Salazar et al. 2020).
  pll_word  with a token the later tokens of its word are masked too (Kauf and Ivanova 2023,
            "within-word l2r").
  mntp      as pll, and predicted from the position before (GPT-BERT, Charpentier and Samuel 2024).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data.rows.batches import next_multiple
from data.tokens.tokenizer import Tokenizer
from evaluation.errors import TaskError
from evaluation.validation import perplexity
from inference.model import Model
from objectives.projection import projected_nats
from runtime import finite

# Kind of score -> its name in every result.
KINDS = dict(
  causal='causal log-likelihood',
  prefix='log-likelihood after a prefix read from both sides',
  pll='pseudo-log-likelihood, a token hidden at a time',
  pll_word='pseudo-log-likelihood, the rest of the word hidden too',
  mntp='pseudo-log-likelihood, a token hidden and predicted from the position before',
)
_HEAD = dict(causal='clm', prefix='clm', pll='mlm', pll_word='mlm', mntp='mlm')
_LOGITS = 1 << 26  # logits that exist at once: 256 MiB in float32


def kinds_of(mask: str, objectives: Iterable[str]) -> tuple[str, ...]:
  """Returns the kinds of score that a model of this mask and these objectives has, best first."""
  kinds = []
  if 'clm' in objectives and mask != 'bidirectional':  # a bidirectional mask shows every answer
    kinds += ['prefix', 'causal'] if mask == 'prefix' else ['causal']
  if 'mlm' in objectives:
    kinds += ['pll', 'pll_word']
  if 'mntp' in objectives:
    kinds += ['mntp']
  return tuple(kinds)


def choose(kind: str | None, mask: str, objectives: Iterable[str]) -> str:
  """Returns `kind`, or the best kind for the model if it is None.

  Raises:
    TaskError: the model has no likelihood, or not of this kind.
  """
  objectives = sorted(objectives)
  kinds = kinds_of(mask, objectives)
  model = f'a model of mask {mask!r} and objectives {", ".join(objectives) or "none"}'
  if kind is not None and kind not in KINDS:
    raise TaskError(f'score {kind!r} is none of {", ".join(KINDS)}.')
  if not kinds:
    why = 'sees the answers that it is scored on' if 'clm' in objectives else 'predicts no tokens'
    raise TaskError(f'{model} {why}: it gives a text no likelihood of any kind.')
  if kind is not None and kind not in kinds:
    raise TaskError(f'score {kind!r}: {model} cannot give it; it can give {" or ".join(kinds)}.')
  return kind or kinds[0]


class Rows(NamedTuple):
  """One batch of the network: B rows of T tokens, each with P positions to predict."""

  token_BxT: np.ndarray
  segment_BxT: np.ndarray
  prefix_BxT: np.ndarray
  position_BxP: np.ndarray
  target_BxP: np.ndarray


class Reading(NamedTuple):
  """One row for the network, and the tokens that it scores.

  Attributes:
    token_T: the row, after masking.
    position_P: the positions whose outputs are scored.
    target_P: the token that each of these outputs predicts.
    first: index of the first target among the scored tokens of all texts.
    prefix: how many tokens, from the first, attend to each other bidirectionally.
  """

  token_T: np.ndarray
  position_P: np.ndarray
  target_P: np.ndarray
  first: int
  prefix: int = 0


class Scorer:
  """Scores texts: the nats of each token. A text's score does not depend on the other texts.

  Args:
    apply: (params, batch) -> outputs, of a network for rows that are not packed.
    kind: one of KINDS that `kinds_of` returns for the model.
    mask: the network's: 'bidirectional', 'causal' or 'prefix'.
    max_length: the most tokens of a row, special tokens included.
    batch_tokens: tokens per batch, padding included; changes speed and memory only.

  Raises:
    TaskError: the kind masks tokens and the tokenizer has no mask token.
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
    self._one_reading = _HEAD[kind] == 'clm'  # one row predicts every token of a text
    # Under a causal mask no token sees `eos`. With clm it would be one more token to predict.
    self._add_eos = not self._one_reading and mask != 'causal'
    if not self._one_reading and tokenizer.mask is None:
      raise TaskError(f'score {kind!r}: the tokenizer has no mask token to hide tokens behind.')

    @jax.jit
    def score(params, rows: Rows):
      batch = dict(
        token=rows.token_BxT,
        segment=rows.segment_BxT,
        type=jnp.zeros_like(rows.token_BxT),
        mlm_position=rows.position_BxP,
      )
      if self._one_reading:
        batch['prefix'] = rows.prefix_BxT
      projection = apply(params, batch)[_HEAD[kind]]
      _, table_VxE, _ = projection
      nats_BxP, *_ = projected_nats(
        projection, rows.target_BxP, chunk=max(1, _LOGITS // table_VxE.shape[0])
      )
      return nats_BxP

    self._score = score

  def __call__(
    self,
    ids: Sequence[np.ndarray],
    read: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
  ) -> list[np.ndarray]:
    """Returns the nats (float64) of each scored token of each text.

    Args:
      ids: token ids of each text, without special tokens, as Tokenizer.encode returns them.
      read: how many tokens of each text, from the first, are given and not scored; with 'prefix'
        they are the prefix. None = 0.
      progress: called with (rows done, rows in all).

    Raises:
      TaskError: a text is longer than the model's context.
      NumericalError: a score is not finite.
    """
    read = [0] * len(ids) if read is None else read
    counts = [max(0, len(text) - skipped) for text, skipped in zip(ids, read, strict=True)]
    first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    nats = np.full(first[-1], np.nan)
    buckets: dict[int, list[int]] = {}
    for index, text in enumerate(ids):
      if counts[index]:
        buckets.setdefault(self._row_length(len(text)), []).append(index)
    rows_of = {}
    for T, members in buckets.items():
      rows_of[T] = sum(self._readings_of(counts[index]) for index in members)
    done = 0
    for T, members in sorted(buckets.items()):
      texts = (self._readings(ids[index], read[index], int(first[index])) for index in members)
      waiting = itertools.chain.from_iterable(texts)
      enough = 1 << (rows_of[T] - 1).bit_length()  # a power of two, so that few sizes are compiled
      B = max(1, min(self._batch_tokens // T, enough))
      while batch := list(itertools.islice(waiting, B)):
        self._score_batch(batch, B, T, nats)
        done += len(batch)
        if progress is not None:
          progress(done, sum(rows_of.values()))
    finite.check(nats, f'the nats of {len(ids):,} texts')
    return [nats[start:stop] for start, stop in zip(first[:-1], first[1:])]

  def _row_length(self, tokens: int) -> int:
    """Returns T of the rows for a text of so many tokens.

    T takes a few values between one power of two and the next, so few programs are compiled.

    Raises:
      TaskError: the text is longer than the model's context.
    """
    length = tokens + 1 + self._add_eos
    if length > self._max_length:
      raise TaskError(
        f'a text has {length:,} tokens, special ones counted, and the model reads '
        f'{self._max_length:,}: cut it.'
      )
    step = max(8, 1 << max(0, length.bit_length() - 3))
    return min(next_multiple(length, step), self._max_length)

  def _readings_of(self, scored: int) -> int:
    """Returns how many rows it takes to score so many tokens of a text."""
    return 1 if self._one_reading else scored

  def _readings(self, ids: np.ndarray, read: int, first: int) -> Iterator[Reading]:
    """Yields the rows that score a text, without its first `read` tokens.

    Args:
      first: index of the first scored token among those of all texts.
    """
    tokenizer = self._tokenizer
    end = [tokenizer.eos] if self._add_eos else []
    row_T = np.array([tokenizer.bos, *ids, *end], np.int32)
    scored = np.arange(1 + read, 1 + len(ids))
    if self._one_reading:
      # `bos` belongs to the prefix. If it is the whole prefix, the mask is the causal one.
      prefix = 1 + read if self.kind == 'prefix' else 0
      yield Reading(row_T, scored - 1, row_T[scored], first, prefix)
      return
    word_T = np.cumsum(tokenizer.words.starts(row_T) | (np.arange(len(row_T)) == 1))
    for number, t in enumerate(scored):
      masked_T = np.arange(len(row_T)) == t
      if self.kind == 'pll_word':
        masked_T = (word_T == word_T[t]) & (np.arange(len(row_T)) >= t)
      token_T = np.where(masked_T, np.int32(tokenizer.mask), row_T)
      position_P = np.array([t - (self.kind == 'mntp')])
      yield Reading(token_T, position_P, row_T[t : t + 1], first + number)

  def _score_batch(self, batch: list[Reading], B: int, T: int, nats: np.ndarray):
    """Runs the network on up to B readings, and writes their scores into `nats`."""
    # The clm head has an output at every position, in order.
    P = T if self._one_reading else 1
    rows = Rows(
      token_BxT=np.zeros((B, T), np.int32),
      segment_BxT=np.zeros((B, T), np.int32),
      prefix_BxT=np.zeros((B, T), np.bool_),
      position_BxP=np.zeros((B, P), np.int32),
      target_BxP=np.zeros((B, P), np.int32),
    )
    for row, reading in enumerate(batch):
      length, column_P = len(reading.token_T), self._columns(reading)
      rows.token_BxT[row, :length] = reading.token_T
      rows.segment_BxT[row, :length] = 1
      rows.prefix_BxT[row, : reading.prefix] = True
      rows.position_BxP[row, column_P] = reading.position_P
      rows.target_BxP[row, column_P] = reading.target_P
    nats_BxP = np.asarray(self._score(self._params, rows), np.float64)
    for reading, nats_P in zip(batch, nats_BxP):
      stop = reading.first + len(reading.target_P)
      nats[reading.first : stop] = nats_P[self._columns(reading)]

  def _columns(self, reading: Reading) -> np.ndarray:
    """Returns the indices of a reading's targets among its P outputs."""
    return reading.position_P if self._one_reading else np.array([0])


def scorer_of(model: Model, kind: str) -> Scorer:
  """The scorer of a model; raises as `Scorer`."""
  return Scorer(
    model.network.apply,
    model.params,
    model.tokenizer,
    kind=kind,
    mask=model.mask,
    max_length=model.context,
  )


def summarize(kind: str, nats, byte_count: int, lost_nats: float = 0.0) -> dict[str, float]:
  """Returns totals over texts, each name beginning with the kind of score.

  Args:
    nats: as a Scorer returns them.
    byte_count: UTF-8 bytes of the scored text; `lost_nats` are of those that have no token.

  Returns:
    KIND_nats, KIND_tokens, KIND_(pseudo_)bits_per_byte and KIND_(pseudo_)perplexity.
  """
  total = math.fsum(itertools.chain.from_iterable(nats))
  tokens = sum(map(len, nats))
  pseudo = '' if _HEAD[kind] == 'clm' else 'pseudo_'
  return {
    f'{kind}_nats': total,
    f'{kind}_tokens': tokens,
    f'{kind}_{pseudo}bits_per_byte': (total + lost_nats) / math.log(2) / byte_count,
    f'{kind}_{pseudo}perplexity': perplexity(total / max(tokens, 1)),
  }
