"""A model's loss on a synthetic language beside the least
loss that any reader with its eyes can have.

Both are measured on the same words of the same held-out documents, drawn with a seed that no corpus
uses. A row is one document; only words count, for every reader: [CLS]
is never predicted, [SEP] always stands at the end.
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
  """Which words of which documents a reader must predict; the
  rest of `hidden` is what clm does not have.

  Attributes:
    word_NxT: by number in the language.
    hidden_NxT: shown as [MASK] and predicted (mlm); none for clm, which predicts every word.
  """

  word_NxT: np.ndarray
  hidden_NxT: np.ndarray


class Reading(NamedTuple):
  """Nats of each predicted word, NxT, NaN where none was asked
  for: the model's, and the least possible.
  """

  model_NxT: np.ndarray
  bound_NxT: np.ndarray


def ask(language: Language, count: int, rate: float) -> Asked:
  """Held-out documents, in each of them as many words hidden as
  training hides of such a row; rate 0 hides none.
  """
  word_NxT = language.sample(count, _SEED)
  order_NxT = np.random.default_rng(_SEED).random(word_NxT.shape).argsort(axis=1)
  hidden = max(1, round(rate * (language.length + 2))) if rate else 0
  return Asked(word_NxT, order_NxT.argsort(axis=1) < hidden)


def bound(language: Language, asked: Asked, cell: str) -> np.ndarray:
  """The least nats of each predicted word for a reader of this cell, NxT, NaN elsewhere."""
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
  """What a model pays for each predicted word, NxT, NaN elsewhere.

  Raises:
    ValueError: its tokenizer does not have every word of the language as one token.
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
    """Nats of the words, BxT; the row has two more tokens than there are words."""
    shown_BxT = jnp.where(hidden_BxT, tokenizer.mask, token_BxT)
    framed_BxT = (
      jnp.pad(shown_BxT, ((0, 0), (1, 1)), constant_values=tokenizer.bos)
      .at[:, -1]
      .set(tokenizer.eos)
    )
    ones_BxT = jnp.ones_like(framed_BxT)
    position_BxT = jnp.tile(jnp.arange(1, T + 1)[None], (len(token_BxT), 1))
    batch = dict(token=framed_BxT, segment=ones_BxT, type=0 * ones_BxT, mlm_position=position_BxT)
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
  """loss and bound, nats a predicted word; how far the loss is
  above, as a share, and the standard error of that.

  Model and bound pay for the same words, so what is left to chance is only where they differ.
  """
  # every document has as many predictions
  model_N, bound_N = (np.nansum(x_NxT, axis=1) for x_NxT in reading)
  each = np.isfinite(reading.bound_NxT).sum() / len(bound_N)
  excess_N = model_N - bound_N
  said = dict(
    loss=model_N.mean() / each,
    bound=bound_N.mean() / each,
    excess=excess_N.mean() / bound_N.mean(),
    error=excess_N.std(ddof=1) / len(excess_N) ** 0.5 / bound_N.mean(),
  )
  return {name: float(value) for name, value in said.items()}


def by_position(nats_NxT: np.ndarray) -> np.ndarray:
  """Mean over documents, T."""
  return np.nanmean(nats_NxT, axis=0)


def _where_asked(nats_NxT: np.ndarray, asked: Asked, objective: str) -> np.ndarray:
  return nats_NxT if objective == 'clm' else np.where(asked.hidden_NxT, nats_NxT, np.nan)
