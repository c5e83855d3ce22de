"""Several processes are one run: the same numbers, one
checkpoint, and a clear end when one of them is gone.
"""

import ast
import json
from pathlib import Path
import re
import signal
import socket
import subprocess

import numpy as np
import pytest
import runs
from test_resume import wait_for

from configs import base
from runtime import distributed, membership

AGAIN = 'The same command, on all of them, goes on from the last checkpoint.'


@pytest.fixture(scope='module')
def text(tmp_path_factory):
  return runs.corpus(tmp_path_factory.mktemp('corpus'))


def start(args: list[str], *, devices: int, fault: str | None = None) -> subprocess.Popen:
  env = runs.environment(fault) | dict(JAX_NUM_CPU_DEVICES=str(devices))
  return subprocess.Popen(
    args, cwd=runs.ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )


def alone(args: list[str], *, devices: int, fault: str | None = None) -> tuple[int, str, str]:
  process = start(args, devices=devices, fault=fault)
  out, err = process.communicate(timeout=600)
  return process.returncode, out, err


def pair(args: list[str], *, faults=(None, None), more=((), ())) -> list[subprocess.Popen]:
  """Two processes with four devices each."""
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    port = probe.getsockname()[1]
  return [
    start(
      [*args, *more[n], f'--coordinator=127.0.0.1:{port}', '--processes=2', f'--process={n}'],
      devices=4,
      fault=faults[n],
    )
    for n in range(2)
  ]


