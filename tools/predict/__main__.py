"""Says what a fine-tuned model finds in texts: python -m tools.predict --weights=DIR
--input=FILE|- --output=FILE --json

DIR is a fine-tuned run, or an import, or a Hugging Face directory, of a classifier, a tagger or a
model that answers or chooses. The input is text, a line each, or by the ending of its name (or
--format) CSV, TSV, JSON lines or CoNLL columns; pairs, answers to choose from and words that are
split already are columns or keys (docs/predict.md). Lines come out in the order in which they came
in, as soon as their batch is done. --json prints a JSON object a line; else a line is what is
found, a tab and the text.
"""

import contextlib
import functools
import os
from pathlib import Path
import sys

from configs.schema.check import ConfigError
from runtime import cli

_BATCHES = 4  # that are sorted by length together

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('Input and output')
cli.flags.DEFINE_string('input', None, 'A file, also compressed; - is what arrives at stdin.')
cli.flags.DEFINE_enum(
  'format', None, ['text', 'csv', 'tsv', 'jsonl', 'conll'], 'By the ending of the name by default.'
)
cli.flags.DEFINE_string(
  'columns',
  '',
  'Which columns hold the texts, as text=review or text_a=...,text_b=...; those of training, or '
  'found by their names, by default.',
)
cli.flags.DEFINE_string('output', None, 'A file for the lines, in place of stdout.')
cli.define_json('Print a JSON object a line.')
cli.group('Texts')
cli.flags.DEFINE_integer(
  'max_length', None, 'Tokens of a row; as in training by default.', lower_bound=3
)
cli.flags.DEFINE_integer('batch_size', 32, 'Rows at once; changes speed only.', lower_bound=1)


def main():
  flags = cli.FLAGS
  if not flags.input:
    raise ConfigError('--input=FILE is missing; --input=- reads stdin.')
  path, to = Path(flags.input).expanduser(), flags.output and Path(flags.output).expanduser()
  if to and not to.absolute().parent.is_dir():
    raise ConfigError(f'--output={to}: there is no such folder.')
  if to and to.exists() and path.exists() and to.samefile(path):
    raise ConfigError(f'--output={to} is the input, which would be lost. Name another file.')

  from data import lines
  from data.tasks import arriving
  from inference.predict import Predictor
  from tools.predict import feed
  from tools.predict.said import Teller
  from training import labels
  from training import load as loading

  directory = loading.flag()
  model = loading.load(directory, step=flags.step)
  predictor = Predictor(model, max_length=flags.max_length, batch_size=flags.batch_size)
  if flags.input == '-':
    where = 'stdin'
    text = lines.arriving(functools.partial(os.read, sys.stdin.fileno(), 1 << 16), where)
  else:
    where, text = flags.input, lines.read_lines(path)
  kind = flags.format or arriving.format_of(path)
  usual = labels.columns(directory)
  if predictor.labels.kind == 'question':
    usual = 'text_a=question,text_b=context'
  counted = arriving.Counted(text)
  if predictor.labels.kind == 'choices':
    if flags.columns:
      raise ConfigError('--columns: a model that chooses finds context and choices by their names.')
    asked = arriving.read_choices(kind, counted, where)
  else:
    asked = arriving.read(kind, counted, where, flags.columns, usual)
  teller = Teller(predictor, where, as_json=flags.json)
  try:
    with to.open('w', encoding='utf-8') if to else contextlib.nullcontext(sys.stdout) as file:
      for chunk in feed.chunks(asked, _BATCHES * flags.batch_size):
        for line in teller.lines(chunk):
          print(line, file=file)
        file.flush()
  except BrokenPipeError:  # whoever reads the lines has enough of them
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  teller.warn(blank=counted.blank if kind == 'text' else 0)  # elsewhere they are marks


if __name__ == '__main__':
  cli.run(main)
