"""Our speed against what a user would pick instead: python -m tools.bench
[--only=train] [--against=none].

Each side of a case is a process of its own, so that neither's threads or memory are the other's.
The two take turns. The output is medians over the rounds, with the lowest and the highest. The
machine's own limits, how fast it multiplies and how fast it reads, are measured in the same rounds.

  --save=docs/benchmarks.json also puts the results there, in place of older ones of the same cases,
  and draws the table of docs/benchmarks.md and docs/benchmarks.png anew from all of them.
  --only=nothing measures nothing, and only draws.
"""

import json
from pathlib import Path

from configs.schema.check import ConfigError
from runtime import cli, storage

cli.group('What is measured')
cli.flags.DEFINE_enum(
  'against',
  'transformers',
  ['transformers', 'none'],
  'What to compare with; transformers needs the extra parity.',
)
cli.flags.DEFINE_enum('suite', 'cpu', ['cpu', 'gpu'], 'Cases for CPUs, or for one GPU.')
cli.flags.DEFINE_string('only', '', 'Only the cases whose name begins with this; nothing: none.')
cli.flags.DEFINE_string(
  'corpus', 'wiki_leads', 'Text of the cases that read some, as in config.data.corpus.'
)
cli.flags.DEFINE_string(
  'weights',
  '',
  'A Hugging Face directory for the cases that embed or fine-tune; random weights without one.',
)
cli.flags.DEFINE_string(
  'task_data',
  '',
  'The folder with the files of the tasks, for the cases that fine-tune; left out without one.',
)
cli.flags.DEFINE_integer('rounds', 5, 'How often the sides of a case take turns.', lower_bound=1)
cli.group('What is kept')
cli.flags.DEFINE_string(
  'save', '', 'A JSON file that keeps the results; the page beside it is drawn anew.'
)
cli.define_json()


def main():
  flags = cli.FLAGS

  save = storage.output_path(flags.save, '--save', '.json') if flags.save else None

  from runtime.console import Console
  from tools.bench.cases import SUITES
  from tools.bench.page import merge, rows_of
  from tools.bench.pairs import measure, where

  cases = SUITES[flags.suite]
  chosen = [name for name in cases if name.startswith(flags.only)]
  if not chosen and not (save and flags.only == 'nothing'):
    raise ConfigError(f'--only={flags.only}: no case begins so. They are {", ".join(cases)}.')
  console = Console(quiet=flags.json)
  chosen = _with_data(cases, chosen, console)
  results = []
  for name in chosen:
    result = measure(
      name,
      against=flags.against,
      rounds=flags.rounds,
      corpus=flags.corpus,
      weights=_absolute(flags.weights),
      task_data=_absolute(flags.task_data),
    )
    results.append(result)
    console.table(name, rows_of(result))
    if save:
      merge(save, [result])
  if save and not chosen:
    merge(save, [])
  if flags.json:
    print(json.dumps(dict(cases=results, **where())))


def _with_data(cases: dict, chosen: list[str], console) -> list[str]:
  """The cases of which the data are there.

  Raises:
    ConfigError: none is left.
  """
  from tools.bench.kinds import Finetune

  without = [name for name in chosen if isinstance(cases[name], Finetune)]
  if cli.FLAGS.task_data or not without:
    return chosen
  if without == chosen:
    raise ConfigError(
      f'{", ".join(without)}: --task_data=FOLDER is needed, with the published files of the task.'
    )
  console.say(f'left out, without --task_data: {", ".join(without)}')
  return [name for name in chosen if name not in without]


def _absolute(folder: str) -> str:
  """A folder that the workers, which run elsewhere, find too; '' stays ''."""
  return str(Path(folder).expanduser().absolute()) if folder else ''


if __name__ == '__main__':
  cli.run(main)
