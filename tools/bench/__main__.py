"""Our speed against what a user would pick instead, in pairs: python
-m tools.bench [--only=train] [--against=none].

Each side of a case is a process of its own, so that neither's threads or memory are the other's.
The two take turns; what is printed are medians of the rounds, with the spread from the lowest to
the highest. The machine's own limits, how fast it multiplies and how fast
it reads, are measured in the same run, also in turn.

  --save=docs/benchmarks.json also puts the results there, in place of older ones of the same cases,
  and draws the table of docs/benchmarks.md and docs/benchmarks.png anew from all of them;
  --only=nothing redraws alone.
"""

import json
from pathlib import Path

from configs.schema.check import ConfigError
from runtime import cli

cli.flags.DEFINE_enum(
  'against', 'transformers', ['transformers', 'none'], 'The peer; it needs the extra parity.'
)
cli.flags.DEFINE_enum('suite', 'cpu', ['cpu', 'gpu'], 'Which cases.')
cli.flags.DEFINE_string('only', '', 'Cases whose name begins with this.')
cli.flags.DEFINE_string(
  'corpus', 'wiki_leads', 'Text of the cases that read some, as in config.data.corpus.'
)
cli.flags.DEFINE_integer('rounds', 5, 'Pairs a case.', lower_bound=1)
cli.flags.DEFINE_string(
  'save', '', 'A JSON file that keeps the results; the page beside it is drawn anew.'
)
cli.define_json()


def main():
  flags = cli.FLAGS

  from runtime.console import Console
  from tools.bench.cases import SUITES
  from tools.bench.page import merge, rows_of
  from tools.bench.pairs import measure, where

  cases = SUITES[flags.suite]
  chosen = [name for name in cases if name.startswith(flags.only)]
  if not chosen and not (flags.save and flags.only == 'nothing'):
    raise ConfigError(f'--only={flags.only}: no case begins so. They are {", ".join(cases)}.')
  console = Console(quiet=flags.json)
  results = []
  for name in chosen:
    results.append(measure(name, against=flags.against, rounds=flags.rounds, corpus=flags.corpus))
    console.table(name, rows_of(results[-1]))
    if flags.save:
      merge(Path(flags.save), results[-1:])
  if flags.save and not chosen:
    merge(Path(flags.save), [])
  if flags.json:
    print(json.dumps(dict(cases=results, **where())))


if __name__ == '__main__':
  cli.run(main)
