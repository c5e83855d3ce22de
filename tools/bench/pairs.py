"""Two processes that take turns at the same work, and medians of what each did."""

import datetime
import json
import os
from pathlib import Path
import platform
from statistics import median
import subprocess
import sys
import tempfile

from tools.bench.cases import CASES, Case

ROOT = Path(__file__).resolve().parents[2]
# For both sides: Linux gives glibc pages of 2 MiB where it asks for
# them, which spares a CPU looking up where they lie.
TUNED = dict(GLIBC_TUNABLES='glibc.malloc.hugetlb=1')


class Side:
  """A worker: one program that was made ready, and runs a round whenever it is told to."""

  def __init__(self, module: str, *arguments: str):
    self._errors = tempfile.TemporaryFile('w+')
    self._process = subprocess.Popen(
      [sys.executable, '-m', module, *arguments],
      cwd=ROOT,
      text=True,
      env=TUNED | os.environ,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._errors,
    )
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
    advice = (
      " The peer needs the extra parity: pip install -e '.[parity]'."
      if 'No module named' in said[-1]
      else ''
    )
    raise OSError(f'{self._process.args[2]} stopped: {said[-1]}.{advice}')


def measure(name: str, *, against: str, rounds: int, corpus: str) -> dict:
  """One case as `python -m tools.bench --json` prints it: medians of `rounds` turns.

  Args:
    against: 'none' leaves transformers out; a peer of our own is always there.
    corpus: of the cases that read one, as in `config.data.corpus`.
  """
  case = CASES[name]
  with tempfile.TemporaryDirectory() as folder:
    sides = {}
    # ours first: it leaves in the folder what the peer reads
    for side, module in case.modules.items():
      if side == 'ours' or case.peer != 'transformers' or against != 'none':
        sides[side] = Side(module, side, name, folder, corpus)
    sides['limits'] = Side('tools.bench.worker', 'limits')
    taken = {side: [] for side in sides}
    for _ in range(rounds):
      for side, worker in sides.items():
        taken[side].append(worker.round())
    for worker in sides.values():
      worker.close()
  return summarise(name, case, {side: sides[side].ready for side in sides}, taken)


def summarise(name: str, case: Case, facts: dict[str, dict], taken: dict[str, list[dict]]) -> dict:
  """The result of a case from what its sides said of themselves and of each round."""
  taken = dict(taken)
  best = taken.pop('limits')
  values = {
    side: [turn.get('value', turn.get('work', 0) / turn['seconds']) for turn in turns]
    for side, turns in taken.items()
  }
  peak = {limit: median(turn[limit] for turn in best) for limit in ('peak_flops', 'peak_bytes')}
  if facts['ours'].get('stated_peak_flops'):
    peak['peak_flops'] = facts['ours']['stated_peak_flops']
  seconds = median(turn['seconds'] for turn in taken['ours'])
  fraction = {
    f'{kind}_fraction_of_peak': facts['ours'][kind] / seconds / peak[f'peak_{kind}']
    if kind in facts['ours']
    else None
    for kind in ('flops', 'bytes')
  }
  memory = {
    side: median(turn['peak_memory_bytes'] for turn in turns) for side, turns in taken.items()
  }
  result = dict(
    name=name,
    says=case.says,
    unit=case.unit,
    ours=median(values['ours']),
    peer=None,
    ratio=None,
    peer_is=case.peer if 'peer' in taken else None,
    **fraction,
    peak_memory_bytes=memory['ours'],
    memory_ratio=None,
    **peak,
    compile_seconds=facts['ours'].get('compile_seconds'),
  )
  if 'peer' in taken:
    result |= dict(
      peer=median(values['peer']),
      ratio=median(a / b for a, b in zip(values['ours'], values['peer'])),
      memory_ratio=memory['ours'] / memory['peer'],
    )
  for side, turns in taken.items():
    result[f'{side}_details'] = dict(
      lowest=min(values[side]),
      highest=max(values[side]),
      memory_bytes=memory[side],
      tokens_per_second=_median_rate(turns),
      **facts[side],
    )
  last = taken['ours'][-1].get('compile_seconds')  # where compiling is what a round does
  result['compile_seconds'] = result['compile_seconds'] or last
  return result | dict(
    targets=[target.judge(result) for target in case.targets], rounds=len(best), **where()
  )


def _median_rate(turns: list[dict]) -> float | None:
  """Padding counted; None where a round has no tokens."""
  return (
    median(turn['tokens'] / turn['seconds'] for turn in turns) if 'tokens' in turns[0] else None
  )


def where() -> dict:
  """The machine, the commit (None outside of git) and the day."""
  answer = subprocess.run(
    ['git', 'describe', '--always', '--dirty'], cwd=ROOT, capture_output=True, text=True
  )
  return dict(
    machine=f'{os.cpu_count()} x {_processor()}',
    commit=answer.stdout.strip() or None,
    date=datetime.date.today().isoformat(),
  )


def _processor() -> str:
  try:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
  except OSError:
    return platform.processor() or platform.machine()
  # of the first core
  said = dict(line.replace('\t', '').partition(': ')[::2] for line in reversed(lines))
  if 'model name' not in said:
    return platform.machine()
  # What a cloud calls its processors tells one generation from another by these numbers alone.
  return f'{said["model name"]} (family {said.get("cpu family")}, model {said.get("model")})'
