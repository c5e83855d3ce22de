"""One run that is killed again and again, at random times, and one that is not: the same bits.

  python tests/kills.py --cell=pairs --kills=200 --seed=0

Half of the kills come at any time of a start: imports, data, compilation, the restored checkpoint.
The others come within a second after the first step, where steps, validation and saves alternate.
"""

import argparse
from collections import Counter
from pathlib import Path
import random
import signal
import subprocess
import tempfile
import time

import runs

CELLS = {
  'pairs': ('bert_tiny', {}),  # sentence pairs, mlm + nsp, dropout
  'schedule': (
    'gpt_tiny',
    {'accumulate': 2, 'schedule': '1 prefix+clm, 2 causal+clm', 'optimizer.average': 0.9},
  ),
  # labelled texts in buckets of several lengths, the best parameters beside the last ones
  'finetune': ('finetune/classify', {'checkpoint.best': 'metric', 'finetune.pooling': 'mean'}),
}
_STEPS_A_LIFE = 3  # at most, so that a run outlives its kills on a fast machine too


def chain(cell: str, folder: Path, *, kills: int, seed: int) -> Counter:
  """Kills a run that many times, lets it end, and compares it with one that nobody killed.

  Args:
    folder: empty; the cache of the data and the compiled programs begin empty too.

  Returns:
    {phase in which a kill came: kills}.

  Raises:
    AssertionError: the run failed by itself, ended too early, or left other numbers.
  """
  config, changes = CELLS[cell]
  changes = changes | {'steps': 4 * kills, 'checkpoint.every': 2, 'validation.every': 10}
  compiled, text = f'--compiled={folder}/compiled', runs.corpus(folder)
  if cell == 'finetune':
    trunk = runs.run(runs.command('bert_tiny', folder / 'trunk', text, steps=6))
    assert trunk.returncode == 0, trunk.stdout + trunk.stderr
    task = f'csv:{runs.table(folder)}'
    command = lambda name: runs.finetune(config, folder / 'trunk', task, folder / name, **changes)
  else:
    command = lambda name: runs.command(config, folder / name, text, **changes)
  args = lambda name: [*command(name), compiled]
  draw, phases, start_seconds = random.Random(seed), Counter(), 10.0
  for kill in range(kills):
    starting = draw.random() < 0.5
    wait = draw.uniform(0, start_seconds if starting else 1)
    phase, seconds = _killed(args('killed'), folder / 'killed', wait, starting)
    phases[phase.partition(':')[0]] += 1
    start_seconds = seconds or start_seconds
    print(f'kill {kill + 1} of {kills}: {phase}', flush=True)
  for name in ('killed', 'whole'):
    done = runs.run(args(name), timeout=3_600)
    assert done.returncode == 0, done.stdout + done.stderr
  same(folder / 'killed', folder / 'whole')
  return phases


def same(workdir: Path, reference: Path):
  """Holds a run to another one: rows, arrays of the last checkpoint, certificate, predictions."""
  assert runs.rows(workdir) == runs.rows(reference)
  assert runs.digest(workdir) == runs.digest(reference)
  files = ['certificate.json', *(path.name for path in reference.glob('predictions_*.jsonl'))]
  for name in files:
    assert (workdir / name).read_text() == (reference / name).read_text(), name


def _killed(
  args: list[str], workdir: Path, wait: float, starting: bool
) -> tuple[str, float | None]:
  """(the phase in which a process was killed, the seconds it took to start, if it did).

  Args:
    wait: seconds to the kill, from the start of the process or from the end of its first step.
    starting: from its start.
  """
  (workdir / 'phase').unlink(missing_ok=True)
  began, first, start_seconds = time.monotonic(), None, None
  until = began + wait if starting else None
  process = subprocess.Popen(
    args,
    cwd=runs.ROOT,
    env=runs.environment('none'),
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  while until is None or time.monotonic() < until:
    assert process.poll() is None, process.communicate()[0]
    kind, _, step = _phase(workdir).partition(':')
    if kind == 'step' and step:
      first = int(step) if first is None else first
      if int(step) > first and start_seconds is None:  # the first one is compiled
        start_seconds = time.monotonic() - began
        until = until or time.monotonic() + wait
      if int(step) - first >= _STEPS_A_LIFE:
        break
    time.sleep(0.002)
  process.send_signal(signal.SIGKILL)
  said, _ = process.communicate()
  assert process.returncode == -signal.SIGKILL, said
  return _phase(workdir) or 'imports', start_seconds


def _phase(workdir: Path) -> str:
  """Where the process is, as runtime/faults.py marks it; '' before the first mark."""
  path = workdir / 'phase'
  return path.read_text() if path.exists() else ''


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--cell', choices=CELLS, default='pairs')
  parser.add_argument('--kills', type=int, default=200)
  parser.add_argument('--seed', type=int, default=0)
  asked = parser.parse_args()
  with tempfile.TemporaryDirectory(prefix='onemask-kills-') as folder:
    print(dict(chain(asked.cell, Path(folder), kills=asked.kills, seed=asked.seed)))
