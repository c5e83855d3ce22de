"""A run that is killed, stopped or damaged ends with the same bits
as one that is not; nothing is lost silently.
"""

import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import time

import pytest
import runs

from configs import bert_tiny
from configs.schema import check

CELLS = {
  'bert_tiny': {},
  'gpt_tiny': {'accumulate': 2, 'schedule': '1 prefix+clm, 2 causal+clm'},
  'gpt_char': {},
}


@pytest.fixture(scope='module')
def text(tmp_path_factory):
  return runs.corpus(tmp_path_factory.mktemp('corpus'))


@pytest.fixture(scope='module')
def whole(tmp_path_factory, text):
  """A function that gives the workdir of an undisturbed run of a cell, made once."""
  done = {}

  def make(cell: str) -> Path:
    if cell not in done:
      workdir = tmp_path_factory.mktemp('whole') / cell
      finished = runs.run(runs.command(cell, workdir, text, **CELLS[cell]))
      assert finished.returncode == 0, finished.stderr
      assert not any(
        secret in finished.stdout + finished.stderr for secret in runs.SECRETS.values()
      )
      done[cell] = workdir
    return done[cell]

  return make


def same(workdir: Path, reference: Path):
  assert runs.rows(workdir) == runs.rows(reference)
  assert runs.digest(workdir) == runs.digest(reference)
  assert (workdir / 'certificate.json').read_text() == (reference / 'certificate.json').read_text()


@pytest.mark.parametrize(
  'cell',
  [
    'bert_tiny',
    pytest.param('gpt_tiny', marks=pytest.mark.slow),
    pytest.param('gpt_char', marks=pytest.mark.slow),
  ],
)
def test_a_run_killed_at_a_step_and_in_a_save_ends_bit_identical(cell, whole, text, tmp_path):
  workdir = tmp_path / 'run'
  args = runs.command(cell, workdir, text, **CELLS[cell])
  assert runs.run(args, fault='die_at_step:6').returncode == -signal.SIGKILL
  assert runs.run(args, fault='die_in_save:1').returncode == -signal.SIGKILL  # the save of step 8
  torn = workdir / 'checkpoints' / 'step_00000008'
  assert torn.exists() and not (torn / 'manifest.json').exists()
  last = runs.run(args)
  assert last.returncode == 0, last.stderr
  assert 'step_00000008 was cut off' in last.stdout and 'at step 4' in last.stdout
  same(workdir, whole(cell))


