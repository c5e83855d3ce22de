"""Ranks lines by a model that reads each together with the query: python -m tools.rank
--weights=DIR --query="..." --input=FILE

The model is a cross-encoder: fine-tuned here on lists (configs/finetune/rank.py), or on pairs with
a number or two classes, or a Hugging Face directory of ...ForSequenceClassification with one label.
Its score of one label is a sigmoid, as in sentence-transformers. A blank line is never found.
"""

import json
from pathlib import Path

from configs.schema.check import ConfigError
from data.errors import DataError
from runtime import cli

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('Input and output')
cli.flags.DEFINE_string('query', None, 'What is looked for.')
cli.flags.DEFINE_string('input', None, 'Text, a line each.')
cli.flags.DEFINE_integer('top', 10, 'Lines that are shown.', lower_bound=1)
cli.flags.DEFINE_integer(
  'max_length', None, 'Tokens of a pair that are read; as in training.', lower_bound=4
)
cli.flags.DEFINE_integer('batch_size', 32, 'Pairs at once; changes speed only.', lower_bound=1)
cli.define_json()


def main():
  flags = cli.FLAGS
  if not (flags.query and flags.query.strip() and flags.input):
    raise ConfigError('--query="..." and --input=FILE are needed.')

  from data.lines import is_blank, read_lines, say_left_out
  from inference.rank import Ranker
  from runtime.console import Console
  from training import load as loading

  lines = read_lines(Path(flags.input).expanduser())
  number = [index for index, line in enumerate(lines) if not is_blank(line)]
  if not number:
    raise DataError(f'{flags.input} has no line with text.')
  model = loading.load(loading.flag(), step=flags.step)
  rank = Ranker(model, max_length=flags.max_length, batch_size=flags.batch_size)
  best = rank(flags.query, [lines[index] for index in number])[: flags.top]
  found = [
    dict(line=number[one.index] + 1, score=one.score, text=lines[number[one.index]]) for one in best
  ]
  if flags.json:
    blank = len(lines) - len(number)
    print(json.dumps(dict(query=flags.query, lines=len(lines), blank=blank, results=found)))
  else:
    rows = {f'{one["score"]:.4f}  line {one["line"]:,}': one['text'] for one in found}
    Console().table(flags.query, rows)
    say_left_out('rank', len(lines) - len(number))


if __name__ == '__main__':
  cli.run(main)
