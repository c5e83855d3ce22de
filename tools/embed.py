"""Writes a vector for each line of a text: python -m tools.embed --weights=DIR --input=FILE
--output=FILE.npy

A row of the matrix is a line of the input: float32, of length 1 (--normalize), the last layer
pooled as the model says of itself, or as --pooling says. --search="query" ranks the lines by cosine
instead. A blank line has a row, so that rows are lines, but is never found.
"""

import json
from pathlib import Path

from configs.schema import names
from configs.schema.check import ConfigError
from runtime import cli

cli.group('Model')
cli.define_weights()
cli.define_step()
cli.group('Input and output')
cli.flags.DEFINE_string('input', None, 'Text, a line a row.')
cli.flags.DEFINE_string('output', None, 'The .npy file to write.')
cli.flags.DEFINE_string('search', None, 'Rank the lines by their cosine with this text.')
cli.flags.DEFINE_integer('top', 10, 'Lines that --search shows.', lower_bound=1)
cli.group('Vectors')
cli.flags.DEFINE_enum(
  'pooling',
  None,
  names.poolings(),
  'How the states of the tokens of a line become one vector; as the model says of itself.',
)
cli.flags.DEFINE_bool('normalize', True, 'Vectors of length 1.')
cli.flags.DEFINE_integer(
  'max_length',
  None,
  'Tokens of a line that are read; the rest is left out. As many as the model says of itself.',
  lower_bound=2,
)
cli.flags.DEFINE_integer('batch_size', 32, 'Lines at once; changes speed only.', lower_bound=1)
cli.define_json()


def main():
  flags = cli.FLAGS
  if not flags.input or not (flags.output or flags.search):
    raise ConfigError('--input=FILE and either --output=FILE.npy or --search="query" are needed.')
  if flags.output and not flags.output.endswith('.npy'):
    raise ConfigError(f'--output={flags.output} must end in .npy.')
  if flags.output and not Path(flags.output).expanduser().absolute().parent.is_dir():
    raise ConfigError(f'--output={flags.output}: there is no such folder.')

  import numpy as np

  from data.lines import is_blank, read_lines

  lines = read_lines(Path(flags.input).expanduser())
  blank_N = np.array([is_blank(line) for line in lines], bool)
  if blank_N.all():
    raise ConfigError(f'{flags.input} has no line with text.')

  from inference.embed import Embedder
  from runtime.console import Console
  from training import load as loading

  weights = loading.load(loading.flag(), step=flags.step)
  embed = Embedder(
    weights, max_length=flags.max_length, pooling=flags.pooling, normalize=flags.normalize
  )
  console = Console(quiet=flags.json)
  matrix_NxD = embed(
    lines, flags.batch_size, progress=lambda done: console.part('embedding', done, len(lines))
  )
  blank = int(blank_N.sum())
  result = dict(lines=len(lines), blank=blank, width=matrix_NxD.shape[1])
  if blank:
    console.say(f'{blank:,} of {len(lines):,} lines are blank: rows of no text, never found')
  if flags.output:
    np.save(Path(flags.output).expanduser(), matrix_NxD)
    result['output'] = flags.output
    console.say(f'{len(lines):,} rows of {matrix_NxD.shape[1]} in {flags.output}')
  if flags.search:
    query_D = embed([flags.search], 1)[0]
    norms_N = np.linalg.norm(matrix_NxD, axis=1) * np.linalg.norm(query_D)
    cosine_N = matrix_NxD @ query_D / np.maximum(norms_N, 1e-12)
    ranked = np.argsort(-cosine_N, kind='stable')
    best = ranked[~blank_N[ranked]][: flags.top]
    result['results'] = [
      dict(line=int(i) + 1, cosine=float(cosine_N[i]), text=lines[i]) for i in best
    ]
    console.table(flags.search, {f'{cosine_N[i]:.4f}  line {i + 1:,}': lines[i] for i in best})
  if flags.json:
    print(json.dumps(result))


if __name__ == '__main__':
  cli.run(main)
