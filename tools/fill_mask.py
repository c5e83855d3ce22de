"""Fills masked words of a text: python -m tools.fill_mask --weights=DIR "The
quick brown [MASK] jumps over the lazy dog."

DIR is a Hugging Face directory of a BERT, or the workdir of a run with mlm. The blank is the
tokenizer's mask token, [MASK] or <mask>; there may be several, each is filled as if the others
stayed blank. --words offers whole words only. --json prints one object.
"""

import json

from configs.schema.check import ConfigError
from runtime import cli

cli.define_weights()
cli.define_step()
cli.flags.DEFINE_string('text', None, 'The text with its blanks.')
cli.flags.DEFINE_integer('top', 5, 'Candidates per blank.', lower_bound=1)
cli.flags.DEFINE_bool(
  'words', False, 'Whole words only: no sub-words that continue a word, no special tokens.'
)
cli.define_json()


def main():
  flags = cli.FLAGS
  if not flags.text:
    raise ConfigError('the text is missing: "The quick brown [MASK] jumps."')

  from inference.fill_mask import fill, shown_tokens
  from runtime.console import Console
  from training import load as loading

  weights = loading.load(loading.flag(), step=flags.step)
  masks = fill(weights, flags.text, flags.top, words=flags.words)
  if flags.json:
    print(json.dumps(dict(text=flags.text, masks=masks)))
    return
  for number, mask in enumerate(masks):
    shown = shown_tokens(weights.need_tokenizer(), mask['candidates'])
    Console().table(
      f'blank {number + 1} of {len(masks)}, token {mask["position"]}',
      {
        name: f'{candidate["probability"]:.4f}  {"#" * round(40 * candidate["probability"])}'
        for name, candidate in zip(shown, mask['candidates'])
      },
    )


if __name__ == '__main__':
  cli.run(main, positional='text')
