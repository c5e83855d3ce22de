"""A model's loss on a synthetic language, and the lowest achievable loss under its mask.

Both are measured on the same words of the same held-out documents, drawn with a seed that no corpus
uses. A row is one document. Only words are scored: [CLS] is never predicted, and [SEP] always
stands at the end.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data.corpora.synthetic import Language
from data.tokens.tokenizer import Tokenizer
from evaluation.synthetic import exact
from models.network import Network
from objectives.projection import projected_nats

CELLS = ('bidirectional+mlm', 'causal+mlm', 'causal+clm')
_SEED = 1_000_003  # of the held-out documents
_BATCH = 250  # documents


class Asked(NamedTuple):
  """Held-out documents, and which of their words are masked.

  Attributes:
    word_NxT: each word's number in the language.
    hidden_NxT: bool; shown as [MASK] and predicted by mlm. clm predicts every word and ignores it.
  """

  word_NxT: np.ndarray
  hidden_NxT: np.ndarray


class Reading(NamedTuple):
  """Nats of each predicted word, NxT, NaN elsewhere: the model's, and the lowest achievable."""

  model_NxT: np.ndarray
  bound_NxT: np.ndarray


def ask(language: Language, count: int, rate: float) -> Asked:
  """Draws held-out documents; in each, as many words are masked as training masks in such a row.

  Args:
    count: N, documents.
    rate: share of a row's tokens, special tokens counted; 0 masks none.
  """
  word_NxT = language.sample(count, _SEED)
  order_NxT = np.random.default_rng(_SEED).random(word_NxT.shape).argsort(axis=1)
  masked = max(1, round(rate * (language.length + 2))) if rate else 0
  return Asked(word_NxT, order_NxT.argsort(axis=1) < masked)


def bound(language: Language, asked: Asked, cell: str) -> np.ndarray:
  """Returns the lowest achievable nats of each predicted word in a cell, NxT, NaN elsewhere.

  Args:
    cell: one of CELLS.
  """
  mask, objective = cell.split('+')
  chunks = []
  for start in range(0, len(asked.word_NxT), _BATCH):
    word_NxT, hidden_NxT = (x_NxT[start : start + _BATCH] for x_NxT in asked)
    visible_NxT = np.ones_like(hidden_NxT) if objective == 'clm' else ~hidden_NxT
    known_NxTxW = exact.posterior(
      language, word_NxT, visible_NxT, two_sided=mask == 'bidirectional'
    )
    chunks.append(exact.nats(known_NxTxW, word_NxT))
  return _where_asked(np.concatenate(chunks), asked, objective)


def model_nats(
  network: Network,
  params,
  tokenizer: Tokenizer,
  language: Language,
  asked: Asked,
  cell: str,
  *,
  chunk: int = 2_048,
) -> np.ndarray:
  """Returns a model's nats of each predicted word, NxT, NaN elsewhere.

  Args:
    cell: one of CELLS.
    chunk: predictions whose logits exist at once.

  Raises:
    ValueError: the tokenizer does not have every word of the language as one token.
  """
  objective = cell.split('+')[1]
  tokens = tokenizer.encode(list(language.words))
  if any(len(token) != 1 or tokenizer.special_V[token[0]] for token in tokens):
    raise ValueError(
      'the tokenizer does not know each word of the language as one token: '
      f'{" ".join(language.words)}'
    )
  token_W = np.concatenate(tokens)
  T = language.length

  @jax.jit
  def score(token_BxT, hidden_BxT):
    """Returns nats of the words, BxT; a row has two more tokens, bos and eos: U = T + 2."""
    shown_BxT = jnp.where(hidden_BxT, tokenizer.mask, token_BxT)
    row_BxU = jnp.pad(shown_BxT, ((0, 0), (1, 1)), constant_values=tokenizer.bos)
    row_BxU = row_BxU.at[:, -1].set(tokenizer.eos)
    ones_BxU = jnp.ones_like(row_BxU)
    position_BxT = jnp.tile(jnp.arange(1, T + 1)[None], (len(token_BxT), 1))
    batch = dict(token=row_BxU, segment=ones_BxU, type=0 * ones_BxU, mlm_position=position_BxT)
    hidden_BxTxE, table_VxE, bias_V = network.apply(params, batch)[objective]
    if objective == 'clm':
      hidden_BxTxE = hidden_BxTxE[:, :T]  # each word is predicted from the token before it
    return projected_nats((hidden_BxTxE, table_VxE, bias_V), token_BxT, chunk=chunk)[0]

  chunks = []
  for start in range(0, len(asked.word_NxT), _BATCH):
    word_NxT, hidden_NxT = (x_NxT[start : start + _BATCH] for x_NxT in asked)
    chunks.append(np.asarray(score(token_W[word_NxT], hidden_NxT), np.float64))
  return _where_asked(np.concatenate(chunks), asked, objective)


def summary(reading: Reading) -> dict[str, float]:
  """Returns loss, bound, excess and error.

  Model and bound are of the same words, so the standard error is that of their difference.

  Returns:
    loss, bound: nats per predicted word.
    excess: (loss - bound) / bound.
    error: standard error of excess over documents.
  """
  model_N, bound_N = (np.nansum(x_NxT, axis=1) for x_NxT in reading)
  words = np.isfinite(reading.bound_NxT).sum() / len(bound_N)  # the same in every document
  excess_N = model_N - bound_N
  result = dict(
    loss=model_N.mean() / words,
    bound=bound_N.mean() / words,
    excess=excess_N.mean() / bound_N.mean(),
    error=excess_N.std(ddof=1) / len(excess_N) ** 0.5 / bound_N.mean(),
  )
  return {name: float(value) for name, value in result.items()}


def by_position(nats_NxT: np.ndarray) -> np.ndarray:
  """Returns the mean over documents of each position, T."""
  return np.nanmean(nats_NxT, axis=0)


def _where_asked(nats_NxT: np.ndarray, asked: Asked, objective: str) -> np.ndarray:
  """Returns the nats with NaN at words that the objective does not predict."""
  return nats_NxT if objective == 'clm' else np.where(asked.hidden_NxT, nats_NxT, np.nan)
