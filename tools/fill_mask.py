"""Fills blanks: python -m tools.fill_mask --weights=DIR "The quick brown [MASK] jumps over the lazy dog."

DIR is a Hugging Face directory of a BERT, or the workdir of a run with mlm. The blank is the tokenizer's mask
token, [MASK] or <mask>; there may be several, each is filled as if the others stayed blank. --words offers whole
words only. --json prints one object.
"""

import json

from configs import cli
from configs.check import ConfigError

cli.flags.DEFINE_string('weights', None, 'A Hugging Face directory, or the workdir of a run.')
cli.flags.DEFINE_alias('workdir', 'weights')
cli.flags.DEFINE_integer('step', None, 'Which checkpoint of a run; the newest by default.')
cli.flags.DEFINE_string('text', None, 'The text with its blanks.')
cli.flags.DEFINE_integer('top', 5, 'Candidates a blank.', lower_bound=1)
cli.flags.DEFINE_bool('words', False, 'Whole words only: no pieces within a word, no special tokens.')
cli.flags.DEFINE_bool('json', False, 'One JSON object instead of a table.')


def main():
  flags = cli.FLAGS
  if not flags.text:
    raise ConfigError('the text is missing: "The quick brown [MASK] jumps."')

  from tools import weights as loading
  from training.console import Console

  weights = loading.load(loading.flag(), step=flags.step)
  masks = fill(weights, flags.text, flags.top, words=flags.words)
  if flags.json:
    print(json.dumps(dict(text=flags.text, masks=masks)))
    return
  for number, mask in enumerate(masks):
    Console().table(f'blank {number + 1} of {len(masks)}, token {mask["position"]}', {
        candidate['token']: f'{candidate["probability"]:.4f}  {"#" * round(40 * candidate["probability"])}'
        for candidate in mask['candidates']})


def fill(weights, text: str, top: int, *, words: bool = False) -> list[dict]:
  """[{'position', 'candidates': [{'id', 'token', 'probability'}]}] of each blank; positions count from [CLS].

  Raises:
    ConfigError: the model cannot fill, or there is no blank, or the text is too long.
  """
  import jax
  import jax.numpy as jnp
  import numpy as np

  if 'mlm' not in weights.heads:
    why = ('reads the left side only, and was never asked for what stands in a blank; it can write on: '
           'python -m tools.generate' if weights.mask == 'causal' else
           f'has no MLM head (heads: {", ".join(weights.heads) or "none"}); a BertForMaskedLM has one')
    raise ConfigError(f'{weights.source} {why}.')
  tokenizer = weights.need_tokenizer()
  if tokenizer.mask is None:
    raise ConfigError(f'the tokenizer of {weights.source} has no mask token.')
  name = tokenizer.token(tokenizer.mask)
  row_T = np.array([tokenizer.begin, *tokenizer.encode_with_masks(text), tokenizer.end], np.int32)
  position_P = np.flatnonzero(row_T == tokenizer.mask)
  if not len(position_P):
    raise ConfigError(f'the text has no blank: write {name} where a word is missing.')
  if len(row_T) > weights.context:
    raise ConfigError(f'the text has {len(row_T):,} tokens, and the model reads {weights.context:,}.')
  batch = dict(token=row_T[None], segment=np.ones_like(row_T)[None], type=np.zeros_like(row_T)[None],
               mlm_position=position_P[None].astype(np.int32))
  hidden_BxPxE, table_VxE, bias_V = jax.jit(weights.network.apply)(weights.params, batch)['mlm']
  logits_PxV = (hidden_BxPxE @ table_VxE.T + bias_V[None, None])[0].astype(jnp.float32)
  p_PxV = np.asarray(jax.nn.softmax(logits_PxV, axis=1))
  offered_V = np.zeros(p_PxV.shape[1], bool)
  offered_V[:tokenizer.size] = tokenizer.word_start_V & ~tokenizer.special_V if words else True
  masks = []
  for position, p_V in zip(position_P, p_PxV):
    best = [index for index in np.argsort(-p_V, kind='stable') if offered_V[index]][:top]
    masks.append(dict(position=int(position), candidates=[
        dict(id=int(index), token=tokenizer.token(index), probability=float(p_V[index])) for index in best]))
  return masks


if __name__ == '__main__':
  cli.run(main, positional='text')
