"""What a network with an MLM head would put into the blanks of a text."""

import jax
import numpy as np

from configs.schema.check import ConfigError
from data.tokens.tokenizer import Tokenizer
from inference.model import Model
from models.projection import project, with_bias
from runtime import finite


def fill(model: Model, text: str, top: int, *, words: bool = False) -> list[dict]:
  """[{'position', 'candidates': [{'id', 'token', 'probability'}]}] of each blank, in order.

  Args:
    top: how many candidates, the likeliest first.
    words: offer whole words only: no sub-words that continue a word, no special tokens.

  Raises:
    ConfigError: the model cannot fill, or there is no blank, or the text is too long.
  """
  tokenizer = _check(model)
  # positions count from [CLS], which is 0
  row_T = np.array([tokenizer.bos, *tokenizer.encode_with_masks(text), tokenizer.eos], np.int32)
  position_P = np.flatnonzero(row_T == tokenizer.mask)
  if not len(position_P):
    name = tokenizer.token(tokenizer.mask)
    raise ConfigError(f'the text has no blank: write {name} where a word is missing.')
  if len(row_T) > model.context:
    raise ConfigError(f'the text has {len(row_T):,} tokens, and the model reads {model.context:,}.')
  p_PxV = _probabilities(model, row_T, position_P)
  offered_V = np.zeros(p_PxV.shape[1], bool)
  whole_V = tokenizer.words.whole_V & ~tokenizer.special_V
  # the output may be wider than the vocabulary, and has numbers that no token has
  offered_V[: tokenizer.size] = whole_V if words else tokenizer.named_V
  masks = []
  for position, p_V in zip(position_P, p_PxV):
    best = [index for index in np.argsort(-p_V, kind='stable') if offered_V[index]][:top]
    candidates = [
      dict(id=int(index), token=tokenizer.token(index), probability=float(p_V[index]))
      for index in best
    ]
    masks.append(dict(position=int(position), candidates=candidates))
  return masks


def shown_tokens(tokenizer: Tokenizer, candidates: list[dict]) -> list[str]:
  """The candidates of a blank for people; by their names in the vocabulary where two read alike."""
  read = [tokenizer.readable(each['id']) for each in candidates]
  return [name if read.count(name) == 1 else each['token'] for name, each in zip(read, candidates)]


def _check(model: Model) -> Tokenizer:
  """The tokenizer of a model that can fill masks.

  Raises:
    ConfigError: it has no MLM head, or no mask token.
  """
  if 'mlm' not in model.heads and model.mask == 'causal':
    raise ConfigError(
      f'{model.source} is a causal model without an MLM head, so it cannot fill masks. Use '
      'python -m tools.generate to continue text.'
    )
  if 'mlm' not in model.heads:
    heads = ', '.join(model.heads) or 'none'
    raise ConfigError(
      f'{model.source} has no MLM head (heads: {heads}), so it cannot fill masks; a '
      'BertForMaskedLM has one.'
    )
  tokenizer = model.need_tokenizer()
  if tokenizer.mask is None:
    raise ConfigError(f'the tokenizer of {model.source} has no mask token.')
  return tokenizer


def _probabilities(model: Model, row_T: np.ndarray, position_P: np.ndarray) -> np.ndarray:
  """PxV: what the MLM head finds at each blank of a row."""
  batch = dict(
    token=row_T[None],
    segment=np.ones_like(row_T)[None],
    type=np.zeros_like(row_T)[None],
    mlm_position=(position_P - model.ahead)[None].astype(np.int32),
  )
  projection = jax.jit(model.network.apply)(model.params, batch)['mlm']
  logits_PxV = project(*with_bias(projection))[0]
  p_PxV = np.asarray(jax.nn.softmax(logits_PxV, axis=1))
  finite.check(p_PxV, f'the probabilities of {model.source}')
  return p_PxV
