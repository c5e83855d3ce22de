"""Two processes that take turns at the same work, and medians of how long each took."""

import json
from pathlib import Path
from statistics import median
import subprocess
import sys
import tempfile

from tools.bench_cases import CASES

ROOT = Path(__file__).resolve().parents[1]


class Side:
  """A worker: one program that was made ready, and runs a round whenever it is told to."""

  def __init__(self, module: str, name: str, folder: str):
    self._errors = tempfile.TemporaryFile('w+')
    self._process = subprocess.Popen([sys.executable, '-m', module, name, folder], cwd=ROOT, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
    self.ready = self._answer()

  def round(self) -> dict:
    self._process.stdin.write('\n')
    self._process.stdin.flush()
    return self._answer()

  def close(self):
    self._process.stdin.close()
    self._process.wait()

  def _answer(self) -> dict:
    for line in self._process.stdout:
      if line.startswith('{'):
        return json.loads(line)
    self._errors.seek(0)
    said = self._errors.read().strip().splitlines() or ['it said nothing']
    advice = " The peer needs the extra parity: pip install -e '.[parity]'." if 'No module named' in said[-1] else ''
    raise OSError(f'{self._process.args[2]} stopped: {said[-1]}.{advice}')


def measure(name: str, *, peer: bool, rounds: int) -> dict:
  """One case: medians of `rounds` turns, as `python -m tools.bench --json` prints it."""
  case = CASES[name]
  with tempfile.TemporaryDirectory() as folder:
    sides = dict(ours=Side('tools.bench_cases', name, folder))  # writes the weights that the peer reads
    if peer:
      sides['peer'] = Side('tools.bench_peer', name, folder)
    sides['limits'] = Side('tools.bench_cases', 'limits', folder)
    taken = {side: [] for side in sides}
    for _ in range(rounds):
      for side, worker in sides.items():
        taken[side].append(worker.round())
    for worker in sides.values():
      worker.close()
  facts, best = sides['ours'].ready, taken.pop('limits')
  rates = {side: [case.work / turn['seconds'] for turn in turns] for side, turns in taken.items()}
  rounds_a_second = median(rates['ours']) / case.work
  peak = {limit: median(turn[limit] for turn in best) for limit in ('peak_flops', 'peak_bytes')}
  result = dict(name=name, unit=case.unit, ours=median(rates['ours']), peer=None, ratio=None,
                flops_fraction_of_peak=facts['flops'] * rounds_a_second / peak['peak_flops'],
                bytes_fraction_of_peak=facts['bytes'] * rounds_a_second / peak['peak_bytes'],
                peak_memory_bytes=taken['ours'][-1]['peak_memory_bytes'], **peak)
  if peer:
    result |= dict(peer=median(rates['peer']), ratio=median(a / b for a, b in zip(rates['ours'], rates['peer'])))
  for side in taken:
    result[f'{side}_details'] = dict(lowest=min(rates[side]), highest=max(rates[side]),
                                     memory_bytes=taken[side][-1]['peak_memory_bytes'],
                                     first_seconds=sides[side].ready['first_seconds'])
  return result


def commit() -> str | None:
  """What this tree is, or None outside of git."""
  answer = subprocess.run(['git', 'describe', '--always', '--dirty'], cwd=ROOT, capture_output=True, text=True)
  return answer.stdout.strip() or None
