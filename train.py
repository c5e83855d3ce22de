"""Trains what a config says: python train.py --config=configs/bert_tiny.py [--workdir=DIR]."""

if __name__ == '__main__':  # before the imports below, which take a second
  from runtime import interrupt

  interrupt.guard()
  from runtime import allocator

  allocator.reexec_with_huge_pages()

import os

from configs.schema import check
from data import checks
from runtime import cli, storage, workdir
from runtime.console import Console
from runtime.signals import Stop

cli.group('The run')
cli.define_config('configs/bert_tiny.py')
cli.flags.DEFINE_string(
  'workdir', None, 'Where the run is kept, and resumed from; runs/<name>-<hash> by default.'
)
cli.group('Several processes')
cli.flags.DEFINE_string(
  'coordinator',
  os.environ.get('JAX_COORDINATOR_ADDRESS', ''),
  'Several processes: HOST:PORT of process 0; auto: what the launcher or the TPU pod says, as it '
  'is under srun; none: alone.',
)
cli.flags.DEFINE_integer(
  'processes', int(os.environ.get('JAX_NUM_PROCESSES', 1)), 'How many processes train together.'
)
cli.flags.DEFINE_integer(
  'process', int(os.environ.get('JAX_PROCESS_ID', 0)), 'Which of them this is, from 0.'
)
cli.flags.DEFINE_integer(
  'join_timeout', 900, 'Seconds to wait for the other processes at the start.', lower_bound=1
)
cli.group('Resuming, and starting again')
cli.flags.DEFINE_bool('restart', False, 'Move an earlier run in the workdir aside and start again.')
cli.flags.DEFINE_list(
  'allow_change', [], 'Fields that may differ from the config the workdir was started with.'
)
cli.flags.DEFINE_string(
  'compiled', '', 'A folder, yours alone, that keeps compiled programs for the next run.'
)


def main():
  flags = cli.FLAGS
  config = flags.config
  if config.data.task or config.data.groups:
    from training import adopt

    config = adopt.settle(config)
  if config.budget != 'steps':
    from training import budget

    config = budget.settle(config)
  resolved = check.resolve(config)
  directory = storage.resolve_path(
    flags.workdir or f'runs/{config.name}-{check.config_hash(resolved)[:8]}'
  )
  checks.check_inputs(config.data)
  if config.init_from:
    workdir.check_origin(config.init_from)
  if config.distill.teacher:
    workdir.check_origin(config.distill.teacher, 'config.distill.teacher')
  console = Console(quiet=flags.process > 0)
  console.say(f'onemask: {config.name} in {directory}')
  stop = Stop()
  stop.on_exit(console.end)
  if config.platform != 'auto':
    os.environ.setdefault('JAX_PLATFORMS', dict(gpu='cuda').get(config.platform, config.platform))

  from runtime import allocator

  allocator.disable_malloc_trim()
  from runtime import compiler, distributed, membership
  from training import describe, loop

  if flags.compiled:
    compiler.keep_programs(flags.compiled)
  with membership.Member(
    coordinator=flags.coordinator,
    processes=flags.processes,
    process=flags.process,
    timeout=flags.join_timeout,
  ) as member:
    if distributed.index():
      console.mute()
    stop.on_exit(lambda: member.report_exit(143, 'a signal ended it at once'))
    result = None if flags.restart else workdir.finished(directory, resolved)
    if result is None:
      result = loop.train(
        config,
        directory,
        stop=stop,
        console=console,
        restart=flags.restart,
        allow_change=tuple(flags.allow_change),
      )
    else:
      console.say('this run is finished; nothing to do')
    console.table('result', describe.result_rows(result, directory, config))


if __name__ == '__main__':
  cli.run(main)
