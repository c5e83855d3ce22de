"""Fine-tunes the same weights on the same rows here and with the Trainer of transformers:
python -m tools.bench.scores --weights=DIR --task_data=FOLDER --out=DIR --side=ours

One recipe, the same seeds and one scorer on both sides; what differs is the library. A run that is
finished is skipped: the two sides may run at the same time, and a command that was stopped goes on.
Without --side it prints the table of what is there: means and standard deviations over the seeds,
and whether the means differ by more than seeds do.
"""

from pathlib import Path

from configs.schema.check import ConfigError
from runtime import cli, storage
from tools.bench import beside

cli.group('What is compared')
cli.flags.DEFINE_string('weights', None, 'A Hugging Face directory.')
cli.flags.DEFINE_string('task_data', None, 'The folder with the files of the tasks.')
cli.flags.DEFINE_list('tasks', list(beside.TASKS), 'Of data/tasks/, and squad.')
cli.flags.DEFINE_integer('seeds', 3, 'Seeds from 0 on.', lower_bound=1)
cli.group('What is done')
cli.flags.DEFINE_string('out', None, 'A folder that keeps rows, runs and scores.')
cli.flags.DEFINE_enum('side', '', ['', 'ours', 'peer'], 'Which side trains; none: the table.')


def main():
  flags = cli.FLAGS
  if not (flags.weights and flags.task_data and flags.out):
    raise ConfigError('--weights=DIR, --task_data=FOLDER and --out=DIR are needed.')
  out = Path(storage.resolve_path(flags.out)).absolute()
  weights = str(Path(flags.weights).expanduser().absolute())
  for name in flags.tasks if flags.side else ():
    beside.train(
      flags.side, name, out, weights=weights, task_data=flags.task_data, seeds=flags.seeds
    )
  print('\n'.join(beside.table(out, flags.tasks, flags.seeds)))


if __name__ == '__main__':
  cli.run(main)
