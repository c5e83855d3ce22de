"""Trains and evaluates the runs of a sweep on this machine, several at a time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
import os
from pathlib import Path
import queue
import subprocess
import threading

from runtime import storage
from tools.sweep.evaluations import Evaluation
from tools.sweep.runs import ROOT, Run, Sweep

# What tells a process which accelerators are its own, for NVIDIA, for AMD and for TPU.
_VISIBLE = ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'TPU_VISIBLE_CHIPS')


def execute(
  sweep: Sweep,
  runs: Sequence[Run],
  device_groups: Sequence[str | None],
  task_data: str | None,
  on_start: Callable[[str], None],
) -> Iterator[tuple[Run, list[str]]]:
  """Trains and evaluates the runs; yields (run, what failed) as they end.

  Every program is a process with its own log beside the run's folder. A run that was begun is
  resumed, one that is finished is only evaluated. When the caller stops iterating, processes get
  SIGTERM, and trainers leave a checkpoint.

  Args:
    device_groups: one for each run at a time: the numbers of the accelerators that it may see, as
      in '0' or '0,1'; None: all that there are.
    task_data: the folder with the files of the tasks; without it nothing is evaluated.
    on_start: is told of each program that begins.
  """
  processes = _Processes(device_groups, on_start)
  following = sweep.evaluations if task_data else ()

  def train_and_evaluate(run: Run) -> tuple[Run, list[str]]:
    if run.result() is None:
      failed = processes.run(run.title, run.command(), run.log)
      if failed:
        return run, failed
    failed = []
    for evaluation in [one for one in following if one.asks(run.changes)]:
      failed += _evaluate(processes, run, evaluation, task_data)
    return run, failed

  pool = ThreadPoolExecutor(len(device_groups))
  waiting = {pool.submit(train_and_evaluate, run) for run in runs}
  try:
    while waiting:
      done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
      yield from (future.result() for future in done)
  finally:
    processes.stopped.set()
    pool.shutdown(wait=False, cancel_futures=True)
    processes.terminate()


class _Processes:
  """Runs programs from several threads, each on a free group of devices."""

  def __init__(self, device_groups: Sequence[str | None], on_start: Callable[[str], None]):
    self.stopped = threading.Event()
    self._on_start = on_start
    self._started: list[subprocess.Popen] = []
    self._free: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for group in device_groups:
      self._free.put(group)

  def run(self, what: str, command: list[str], log_path: Path) -> list[str]:
    """Runs a program to its end; returns what failed: [] or one line."""
    if self.stopped.is_set():  # the program before this one has ended by a signal
      return [f'{what}: not begun']
    self._on_start(what)
    group = self._free.get()  # never waits: there are as many threads as groups
    visible = {} if group is None else dict.fromkeys(_VISIBLE, group)
    with storage.appending(log_path) as log:
      process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=log,
        stderr=log,
        env=os.environ | visible,
        # Ctrl-C in a terminal goes to its whole group. Ours stops the trainers once, so that they
        # save: a second signal would end them at once.
        process_group=0,
      )
      self._started.append(process)
      code = process.wait()
    self._free.put(group)
    return [f'{what} failed with exit code {code}, see {log_path.name}'] if code else []

  def terminate(self):
    """Sends SIGTERM to what still runs, and waits for its end."""
    for process in self._started:
      if process.poll() is None:
        process.terminate()
        process.wait()


def _evaluate(processes: _Processes, run: Run, evaluation: Evaluation, task_data: str) -> list[str]:
  """Runs the tasks of an evaluation that are left; returns what failed."""
  tasks = evaluation.tasks_left(run.folder)
  if not tasks:
    return []
  what = f'{run.title}: {", ".join(map(evaluation.name, tasks))}'
  log_path = evaluation.log(run.folder)
  failed = processes.run(what, evaluation.command(run.folder, task_data), log_path)
  if not failed and evaluation.tasks_left(run.folder):
    failed = [f'{what}: no answer in evaluations.json, see {log_path.name}']
  return failed
