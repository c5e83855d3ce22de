"""What a network with an MLM head would put into the blanks of a text."""

import jax
import jax.numpy as jnp
import numpy as np

from configs.schema.check import ConfigError
from inference.model import Model


def fill(model: Model, text: str, top: int, *, words: bool = False) -> list[dict]:
  """[{'position', 'candidates': [{'id', 'token',
  'probability'}]}] of each blank; positions count from [CLS].

  Raises:
    ConfigError: the model cannot fill, or there is no blank, or the text is too long.
  """
  if 'mlm' not in model.heads:
    why = (
      'reads the left side only, and was never asked for what stands in a blank; it can write on: '
      'python -m tools.generate'
      if model.mask == 'causal'
      else f'has no MLM head (heads: {", ".join(model.heads) or "none"}); a BertForMaskedLM has one'
    )
    raise ConfigError(f'{model.source} {why}.')
  tokenizer = model.need_tokenizer()
  if tokenizer.mask is None:
    raise ConfigError(f'the tokenizer of {model.source} has no mask token.')
  name = tokenizer.token(tokenizer.mask)
  row_T = np.array([tokenizer.bos, *tokenizer.encode_with_masks(text), tokenizer.eos], np.int32)
  position_P = np.flatnonzero(row_T == tokenizer.mask)
  if not len(position_P):
    raise ConfigError(f'the text has no blank: write {name} where a word is missing.')
  if len(row_T) > model.context:
    raise ConfigError(f'the text has {len(row_T):,} tokens, and the model reads {model.context:,}.')
  batch = dict(
    token=row_T[None],
    segment=np.ones_like(row_T)[None],
    type=np.zeros_like(row_T)[None],
    mlm_position=(position_P - model.ahead)[None].astype(np.int32),
  )
  hidden_BxPxE, table_VxE, bias_V = jax.jit(model.network.apply)(model.params, batch)['mlm']
  logits_PxV = (hidden_BxPxE @ table_VxE.T + bias_V[None, None])[0].astype(jnp.float32)
  p_PxV = np.asarray(jax.nn.softmax(logits_PxV, axis=1))
  offered_V = np.zeros(p_PxV.shape[1], bool)
  offered_V[: tokenizer.size] = tokenizer.word_start_V & ~tokenizer.special_V if words else True
  masks = []
  for position, p_V in zip(position_P, p_PxV):
    best = [index for index in np.argsort(-p_V, kind='stable') if offered_V[index]][:top]
    masks.append(
      dict(
        position=int(position),
        candidates=[
          dict(id=int(index), token=tokenizer.token(index), probability=float(p_V[index]))
          for index in best
        ],
      )
    )
  return masks
