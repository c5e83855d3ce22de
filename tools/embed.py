"""Writes a vector for each line of a text: python -m tools.embed --weights=DIR --input=FILE
--output=FILE.npy

A row of the matrix is a line of the input: of length 1 (--normalize), the last layer pooled as the
model says of itself, or as --pooling says. A blank line has a row, so that rows are lines, but is
never found. The same command goes on where it was stopped. --output=FILE.jsonl has text and vector
of each line that is not blank: a file of groups for distill_vectors.

  --search="query" ranks the lines by cosine instead, and may be given several times; every line is
  compared. --matrix=FILE.npy ranks the rows that an earlier run wrote. Rows in few bits
  (--precision) are compared with the whole query: that is what is called rescoring.
"""

import json
from pathlib import Path

from configs.schema import names
from configs.schema.check import ConfigError
from data.errors import DataError
from runtime import cli, storage

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('Input and output')
cli.flags.DEFINE_string('input', None, 'Text, a line a row.')
cli.flags.DEFINE_string('output', None, 'The .npy or .jsonl file to write.')
cli.flags.DEFINE_string('matrix', None, 'A .npy file that --output wrote, to search in.')
cli.flags.DEFINE_multi_string('search', [], 'Rank the lines by their cosine with this text')
cli.flags.DEFINE_integer('top', 10, 'Lines that --search shows.', lower_bound=1)
cli.group('Vectors')
cli.flags.DEFINE_enum(
  'pooling',
  None,
  names.poolings(),
  'How the states of the tokens of a line become one vector; as the model says of itself.',
)
cli.flags.DEFINE_bool('normalize', True, 'Vectors of length 1.')
cli.flags.DEFINE_string(
  'prompt',
  None,
  'Text that is put before each line, or the name of a prompt of the model; its default one.',
)
cli.flags.DEFINE_string(
  'query_prompt',
  None,
  'The same for what --search looks for; by default the prompt query of the model, else --prompt.',
)
cli.flags.DEFINE_integer(
  'truncate_dim', None, 'Dimensions that are kept, the first ones.', lower_bound=1
)
cli.flags.DEFINE_enum(
  'precision',
  'float32',
  ['float32', 'float16', 'int8', 'uint8', 'binary', 'ubinary'],
  'How a number is stored: int8 in 256 levels between the least and the largest of its dimension, '
  'binary as its sign.',
)
cli.flags.DEFINE_integer(
  'max_length',
  None,
  'Tokens of a line that are read; the rest is left out. As many as the model says of itself.',
  lower_bound=2,
)
cli.flags.DEFINE_integer(
  'batch_size', 32, 'Rows of 64 tokens at once; changes speed only.', lower_bound=1
)
cli.define_json()


def main():
  flags = cli.FLAGS
  output = _check(flags)

  from data.lines import is_blank, read_lines
  from runtime.console import Console
  from training import load as loading

  lines = read_lines(Path(flags.input).expanduser())
  blanks = [is_blank(line) for line in lines]
  if all(blanks):
    raise DataError(f'{flags.input} has no line with text.')
  if flags.precision.endswith('int8') and len(lines) < 2:
    raise ConfigError(f'--precision={flags.precision} needs two lines at least.')
  model = loading.load(loading.flag(), step=flags.step)
  console = Console(quiet=flags.json)
  if blank := sum(blanks):
    console.say(f'blank lines, rows of no text, never found: {blank:,} of {len(lines):,}')

  from inference import line_vectors

  asked = line_vectors.Asked(
    pooling=flags.pooling or model.config.pooling,
    normalize=flags.normalize,
    prompt=_prompt(model, flags.prompt, model.default_prompt),
    truncate_dim=flags.truncate_dim or model.truncate_dim,
    precision=flags.precision,
    max_length=min(flags.max_length or model.text_length, model.context),
  )
  vectors = line_vectors.LineVectors(model, lines, asked, flags.batch_size, console, flags.input)
  result: dict = dict(lines=len(lines), blank=blank, width=vectors.width)
  if output:
    if output.suffix == '.jsonl':
      vectors.write_groups(output, blanks)
    else:
      vectors.save(output)
    result['output'] = flags.output
    console.say(f'{len(lines):,} rows of {vectors.width} in {flags.output}')
  if flags.search:
    matrix = output or (flags.matrix and Path(flags.matrix).expanduser())
    prompt = _prompt(model, flags.query_prompt, model.prompts.get('query', asked.prompt))
    found = vectors.search(flags.search, prompt, flags.top, matrix, blanks)
    result['searches'] = [dict(query=query, results=one) for query, one in zip(flags.search, found)]
    if len(found) == 1:
      result['results'] = found[0]
    for query, one in zip(flags.search, found):
      rows = {f'{row["cosine"]:.4f}  line {row["line"]:,}': row['text'] for row in one}
      console.table(query, rows)
  if flags.json:
    print(json.dumps(result))


def _prompt(model, given: str | None, usual: str) -> str:
  """The text of a prompt: that of the model's prompt of this name, else what was given."""
  return usual if given is None else model.prompts.get(given, given)


def _check(flags) -> Path | None:
  """Refuses flags that do not go together; returns where to write, if anywhere."""
  if not flags.input or not (flags.output or flags.search):
    raise ConfigError('--input=FILE and either --output=FILE.npy or --search="query" are needed.')
  if flags.matrix and (flags.output or not flags.search):
    raise ConfigError('--matrix=FILE.npy is there to --search in, and nothing is written.')
  if not flags.output:
    return None
  if not flags.output.endswith('.jsonl'):
    return storage.output_path(flags.output, '--output', '.npy')
  if flags.search or flags.precision != 'float32':
    raise ConfigError(
      '--output=FILE.jsonl has whole vectors for training: --search in a .npy file.'
    )
  return storage.output_path(flags.output, '--output', '.jsonl')


if __name__ == '__main__':
  cli.run(main)
