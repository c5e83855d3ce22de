"""What a person reads is true, soon, and legible in a terminal and in a log."""

import io
import os
import pty
import re
import select
import subprocess
import sys

import jax_stub
import pytest

from runtime import console
from runtime.console import Console, duration
from training import hooks

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Clock:
  """Time that passes only when told."""

  def __init__(self, monkeypatch):
    self.now = 1_000.0
    monkeypatch.setattr(console.time, 'monotonic', lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
  return Clock(monkeypatch)


def in_a_log() -> tuple[Console, io.StringIO]:
  text = io.StringIO()
  return Console(file=text), text


def test_the_eta_is_the_median_of_steps_and_the_evaluating_and_saving_to_come(clock):
  ours, text = in_a_log()
  # Predicted: 7 s a step, and from step 900 on, where rows are longer, 70 s.
  ours.begin(0, 1_000, lambda step: 7.0 * max(0, 900 - step) + 70.0 * min(100, 1_000 - step))
  clock.now += 11
  ours.stepped(1, None, 0.0, 5.0, 1.0)  # the first step waited for the compiler
  # nothing is measured yet
  assert f'loss 5.0000  perhaps {duration(899 * 7 + 100 * 70)} left' in text.getvalue()
  for step in range(2, 101):
    ours.stepped(step, 60.0 if step == 50 else 2.0, 450.0, 5.0, 1234.5)
  clock.now += 11
  ours.stepped(100, 2.0, 450.0, 4.25, 1234.5)
  expected = duration(800 * 2 + 100 * 20 + 900 * 0.5)
  assert f'step 100 of 1,000  loss 4.2500  1,234 tokens/s  {expected} left' in text.getvalue()


def left_in(line: str) -> float:
  """The seconds that a line says are left."""
  number, unit = re.search(r'([\d.,]+) (s|min|h|days) left', line).groups()
  return float(number.replace(',', '')) * dict(s=1, min=60, h=3_600, days=86_400)[unit]


@pytest.mark.parametrize('seconds', [0.004, 0.3, 1.4, 7.0, 90.0])
@pytest.mark.parametrize('burst', [1, 2, 16])
def test_the_time_left_is_honest_from_the_second_call_however_the_steps_come(seconds, burst, clock):
  ours, _ = in_a_log()
  of, tokens, compiling = 320, 2_560.0, 400.0
  ours.begin(0, of)
  clock.now += compiling
  for done in range(1, of):
    if done % burst == 0:  # several are read at once when the last of them is done
      clock.now += burst * seconds
    ours.counted(done, 'loss 0.6931', tokens)
    if done == 1:
      assert ours._numbers == 'loss 0.6931'  # nothing is known of the speed
    window = min(done, max(2 * burst, 60 / seconds))
    if done > 3 * burst:
      error = 2 * burst / window + 0.06  # words have two digits
      truth = (of - done) * seconds
      rounded = 1e-9 + 35 * (truth > 60) + 180 * (truth > 4_000)  # minutes, hours
      assert abs(left_in(ours._numbers) - truth) <= error * truth + rounded
      speed = float(re.search(r'([\d,]+) tokens/s', ours._numbers)[1].replace(',', ''))
      assert abs(speed * seconds / tokens - 1) <= error


def test_a_change_of_speed_is_seen_within_a_minute(clock):
  ours, _ = in_a_log()
  ours.begin(0, 10_000)
  for done in range(1, 1_000):
    clock.now += 0.1 if done < 500 else 1.0
    ours.counted(done)
  assert left_in(ours._numbers) == pytest.approx(9_001, rel=0.05)


def test_a_second_task_starts_its_own_clock(clock):
  ours, _ = in_a_log()
  for seconds in (10.0, 1.0):
    ours.begin(0, 100)
    clock.now += 300
    for done in range(1, 21):
      clock.now += seconds
      ours.counted(done)
    ours.end()
    assert left_in(ours._numbers) == pytest.approx(80 * seconds, rel=0.06)


@pytest.mark.parametrize('every', [1, 3, 7, 100])
@pytest.mark.parametrize('steps', [1, 12, 21, 22])
def test_what_is_due_is_counted_as_the_loop_does_it(every, steps):
  due = lambda step: step % every == 0 or step == steps
  for first in range(1, steps + 1):
    assert hooks.times_due(every, first, steps) == sum(map(due, range(first, steps + 1)))


def test_a_log_gets_a_line_now_and_then_and_always_the_last(clock):
  ours, text = in_a_log()
  ours.begin(0, 105, lambda step: 105.0 - step)
  for step in range(1, 106):
    clock.now += 1
    ours.stepped(step, 1.0, 0.0, 3.0, 10.0)
  lines = text.getvalue().splitlines()
  assert 9 <= len(lines) <= 11 and lines[-1].startswith('step 105 of 105')
  assert not any('\x1b' in line for line in lines)


def test_a_log_says_what_takes_long_and_how_far_it_is(clock):
  ours, text = in_a_log()
  for done in range(40):
    ours.stage('tokenising', done, 40)
    clock.now += 1
  ours.begin(0, 2, lambda step: 60.0 * (2 - step))
  ours.status('compiling the training step')
  ours.status('training')
  for done in range(1, 31):
    clock.now += 2
    ours.substep(done, 30, 'micro-batches of this step')
  lines = text.getvalue().splitlines()
  assert lines[0] == 'data: tokenising ...' and 'data: tokenising: 11 of 40' in lines
  assert 'compiling the training step ...' in lines and 'training ...' not in lines
  assert sum('of 30 micro-batches of this step' in line for line in lines) == 5


def test_a_table_in_a_log_is_not_broken_and_brackets_are_no_markup():
  ours, text = in_a_log()
  ours.table('run', {'workdir': '/a/path/' + 'long/' * 20, 'note': 'x'})
  ours.say('[MASK] [bold]as written[/bold] ' + 'word ' * 50)
  assert '/a/path/' + 'long/' * 20 in text.getvalue()
  assert '[MASK] [bold]as written[/bold] ' + 'word ' * 50 in text.getvalue()


def test_quiet_says_nothing():
  text = io.StringIO()
  ours = Console(quiet=True, file=text)
  ours.say('x')
  ours.table('x', {'a': 'b'})
  ours.stage('x', 0, 1)
  assert text.getvalue() == ''


def test_a_terminal_shows_a_bar_with_the_time_a_compilation_has_taken_and_is_left_clean():
  code = (
    'import sys\nsys.path.insert(0, sys.argv[1])\nfrom runtime.console import Console\n'
    'c = Console()\nc.begin(3, 10, lambda step: 10.0 - step)\n'
    'c.status("compiling")\nsys.stdin.readline()\nc.status("training")\n'
    'c.stepped(4, 0.5, 0.0, 3.25, 99.0)\nc.say("a line")\nc.stepped(5, 0.5, 0.0, 3.125, 99.0)\n'
    'c.end()\nc.end()\n'
  )
  main, other = pty.openpty()
  process = subprocess.Popen(
    [sys.executable, '-c', code, ROOT],
    stdin=subprocess.PIPE,
    stdout=other,
    stderr=other,
    env=dict(os.environ, TERM='xterm', COLUMNS='100', LINES='20'),
  )
  os.close(other)
  shown = b''
  while not re.search(rb'compiling [1-9]\d* s', shown):  # the bar goes on by itself
    assert (chunk := _read(main)), shown
    shown += chunk
  process.stdin.write(b'compiled\n')
  process.stdin.close()
  while chunk := _read(main):
    shown += chunk
  assert process.wait(timeout=600) == 0
  text = shown.decode()
  assert 'a line' in text and '5/10' in text and 'loss 3.1250' in text
  assert text.rindex('\x1b[?25h') > text.rindex('\x1b[?25l')  # the cursor is back


def _read(file: int) -> bytes:
  """What the terminal shows next; nothing once the other end is closed."""
  assert select.select([file], [], [], 600)[0], 'nothing new for ten minutes'
  try:
    return os.read(file, 1 << 16)
  except OSError:  # Linux's way to say that the other end is closed
    return b''


@pytest.mark.parametrize(
  'seconds, words',
  [
    (0.123, '0.12 s'),
    (45, '45 s'),
    (720, '12 min'),
    (12_600, '3.5 h'),
    (61 * 86_400, '61 days'),
    (3_650 * 86_400, '3,650 days'),
  ],
)
def test_durations_are_words(seconds, words):
  assert duration(seconds) == words


def test_the_first_line_of_a_run_comes_before_jax(tmp_path):
  result = subprocess.run(
    [sys.executable, 'train.py', f'--workdir={tmp_path}/run'],
    cwd=ROOT,
    env=jax_stub.environment(tmp_path),
    text=True,
    capture_output=True,
    timeout=600,
  )
  first, imported = result.stdout.splitlines()
  assert first.startswith('onemask: bert_tiny in ') and imported == jax_stub.IMPORTED