def ends(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
  """(exit code, stdout, stderr) of each."""
  said = [process.communicate(timeout=600) for process in processes]
  return [(process.returncode, *each) for process, each in zip(processes, said)]


@pytest.fixture(scope='module')
def by_two(tmp_path_factory, text) -> Path:
  """The workdir of a run that two processes made, undisturbed."""
  workdir = tmp_path_factory.mktemp('two') / 'run'
  (first, _, said), (second, out, more) = ends(pair(runs.command('bert_tiny', workdir, text)))
  assert first == second == 0, said + more
  assert 'step' not in out  # process 0 speaks for both
  return workdir


def same_numbers(workdir: Path, other: Path):
  """What was counted and hashed is equal; what was summed is equal up to the order of sums."""
  ours, theirs = runs.rows(workdir), runs.rows(other)
  assert [row['step'] for row in ours] == [row['step'] for row in theirs]
  for row, expected in zip(ours, theirs):
    row, expected = (
      {name: value for name, value in one.items() if name != 'config_hash'}
      for one in (row, expected)
    )
    assert row.keys() == expected.keys()
    for name, value in row.items():
      if isinstance(value, float):
        # Adam divides by the size of a gradient, also where
        # that is rounding: norms of updates show it.
        np.testing.assert_allclose(
          value, expected[name], rtol=1e-5 if 'loss' in name else 1e-3, err_msg=name
        )
      else:
        assert value == expected[name], name


def test_processes_that_were_started_differently_all_say_where_and_end(text, tmp_path):
  args = runs.command('bert_tiny', tmp_path / 'run', text)
  for code, _, err in ends(pair(args, more=((), ('--config.seed=1', '--config.mlm.rate=0.2')))):
    assert code == 3, err
    assert (
      'seed: 0 on process 0, 1 on process 1' in err
      and 'mlm.rate: 0.15 on process 0, 0.2 on process 1' in err
    )
    assert 'Traceback' not in err
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_two_processes_are_one_with_as_many_devices_and_leave_one_checkpoint_for_any(
  by_two, text, tmp_path
):
  workdir = tmp_path / 'run'
  code, _, err = alone(runs.command('bert_tiny', workdir, text), devices=8)
  assert code == 0, err
  same_numbers(by_two, workdir)
  assert (by_two / 'certificate.json').read_text() == (workdir / 'certificate.json').read_text()
  files = lambda folder: {
    path.name for path in folder.iterdir() if not path.name.startswith('phase')
  }
  assert files(by_two) == files(workdir)
  assert files(by_two / 'checkpoints') == {'step_00000008', 'step_00000012'}
  longer = [
    *runs.command('bert_tiny', by_two.parent / 'longer', text, steps=14),
    '--allow_change=steps',
  ]
  subprocess.run(['cp', '-r', by_two, by_two.parent / 'longer'], check=True)
  code, out, err = alone(longer, devices=2)
  assert code == 0 and 'at step 12' in out, err
  assert 'topology changed: bit-identity not promised' in out and 'processes 2 -> 1' in out


@pytest.mark.slow
@pytest.mark.parametrize('victim', [1, 0])
def test_a_process_that_is_killed_ends_the_other_one_soon_and_both_resume_bit_identical(
  victim, by_two, text, tmp_path
):
  workdir = tmp_path / 'run'
  args = runs.command('bert_tiny', workdir, text)
  faults = ['none', 'none']
  faults[victim] = 'die_at_step:6'
  processes = pair(args, faults=faults)
  processes[victim].wait(timeout=600)
  code, _, err = ends(processes)[1 - victim]
  assert code == 6, err
  assert processes[victim].returncode == -signal.SIGKILL
  assert f'process {victim}' in err and 'is gone' in err and AGAIN in err
  if victim:
    assert not (workdir / 'lock.json').exists()
    (first, _, said), (second, _, more) = ends(pair(args))
    assert first == second == 0, said + more
    assert runs.rows(workdir) == runs.rows(by_two) and runs.digest(workdir) == runs.digest(by_two)
    assert (workdir / 'certificate.json').read_text() == (by_two / 'certificate.json').read_text()


@pytest.mark.slow
def test_sigterm_at_one_process_stops_all_at_one_step_with_one_checkpoint(by_two, text, tmp_path):
  workdir = tmp_path / 'run'
  args = runs.command('bert_tiny', workdir, text)
  processes = pair(args, faults=('hold_in:step:5', 'none'))
  wait_for(workdir, 'step:5', processes[0])
  processes[1].send_signal(signal.SIGTERM)
  assert any('stopping after this step' in line for line in processes[1].stderr)
  (workdir / 'phase').unlink()
  (first, _, said), (second, _, more) = ends(processes)
  assert first == second == 143, said + more
  stopped = {re.search(r'stopped at step (\d+)', err)[1] for err in (said, more)}
  assert len(stopped) == 1 and 5 <= int(stopped.pop()) < 12
  (first, _, said), (second, _, more) = ends(pair(args))
  assert first == second == 0, said + more
  assert runs.rows(workdir) == runs.rows(by_two) and runs.digest(workdir) == runs.digest(by_two)


@pytest.mark.slow
def test_a_process_that_is_stuck_is_noticed_and_every_stack_is_shown(text, tmp_path):
  args = runs.command('bert_tiny', tmp_path / 'run', text, watchdog_seconds=5.0)
  (first, _, waits), (second, _, sleeps) = ends(pair(args, faults=('none', 'sleep_at:3')))
  assert first == second == 6, waits + sleeps
  assert (
    'maybe_sleep' in sleeps
    and 'while reading the batch of step 3' in sleeps
    and 'config.watchdog_seconds=5' in sleeps
  )
  assert 'Thread 0x' in waits


@pytest.mark.slow
def test_who_is_waited_for_and_where_is_said(text, tmp_path):
  args = [*runs.command('bert_tiny', tmp_path / 'run', text), '--join_timeout=7', '--processes=2']
  with socket.socket() as taken:
    taken.bind(('', 0))
    taken.listen()
    busy = taken.getsockname()[1]
    code, _, err = alone([*args, f'--coordinator=localhost:{busy}', '--process=0'], devices=1)
    assert code == 6 and f'cannot listen on port {busy}' in err and f'localhost:{busy}' in err
  for process, who in ((0, '1 more of 2 processes at'), (1, 'process 0: nothing answers at')):
    code, _, err = alone(
      [*args, f'--coordinator=localhost:{busy}', f'--process={process}'], devices=1
    )
    assert (
      code == 6 and f'waiting for {who} localhost:{busy}' in err and 'gave up after 7 s' in err
    ), err
    assert err.count('waiting for') == 2 and 'started on all workers' in err


@pytest.mark.slow
def test_other_devices_and_another_mesh_resume_with_the_same_batches_and_losses(text, tmp_path):
  workdir, whole = tmp_path / 'run', tmp_path / 'whole'
  code, _, err = alone(runs.command('gpt_tiny', whole, text), devices=1)
  assert code == 0, err
  for devices, name, fault in [
    (8, 'fsdp', 'die_at_step:6'),
    (4, 'fsdp+tensor2', 'die_at_step:10'),
    (1, 'data', None),
  ]:
    mesh = {f'mesh.{axis}': size for axis, size in base.mesh(name).items()}
    args = [*runs.command('gpt_tiny', workdir, text, **mesh), '--allow_change=mesh']
    code, out, err = alone(args, devices=devices, fault=fault)
    assert code == (-signal.SIGKILL if fault else 0), err
    assert ('topology changed: bit-identity not promised' in out) == (devices < 8)
  same_numbers(workdir, whole)


@pytest.mark.slow
@pytest.mark.parametrize('seeds', [1, 3])
def test_two_processes_fine_tune_as_one_does(seeds, by_two, tmp_path):
  """The trunk is the one that two processes made; dropout is on."""
  task = f'csv:{runs.table(tmp_path)}'
  changes = {'finetune.seeds': seeds, 'steps': 8}
  args = lambda name: runs.finetune('finetune/classify', by_two, task, tmp_path / name, **changes)
  code, _, err = alone(args('one'), devices=1)
  assert code == 0, err
  (first, _, said), (second, _, more) = ends(pair(args('two')))
  assert first == second == 0, said + more
  same_numbers(tmp_path / 'two', tmp_path / 'one')
  one, two = (
    json.loads((tmp_path / name / 'certificate.json').read_text()) for name in ('one', 'two')
  )
  assert one == two
  for name in ('labels.json', 'data.json'):
    assert (tmp_path / 'one' / name).read_text() == (tmp_path / 'two' / name).read_text(), name
  texts = [(tmp_path / name / 'predictions_test.jsonl').open() for name in ('one', 'two')]
  for line, other in zip(*texts, strict=True):
    line, other = json.loads(line), json.loads(other)
    assert line['text'] == other['text'] and line['prediction'] == other['prediction']
    assert line['probability'] == pytest.approx(other['probability'], rel=1e-4)


@pytest.mark.slow
def test_a_device_without_memory_ends_a_run_with_an_estimate_and_three_ways_out(text, tmp_path):
  code, _, err = alone(
    runs.command('bert_tiny', tmp_path / 'run', text), devices=2, fault='oom_at:3'
  )
  assert code == 6 and 'Traceback' not in err
  assert 'RESOURCE_EXHAUSTED' in err and 'activations of 4 rows' in err and 'optimiser' in err
  assert (
    len(re.findall(r'^  --config\.', err, re.MULTILINE)) == 3 and '--config.accumulate=2 ' in err
  )


def test_a_message_is_five_numbers_that_fit_32_bits_in_any_company():
  message = distributed.pack(True, 0x0123456789ABCDEF)
  assert message.dtype == np.uint32 and message.tolist() == [1, 0xCDEF, 0x89AB, 0x4567, 0x0123]
  largest = distributed.pack(True, 2**64 - 1)
  assert int(largest.max()) * 65_536 < 2**32


def test_sums_of_messages_are_read_as_who_stops_and_the_hash_of_the_whole_batch():
  hashes = [2**64 - 1, 2**63 + 12_345, 0xFFFF_0001_FFFF_0002]
  messages = [distributed.pack(stop, each) for stop, each in zip((True, False, True), hashes)]
  read = distributed.unpack(np.sum(messages, axis=0, dtype=np.uint32))
  assert read.stops == 2
  assert read.batch_hash == sum(hashes) % 2**64


def test_a_process_without_a_new_heartbeat_is_gone_and_one_that_has_left_is_not():
  roster = membership.Roster(3, now=0.0)
  left = {2: membership.Report(0, '')}
  for now in range(1, 30):
    beats = {0: str(now), 1: str(min(now, 5)), 2: '3'}  # process 1 goes silent after 5 s
    roster.hear(beats, left, float(now))
    assert roster.gone(now) == ([1] if now > 25 else [])
    assert roster.failure(now) is None


def test_a_failure_elsewhere_ends_a_process_after_a_grace_with_the_first_reason():
  roster = membership.Roster(3, now=0.0)
  roster.hear({}, {0: membership.Report(143, ''), 2: membership.Report(5, 'NaN')}, 1.0)
  roster.hear({}, {1: membership.Report(6, 'late')}, 2.0)
  assert roster.failure(6.0) is None
  assert roster.failure(6.5) == (5, 'process 2 stopped: NaN')


FILES = [
  path
  for folder in ('data', 'evaluation', 'models', 'objectives', 'training')
  for path in sorted((runs.ROOT / folder).glob('*.py'))
]


def asks_who(tree: ast.AST) -> list[int]:
  """Lines on which the number of this process is asked for."""
  return [
    node.lineno
    for node in ast.walk(tree)
    if isinstance(node, ast.Attribute | ast.Name)
    and (getattr(node, 'attr', None) or getattr(node, 'id', None))
    in ('process_index', 'process_id', 'is_primary_host')
  ]


def done_by_one(tree: ast.AST) -> list[ast.AST]:
  """The code that one process alone runs: what is given to `from_first`, as a lambda or by name."""
  functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
  given = [
    call.args[0]
    for call in ast.walk(tree)
    if isinstance(call, ast.Call)
    and call.args
    and getattr(call.func, 'attr', '') in ('from_first', 'only_first', 'held_by_first')
  ]
  return [functions[each.id] if isinstance(each, ast.Name) else each for each in given]


def uses_jax(tree: ast.AST) -> list[int]:
  return [
    node.lineno
    for node in ast.walk(tree)
    if isinstance(node, ast.Name) and node.id in ('jax', 'jnp', 'sharding')
  ]


def test_no_process_does_alone_what_could_wait_for_the_others():
  found = 0
  for path in FILES:
    tree = ast.parse(path.read_text())
    # who speaks, and which rows are whose
    if path.name not in ('distributed.py', 'membership.py', 'sharding.py'):
      assert not asks_who(tree), f'{path}: {asks_who(tree)}'
    for code in done_by_one(tree):
      found += 1
      assert not uses_jax(code), f'{path}: {uses_jax(code)}'
  assert found > 8


def test_the_rule_about_processes_catches_what_it_is_for():
  assert asks_who(ast.parse('if jax.process_index() == 0:\n  save()')) == [1]
  bad = ast.parse(
    'def note():\n  return jax.device_get(x)\n'
    'd.from_first(note)\nd.from_first(lambda: read(path))\nd.from_first(lambda: jnp.sum(x))'
  )
  assert [uses_jax(code) for code in done_by_one(bad)] == [[2], [], [5]]