@pytest.mark.slow
def test_a_damaged_checkpoint_is_set_aside_aloud_and_an_older_one_used(whole, text, tmp_path):
  workdir = tmp_path / 'run'
  args = runs.command('bert_tiny', workdir, text)
  assert runs.run(args, fault='die_at_step:10').returncode == -signal.SIGKILL
  arrays = workdir / 'checkpoints' / 'step_00000008' / 'state' / 'd'
  data = max(arrays.iterdir(), key=lambda path: path.stat().st_size)
  content = bytearray(data.read_bytes())
  content[len(content) // 2] ^= 1
  data.write_bytes(content)
  last = runs.run(args)
  assert last.returncode == 0, last.stderr
  assert 'WARNING' in last.stdout and data.name in last.stdout.replace('\n', '')
  assert (workdir / 'checkpoints' / 'step_00000008.corrupt').exists()
  same(workdir, whole('bert_tiny'))


def start(args, fault='none') -> subprocess.Popen:
  return subprocess.Popen(
    args,
    cwd=runs.ROOT,
    env=runs.environment(fault),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def wait_for(workdir: Path, phase: str, process: subprocess.Popen, timeout: float = 600):
  end = time.monotonic() + timeout
  while time.monotonic() < end:
    path = workdir / 'phase'
    if path.exists() and path.read_text() == phase:
      return
    assert process.poll() is None, process.communicate()
    time.sleep(0.002)
  raise AssertionError(f'never in phase {phase}')


def test_sigterm_in_any_phase_ends_with_143_and_loses_nothing(whole, text, tmp_path):
  workdir = tmp_path / 'run'
  args = runs.command('bert_tiny', workdir, text)
  for phase, number in [
    ('data', signal.SIGTERM),
    ('compile', signal.SIGINT),
    ('step:3', signal.SIGUSR1),
    ('eval', signal.SIGTERM),
    ('save', signal.SIGTERM),
  ]:
    (workdir / 'phase').unlink(missing_ok=True)
    process = start(args, fault=f'hold_in:{phase}')
    wait_for(workdir, phase, process)
    process.send_signal(number)
    said = next(line for line in process.stderr if signal.Signals(number).name in line)
    if 'stopping after this step' in said:  # before the first step it ends at once
      (workdir / 'phase').unlink()
    out, err = process.communicate(timeout=600)
    # nothing is saved yet when a person ends it while it compiles
    assert process.returncode == (130 if phase == 'compile' else 143), (phase, out, said + err)
    assert ('stopping after this step' in said) == (phase not in ('data', 'compile'))
    assert not (workdir / 'lock.json').exists()
  last = runs.run(args)
  assert last.returncode == 0, last.stderr
  same(workdir, whole('bert_tiny'))


@pytest.mark.slow
def test_a_second_signal_ends_the_process_at_once(text, tmp_path):
  workdir = tmp_path / 'run'
  process = start(runs.command('bert_tiny', workdir, text), fault='sleep_at:3')
  wait_for(workdir, 'step:3', process)
  process.send_signal(signal.SIGTERM)
  assert any('Again: stop at once' in line for line in process.stderr)
  assert process.poll() is None  # the first one waits for the step, which sleeps for an hour
  process.send_signal(signal.SIGTERM)
  process.communicate(timeout=600)
  assert process.returncode == 143


@pytest.mark.slow
def test_a_second_process_is_refused_and_a_dead_ones_lock_is_taken_over(whole, text, tmp_path):
  workdir = tmp_path / 'run'
  args = runs.command('bert_tiny', workdir, text)
  first = start(args, fault='sleep_at:2')
  wait_for(workdir, 'step:2', first)
  second = runs.run(args)
  assert second.returncode == 3 and first.poll() is None  # nobody waited for the first one
  assert f'process {first.pid}' in second.stderr
  first.kill()
  first.communicate()
  third = runs.run(args)
  assert third.returncode == 0 and 'taking over the lock' in third.stdout
  same(workdir, whole('bert_tiny'))


def test_every_record_of_a_run_names_the_config_that_ran(whole, text):
  workdir = whole('bert_tiny')
  config = json.loads((workdir / 'config.json').read_text())
  given = runs.TINY | {'data.corpus': f'text:{text}', 'data.cache': str(text.parent / 'cache')}
  expected = check.flatten(check.resolve(bert_tiny.get_config())) | given
  found = check.flatten(config)
  assert {name: str(value) for name, value in found.items()} == {
    name: str(value) for name, value in expected.items()
  }
  sha256 = check.config_hash(config)
  assert {row['config_hash'] for row in runs.rows(workdir)} == {sha256[:16]}
  assert json.loads((workdir / 'result.json').read_text())['config_hash'] == sha256
  saved = list(workdir.glob('checkpoints/*/extra.json'))
  assert len(saved) == 2
  assert {json.loads(path.read_text())['config_hash'] for path in saved} == {sha256}


def test_a_run_writes_no_secret_of_its_environment(whole):
  files = [path for path in whole('bert_tiny').rglob('*') if path.is_file()]
  assert len(files) > 20
  for path in files:
    content = path.read_bytes()
    assert not [name for name, secret in runs.SECRETS.items() if secret.encode() in content], path


def test_a_finished_run_is_not_touched(whole, text):
  workdir = whole('bert_tiny')
  before = {path: os.stat(path).st_mtime_ns for path in [workdir, *workdir.rglob('*')]}
  again = runs.run(runs.command('bert_tiny', workdir, text))
  assert again.returncode == 0 and 'finished' in again.stdout and 'mlm_loss' in again.stdout
  assert before == {path: os.stat(path).st_mtime_ns for path in [workdir, *workdir.rglob('*')]}


@pytest.mark.slow
def test_a_run_without_checkpoints_is_not_started_over(whole, text, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(whole('bert_tiny'), workdir)
  shutil.rmtree(workdir / 'checkpoints')
  (workdir / 'result.json').unlink()
  refused = runs.run(runs.command('bert_tiny', workdir, text))
  assert refused.returncode == 3 and '--restart' in refused.stderr
  restarted = runs.run([*runs.command('bert_tiny', workdir, text), '--restart'])
  assert restarted.returncode == 0, restarted.stderr
  assert len(list(workdir.glob('before-*/metrics.jsonl'))) == 1
  same(workdir, whole('bert_tiny'))


@pytest.mark.slow
def test_a_start_that_fails_before_its_first_step_does_not_block_the_corrected_command(
  whole, text, tmp_path
):
  workdir = tmp_path / 'run'
  short = tmp_path / 'short.txt'
  short.write_text('One document.')
  failed = runs.run(runs.command('bert_tiny', workdir, text, **{'data.corpus': f'text:{short}'}))
  assert failed.returncode == 4 and not list(workdir.iterdir()), failed.stderr
  wide = runs.run(runs.command('bert_tiny', workdir, text, batch_size=16), fault='oom_at:0')
  assert wide.returncode == 6 and (workdir / 'checkpoints').exists(), wide.stderr
  corrected = runs.run(runs.command('bert_tiny', workdir, text))
  assert corrected.returncode == 0, corrected.stderr
  assert 'made no step' in corrected.stdout and (workdir / 'before-1/config.json').exists()
  same(workdir, whole('bert_tiny'))


@pytest.mark.slow
def test_nan_stops_before_the_update_and_leaves_the_last_checkpoint(whole, text, tmp_path):
  workdir = tmp_path / 'run'
  args = runs.command('bert_tiny', workdir, text)
  broken = runs.run(args, fault='nan_at:5')
  assert broken.returncode == 5
  assert 'step 5' in broken.stderr and 'last good checkpoint: step 4' in broken.stderr
  assert (workdir / 'nan_step_00000005.npz').exists()
  assert [row['step'] for row in runs.rows(workdir)] == [0, 1, 2, 3, 4]
  assert runs.run(args).returncode == 0
  same(workdir, whole('bert_tiny'))


@pytest.mark.slow
def test_another_config_is_refused_field_by_field_and_more_steps_are_allowed_when_named(
  whole, text, tmp_path
):
  workdir = tmp_path / 'run'
  shutil.copytree(whole('bert_tiny'), workdir)
  refused = runs.run(
    runs.command('bert_tiny', workdir, text, **{'mlm.rate': 0.2, 'model.layers': 3})
  )
  assert refused.returncode == 3
  assert (
    'mlm.rate: was 0.15, now 0.2' in refused.stderr
    and 'model.layers: was 2, now 3' in refused.stderr
  )
  assert '--allow_change' not in refused.stderr
  longer = runs.command('bert_tiny', workdir, text, steps=14)
  assert '--allow_change=steps' in runs.run(longer).stderr
  allowed = runs.run([*longer, '--allow_change=steps'])
  assert allowed.returncode == 0, allowed.stderr
  assert [row['step'] for row in runs.rows(workdir)] == list(range(15))


@pytest.mark.slow
def test_eval_gives_the_numbers_of_the_last_validation_to_the_last_digit(whole):
  for cell in CELLS:
    scored = runs.run(
      [runs.sys.executable, str(runs.ROOT / 'eval.py'), f'--workdir={whole(cell)}', '--json']
    )
    assert scored.returncode == 0, scored.stderr
    numbers = json.loads(scored.stdout.splitlines()[-1])
    last = {
      name[4:]: value
      for name, value in runs.rows(whole(cell))[-1].items()
      if name.startswith('val/')
    }
    assert last and last.items() <= numbers.items()
