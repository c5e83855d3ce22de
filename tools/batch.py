"""Shows any batch of a past run: python -m tools.batch WORKDIR --step=N [--rows=4] [--json]

Draws the batch again and prints its rows as the network read them: a token that was replaced stands
before its original in brackets, documents of a row are apart by |, a prefix is underlined. Then
what was to be predicted, and whether the hashes are the logged ones.
"""

import json

from configs.schema.check import ConfigError
from runtime import cli

cli.define_weights('The workdir of a run of train.py.')
cli.define_step('Which step, from 0.')
cli.flags.DEFINE_integer(
  'rows', 4, 'How many rows are printed; --json has them all.', lower_bound=1
)
cli.define_json()

_TARGETS_SHOWN = 12


def main():
  flags = cli.FLAGS
  if not flags.weights or flags.step is None:
    raise ConfigError('a run and a step are needed: python -m tools.batch runs/mine --step=100')

  from runtime import storage
  from runtime.console import Console
  from runtime.errors import StateError
  from training import redraw

  console = Console(quiet=flags.json)
  drawn = redraw.draw(storage.resolve_path(flags.weights, '--weights'), flags.step, console.stage)
  logged = drawn['logged']
  differ = [name for name in logged or {} if logged[name] != drawn[name]]
  if flags.json:
    print(json.dumps(drawn | dict(agrees=None if logged is None else not differ)))
  else:
    print('token[original]: replaced, _token_: of the prefix, |: between documents')
    for row in drawn['rows'][: flags.rows]:
      print(
        f'row {row["row"]}, number {row["id"]} of the training rows, {row["cell"]}'
        + (f', label {row["label"]}' if 'label' in row else '')
      )
      print(f'  {row["text"]}')
      targets = [f'{position} {word}' for position, word in row['targets'].items()]
      more = f', and {len(targets) - _TARGETS_SHOWN} more' if len(targets) > _TARGETS_SHOWN else ''
      print(f'  predicted: {", ".join(targets[:_TARGETS_SHOWN])}{more}')
    print(
      f'step {flags.step}: rows {drawn["batch_hash"]}, masks {drawn["mask_hash"]}: '
      + (
        'the run logged no hashes of this step'
        if logged is None
        else 'not what the run logged'
        if differ
        else 'as the run logged'
      )
    )
  if differ:
    raise StateError(
      f'{flags.weights} logged other hashes at step {flags.step}: '
      + ', '.join(f'{name} {logged[name]}, drawn now {drawn[name]}' for name in differ)
      + '. The code that draws batches is not the one that trained this run.'
    )


if __name__ == '__main__':
  cli.run(main, positional='weights')
