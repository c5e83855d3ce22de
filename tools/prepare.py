"""Makes the rows of a config ahead of its training: python -m tools.prepare
--config=configs/bert_base.py

The corpus is tokenised in --shards, by --workers processes of this machine, or by Apache Beam with
--runner (extra beam): rows and fingerprint are those that train.py would make by itself, whoever
makes them. What was finished is kept: the same command goes on after a kill. docs/corpora.md says
what a corpus of a paper costs.
"""

from concurrent.futures import ProcessPoolExecutor
import contextlib
import functools
import json
import multiprocessing
import os
from pathlib import Path
import shutil
import signal
import threading
import time

from configs.schema.check import ConfigError
from runtime import cli

cli.group('What is made')
cli.define_config()
cli.group('Who works')
cli.flags.DEFINE_string(
  'runner',
  'processes',
  'Who works: processes of this machine, or a runner of Apache Beam, as DirectRunner.',
)
cli.flags.DEFINE_integer(
  'workers', os.cpu_count() or 1, 'How many processes of this machine.', lower_bound=1
)
cli.flags.DEFINE_integer(
  'shards',
  0,
  'Into how many parts the corpus is cut; 0 = 8 a worker. Keep it to resume.',
  lower_bound=0,
)
cli.flags.DEFINE_multi_string(
  'beam', [], 'An option of the runner, as --beam=--flink_master=HOST:8081; several times.'
)
cli.define_json()

_LOOK_EVERY_S = 5


def main():
  flags = cli.FLAGS
  if flags.runner != 'processes':
    _beam()
  elif flags.beam:
    raise ConfigError(
      '--beam is for a runner of Apache Beam: add --runner=DirectRunner, or leave it out.'
    )

  from data import checks

  checks.check_inputs(flags.config.data)

  from data.report import format_report
  from runtime.console import Console
  from training import budget
  from training.prepare import prepare_data

  console, began = Console(quiet=flags.json), time.monotonic()
  prepared = prepare_data(
    budget.settle(flags.config), console.stage, functools.partial(_tokenise, console, flags)
  )
  if flags.json:
    print(
      json.dumps(
        dict(
          fingerprint=prepared.fingerprint,
          tokenizer=prepared.tokenizer.sha256,
          folders=_folders(prepared),
          seconds=time.monotonic() - began,
          report=prepared.report,
        )
      )
    )
  else:
    console.say(format_report(prepared.report))
    console.say(f'fingerprint      {prepared.fingerprint}, in {flags.config.data.cache}')


def _folders(prepared) -> dict:
  """Where the rows of each length are; of a mix those of each part."""
  if prepared.parts:
    return {name: _folders(part) for name, part in prepared.parts.items()}
  return {T: str(folder) for T, folder in prepared.folders.items()}


def _tokenise(
  console, flags, corpus, tokenizer, folder: Path, validation_share: float, progress
) -> dict:
  """`documents.tokenise`, by many."""
  from data import pipeline
  from data.rows import shards

  job = shards.job(
    corpus,
    tokenizer,
    Path(flags.config.data.cache).expanduser().absolute(),
    validation_share,
    flags.shards or 8 * flags.workers,
    pipeline.VERSION,
  )
  there, wanted = shards.finished(job), len(job['parts'])
  left = [index for index in range(wanted) if index not in there]
  console.say(
    f'{wanted} shards, {len(there)} of them finished before; {flags.runner}, '
    f'{flags.workers} workers'
  )
  with _watched(console, job, len(there)):
    if flags.runner == 'processes':
      _run_processes(functools.partial(shards.work, job=job), left, flags.workers)
    elif left:
      _run_beam(flags, job, left)
  counted = shards.merge(job, folder, tokenizer.size, progress)
  shutil.rmtree(job['folder'])
  return counted


def _run_processes(work, left: list[int], workers: int):
  """Calls `work` with each of `left`, in processes that do not outlive this one."""
  # New processes, not copies of this one: it has threads of jax, which a copy may wait for in vain.
  context = multiprocessing.get_context('spawn')
  with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
    # Ctrl-C in a terminal goes to every process: theirs never see it, and this one ends them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    results = pool.map(work, left)
    try:
      signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
      for _ in results:
        pass
    except BaseException:
      for process in multiprocessing.active_children():
        process.terminate()
      raise


def _end_with_parent():
  """In a worker: ends it when the process that started it has ended, however it did."""
  parent = multiprocessing.parent_process()

  def wait():
    parent.join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()


def _run_beam(flags, job: dict, left: list[int]):
  beam, options = _beam(), [f'--runner={flags.runner}', *flags.beam]
  if flags.runner == 'DirectRunner':
    options += [f'--direct_num_workers={flags.workers}', '--direct_running_mode=multi_processing']

  from apache_beam.options.pipeline_options import PipelineOptions

  from data.rows import shards

  with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
    # Shuffled, or all shards would be one bundle for one worker.
    # Each result is a folder; nothing comes back.
    _ = pipeline | beam.Create(left) | beam.Reshuffle() | beam.Map(shards.work, job=job)


@contextlib.contextmanager
def _watched(console, job: dict, before: int):
  """Says how far the shards are: their folders tell, whoever makes them."""
  from data.rows import shards
  from runtime.console import duration

  done, began, wanted = threading.Event(), time.monotonic(), len(job['parts'])

  def watch():
    seen = before
    while not done.wait(_LOOK_EVERY_S):
      there = shards.finished(job)
      if len(there) == seen:
        continue
      seen, seconds = len(there), time.monotonic() - began
      tokens = shards.tokens([shards.folders(job)[index] for index in there])
      left = seconds / (seen - before) * (wanted - seen)
      console.say(
        f'data: {seen} of {wanted} shards, {tokens:,} tokens; about {duration(left)} left'
      )

  thread = threading.Thread(target=watch, daemon=True)
  thread.start()
  try:
    yield
  finally:
    done.set()
    thread.join()


def _beam():
  try:
    import apache_beam
  except ImportError:
    raise ConfigError(
      '--runner of Apache Beam needs the extra beam, in an environment of its own '
      "(docs/corpora.md): pip install -e '.[beam]'; or leave --runner out, for processes of this "
      'machine.'
    ) from None
  return apache_beam


if __name__ == '__main__':
  cli.run(main)
