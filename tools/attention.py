"""Draws the attention of a model on a text: python -m tools.attention
--weights=DIR --text="The bank of the river." --out=map.html

.html is one interactive page that needs no network: every layer and head, what a token attends to
and what attends to it, words or word pieces. .png is a figure: the mean over the heads of the last
layer, or --layer, --head, or --grid for every head. --compare=OTHER_WEIGHTS puts a second model
beside it, --mask=causal the same weights under another mask. Special tokens often take most of the
weight; --nospecial leaves them out, so that the colours show the words.
"""

import json
from pathlib import Path

from configs.schema.check import ConfigError
from runtime import cli

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('Text and picture')
cli.flags.DEFINE_string('text', None, 'What the model reads.')
cli.flags.DEFINE_string('out', None, 'The .html or .png file to write.')
cli.flags.DEFINE_string('compare', None, 'Other weights, to be shown beside.')
cli.flags.DEFINE_enum(
  'mask', None, ['bidirectional', 'causal'], 'Another mask on the same weights, shown beside.'
)
cli.group('What .png shows')
cli.flags.DEFINE_integer('layer', None, '.png: which layer, from 0; the last by default.')
cli.flags.DEFINE_integer('head', None, '.png: which head, from 0; the mean over heads by default.')
cli.flags.DEFINE_bool('grid', False, '.png: every head of every layer.')
cli.flags.DEFINE_bool(
  'special', True, 'Show special tokens; --nospecial leaves them and their weights out.'
)
cli.define_json('Print one JSON object: the tokens and the heads of lowest entropy.')


def main():
  flags = cli.FLAGS
  if not flags.text or not flags.out:
    raise ConfigError('--text="The bank of the river." and --out=map.html (or .png) are needed.')
  out = Path(flags.out).expanduser()
  if out.suffix not in ('.html', '.png'):
    raise ConfigError(f'--out={flags.out} must end in .html or .png.')
  if not out.absolute().parent.is_dir():
    raise ConfigError(f'--out={flags.out}: there is no such folder.')
  if flags.compare and flags.mask:
    raise ConfigError('--compare and --mask both ask for the second place: pass one of them.')

  from inference.attention_figure import draw
  from inference.attention_maps import attention_maps, lowest_entropy_heads, page, without_special
  from runtime import storage
  from runtime.console import Console
  from training import load as loading

  first = loading.flag()
  maps = [attention_maps(loading.load(first, step=flags.step), flags.text)]
  if flags.compare:
    maps.append(
      attention_maps(loading.load(storage.resolve_path(flags.compare, '--compare')), flags.text)
    )
  elif flags.mask:
    maps.append(attention_maps(loading.load(first, step=flags.step, mask=flags.mask), flags.text))
  shown = maps if flags.special else [without_special(one) for one in maps]
  if out.suffix == '.html':
    out.write_text(page(maps, flags.text, special=flags.special), encoding='utf-8')
  else:
    L, H = (min(sizes) for sizes in zip(*(one.weight_LxHxTxT.shape[:2] for one in maps)))
    for name, number, size in (('layer', flags.layer, L), ('head', flags.head, H)):
      if number is not None and not 0 <= number < size:
        raise ConfigError(f'--{name}={number}: the model has {name}s 0 to {size - 1}.')
    draw(maps, out, layer=flags.layer, head=flags.head, grid=flags.grid, special=flags.special)
  facts = [
    dict(title=one.title, mask=one.mask, tokens=one.tokens, heads=lowest_entropy_heads(one))
    for one in shown
  ]
  if flags.json:
    print(json.dumps(dict(out=str(out), text=flags.text, models=facts)))
    return
  left_out = '' if flags.special else ' without the special ones'
  for one in facts:
    Console().table(
      f'{one["title"]} ({one["mask"]}, {len(one["tokens"])} tokens{left_out}): heads of lowest '
      'entropy; layers and heads count from 0',
      {
        f'layer {head["layer"]} head {head["head"]}': f'entropy {head["entropy"]:.3f} nats, '
        f'distance {head["distance"]:.2f} tokens'
        for head in one['heads']
      },
    )
  Console().say(f'{out} ({out.stat().st_size:,} bytes)')


if __name__ == '__main__':
  cli.run(main)
