"""Two processes that take turns at the same work, and the medians of what each did."""

import datetime
import json
import os
from pathlib import Path
import platform
from statistics import median
import subprocess
import sys
import tempfile

from tools.bench.cases import CASES
from tools.bench.kinds import Case

ROOT = Path(__file__).resolve().parents[2]
# For both sides: glibc asks Linux for pages of 2 MiB, which spares a CPU TLB misses.
TUNED = dict(GLIBC_TUNABLES='glibc.malloc.hugetlb=1')


class Side:
  """A worker process, prepared when it is made; see tools/bench/worker.py.

  Attributes:
    facts: what it says of itself.

  Raises:
    OSError: it ended; the message has its last line.
  """

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
    self.facts = self._answer()

  def round(self) -> dict:
    """Measures one round."""
    self._process.stdin.write('\n')
    self._process.stdin.flush()
    return self._answer()

  def close(self):
    """Ends the worker."""
    self._process.stdin.close()
    self._process.wait()

  def _answer(self) -> dict:
    for line in self._process.stdout:
      if line.startswith('{'):  # a library may print other lines
        return json.loads(line)
    self._errors.seek(0)
    *_, last = self._errors.read().strip().splitlines() or ['it said nothing']
    advice = ''
    if 'No module named' in last:
      advice = " The peer needs the extra parity: pip install -e '.[parity]'."
    raise OSError(f'{self._process.args[2]} stopped: {last}.{advice}')


def measure(
  name: str, *, against: str, rounds: int, corpus: str, weights: str = '', task_data: str = ''
) -> dict:
  """Measures one case; the result is as `python -m tools.bench --json` prints it.

  Args:
    name: a key of `CASES`.
    against: 'none' leaves out what needs the extra parity; other peers are always measured.
    rounds: how often the sides take turns.
    corpus: of the cases that read one, as in `config.data.corpus`.
    weights: a folder, of the cases that embed or fine-tune; '' is a random model.
    task_data: the folder with the files of the tasks, for the cases that fine-tune.
  """
  case = CASES[name]
  with tempfile.TemporaryDirectory() as folder:
    sides: dict[str, Side] = {}
    # Ours is the first: it leaves in the folder what the peer reads.
    for side, module in case.modules.items():
      if side == 'ours' or not case.peer.endswith('transformers') or against != 'none':
        sides[side] = Side(module, side, name, folder, corpus, weights, task_data)
    sides['limits'] = Side('tools.bench.worker', 'limits')
    taken = {side: [] for side in sides}
    for _ in range(rounds):
      for side, worker in sides.items():
        taken[side].append(worker.round())
    for worker in sides.values():
      worker.close()
  facts = {side: worker.facts for side, worker in sides.items()}
  return summarise(name, case, facts, taken)


def summarise(name: str, case: Case, facts: dict[str, dict], taken: dict[str, list[dict]]) -> dict:
  """The result of a case.

  Args:
    facts: of each side, and of 'limits', the machine.
    taken: their rounds.
  """
  taken = dict(taken)
  limits = taken.pop('limits')
  values = {side: [_value(turn) for turn in turns] for side, turns in taken.items()}
  memory = {side: _median(turns, 'peak_memory_bytes') for side, turns in taken.items()}
  peak = {limit: _median(limits, limit) for limit in ('peak_flops', 'peak_bytes')}
  if facts['ours'].get('stated_peak_flops'):
    peak['peak_flops'] = facts['ours']['stated_peak_flops']
  result = dict(
    name=name,
    says=case.says,
    unit=case.unit,
    ours=median(values['ours']),
    peer=None,
    ratio=None,
    peer_is=case.peer if 'peer' in taken else None,
    **_fractions(facts['ours'], _median(taken['ours'], 'seconds'), peak),
    peak_memory_bytes=memory['ours'],
    memory_ratio=None,
    **peak,
    compile_seconds=facts['ours'].get('compile_seconds'),
  )
  if 'peer' in taken:
    result |= dict(
      peer=median(values['peer']),
      ratio=median(ours / peer for ours, peer in zip(values['ours'], values['peer'])),
      memory_ratio=memory['ours'] / memory['peer'],
    )
  for side, turns in taken.items():
    result[f'{side}_details'] = dict(
      lowest=min(values[side]),
      highest=max(values[side]),
      memory_bytes=memory[side],
      tokens_per_second=_tokens_per_second(turns),
      **facts[side],
    )
  if not result['compile_seconds']:
    # Where a round is a compilation, it says how long it took.
    result['compile_seconds'] = taken['ours'][-1].get('compile_seconds')
  targets = [target.judge(result) for target in case.targets]
  return result | dict(targets=targets, rounds=len(limits), **where())


def _median(turns: list[dict], name: str) -> float:
  return median(turn[name] for turn in turns)


def _value(turn: dict) -> float:
  """The number of a round: what it says itself, or its work a second."""
  return turn.get('value', turn.get('work', 0) / turn['seconds'])


def _fractions(facts: dict, seconds: float, peak: dict[str, float]) -> dict[str, float | None]:
  """The shares of the machine's peaks that a round of so many seconds reaches."""
  fractions = {}
  for kind in ('flops', 'bytes'):
    fraction = facts[kind] / seconds / peak[f'peak_{kind}'] if kind in facts else None
    fractions[f'{kind}_fraction_of_peak'] = fraction
  return fractions


def _tokens_per_second(turns: list[dict]) -> float | None:
  """The median, padding included; None if a round has no tokens."""
  if 'tokens' not in turns[0]:
    return None
  return median(turn['tokens'] / turn['seconds'] for turn in turns)


def where() -> dict:
  """The machine, the commit (None outside of git) and the day."""
  described = subprocess.run(
    ['git', 'describe', '--always', '--dirty'], cwd=ROOT, capture_output=True, text=True
  )
  return dict(
    machine=f'{os.cpu_count()} x {_processor()}',
    commit=described.stdout.strip() or None,
    date=datetime.date.today().isoformat(),
  )


def _processor() -> str:
  """The model of the processor."""
  try:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
  except OSError:
    return platform.processor() or platform.machine()
  facts = {}
  for line in reversed(lines):  # so that those of the first core remain
    name, _, value = line.replace('\t', '').partition(': ')
    facts[name] = value
  if 'model name' not in facts:
    return platform.machine()
  # Clouds give several generations one model name; these numbers tell them apart.
  return f'{facts["model name"]} (family {facts.get("cpu family")}, model {facts.get("model")})'
