"""A signal stops a run at once, or after the step in hand
where there is something to lose; with 143.
"""

import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]


def start(body: str) -> subprocess.Popen:
  code = (
    'import hashlib, sys, time\n'
    f'sys.path.insert(0, {str(ROOT)!r})\n'
    'from runtime.signals import Stop\n'
    'stop = Stop()\n'
    'stop.on_exit(lambda: print("released", flush=True))\n'
    f'{body}\n'
  )
  process = subprocess.Popen(
    [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == 'ready\n', process.communicate()
  return process


# As in a compilation, the main thread is in C for minutes and looks at no signal.
COMPILING = """
print("ready", flush=True)
hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)
"""
LOOP = """
stop.defer()
print("ready", flush=True)
step = 0
while not stop.requested.is_set():
  time.sleep(0.01)
print("saved", flush=True)
sys.exit(143)
"""
LONG_STEP = """
stop.defer()
print("ready", flush=True)
stop.requested.wait()
print("asked", flush=True)
time.sleep(3_600)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_before_the_first_step_a_signal_ends_the_process_at_once_even_inside_c_code(number):
  process = start(COMPILING)
  process.send_signal(number)
  out, err = process.communicate(timeout=120)
  assert process.returncode == (130 if number == signal.SIGINT else 143)
  assert out == 'released\n' and err == f'{signal.Signals(number).name}: stopped.\n'


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_in_the_loop_the_first_signal_only_asks(number):
  process = start(LOOP)
  process.send_signal(number)
  out, err = process.communicate(timeout=120)
  assert process.returncode == 143
  assert out == 'saved\n' and 'with a checkpoint' in err  # the loop ended by itself


def test_in_a_long_step_the_second_signal_ends_the_process_at_once():
  process = start(LONG_STEP)
  process.send_signal(signal.SIGTERM)
  assert 'Again: stop at once' in process.stderr.readline()
  assert process.stdout.readline() == 'asked\n' and process.poll() is None
  process.send_signal(signal.SIGINT)
  out, err = process.communicate(timeout=120)
  assert process.returncode == 130 and out == 'released\n' and err == 'SIGINT: stopped.\n'


def test_a_cleanup_that_fails_does_not_keep_the_process_alive():
  process = start('stop.on_exit(lambda: 1 / 0)\nprint("ready", flush=True)\ntime.sleep(3_600)')
  process.send_signal(signal.SIGTERM)
  process.communicate(timeout=120)
  assert process.returncode == 143


def test_a_terminal_that_is_gone_does_not_keep_the_process_alive():
  process = start(LONG_STEP)
  process.stderr.close()
  process.send_signal(signal.SIGTERM)
  assert process.stdout.readline() == 'asked\n' and process.poll() is None
  process.send_signal(signal.SIGTERM)
  assert process.wait(timeout=120) == 143


def test_importing_the_handlers_does_not_import_jax():
  code = 'import sys, runtime.signals; sys.exit("jax" in sys.modules)'
  assert (
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, env=dict(os.environ)).returncode == 0
  )
