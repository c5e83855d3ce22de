"""One process at a time, one config, and nothing of an earlier run lost."""

import json
import os
from pathlib import Path
import socket
import subprocess
import sys
import time

import pytest

from configs import base
from configs.schema import check
from runtime import lock, software, storage, workdir
from runtime.errors import StateError


def resolved(**changes) -> dict:
  fields = check.resolve(base.get_config())
  for name, value in changes.items():
    group, _, leaf = name.rpartition('__')
    (fields[group] if group else fields)[leaf] = value
  return fields


def write_lock(folder: Path, *, age: float = 0, **holder):
  path = folder / 'lock.json'
  path.write_text(
    json.dumps(dict(host=socket.gethostname(), pid=os.getppid(), start='noon') | holder)
  )
  os.utime(path, (time.time() - age,) * 2)


@pytest.fixture(scope='module')
def dead() -> int:
  """The id of a process that has ended."""
  process = subprocess.Popen([sys.executable, '-c', ''])
  process.wait()
  return process.pid


def take(folder: Path) -> list[str]:
  said = []
  with lock.locked(folder, said.append):
    assert json.loads((folder / 'lock.json').read_text())['pid'] == os.getpid()
  assert not list(folder.glob('lock.json*'))
  return said


def refused(function, *args, **kwargs) -> str:
  with pytest.raises(StateError) as error:
    function(*args, **kwargs)
  assert error.value.exit_code == 3
  return str(error.value)


def test_a_free_workdir_is_made_and_locked_and_released(tmp_path):
  assert take(tmp_path / 'some' / 'where') == []


def test_a_lock_is_released_when_the_run_fails(tmp_path):
  with pytest.raises(ZeroDivisionError), lock.locked(tmp_path):
    raise ZeroDivisionError
  take(tmp_path)


def test_a_lock_that_another_process_took_over_is_not_released(tmp_path):
  with lock.locked(tmp_path):
    write_lock(tmp_path, host='elsewhere')
  assert 'elsewhere' in (tmp_path / 'lock.json').read_text()


def test_a_living_holder_is_named_and_left_alone(tmp_path):
  write_lock(tmp_path)
  before = (tmp_path / 'lock.json').read_bytes()
  text = refused(take, tmp_path)
  assert f'process {os.getppid()} on {socket.gethostname()}, started noon' in text
  assert (tmp_path / 'lock.json').read_bytes() == before


@pytest.mark.parametrize(
  'holder',
  [
    dict(age=301),  # alive, but no heartbeat for five minutes
    dict(host='elsewhere', age=301),
    dict(pid=0),
    dict(pid=-1),
    dict(pid='many'),
    dict(pid=10**30),
    # a container that was started again has the same host and the same process id
    dict(pid=os.getpid()),
  ],
)
def test_a_lock_that_belongs_to_nobody_is_taken_over_aloud(holder, tmp_path):
  write_lock(tmp_path, **holder)
  assert 'taking over the lock of process' in take(tmp_path)[0]


def test_the_lock_of_a_dead_process_is_taken_over_at_once_but_only_on_its_own_host(dead, tmp_path):
  write_lock(tmp_path, pid=dead)
  assert f'process {dead}' in take(tmp_path)[0]
  write_lock(tmp_path, pid=dead, host='elsewhere', age=200)
  assert 'elsewhere' in refused(take, tmp_path)


def test_a_lock_that_is_being_written_is_not_taken_over_and_a_torn_one_is(tmp_path):
  (tmp_path / 'lock.json').write_text('')
  os.utime(tmp_path / 'lock.json', (time.time() + 3_600,) * 2)  # young, however long this takes
  refused(take, tmp_path)
  write_lock(tmp_path, age=60)
  os.truncate(tmp_path / 'lock.json', 5)
  os.utime(tmp_path / 'lock.json', (time.time() - 60,) * 2)
  assert 'taking over' in take(tmp_path)[0]


def test_of_two_that_take_over_the_slower_gives_the_lock_back(dead, tmp_path, monkeypatch):
  write_lock(tmp_path, pid=dead)
  winner = dict(host='elsewhere', pid=7, start='just now')

  def slow(pid):  # while we look at the dead holder, another process takes its place
    (tmp_path / 'lock.json').write_text(json.dumps(winner))
    return False

  monkeypatch.setattr(lock, '_alive', slow)
  refused(take, tmp_path)
  assert json.loads((tmp_path / 'lock.json').read_text()) == winner
  assert [path.name for path in tmp_path.iterdir()] == ['lock.json']


def test_a_process_that_lost_its_lock_ends(tmp_path):
  code = (
    'import sys, time\nsys.path.insert(0, sys.argv[1])\nfrom runtime import lock\n'
    'lock._HEARTBEAT_S = 0.05\nwith lock.locked(sys.argv[2]):\n  print("held", flush=True)\n'
    '  time.sleep(3_600)\n'
  )
  root = str(Path(__file__).resolve().parents[1])
  process = subprocess.Popen(
    [sys.executable, '-c', code, root, str(tmp_path)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=dict(os.environ, JAX_PLATFORMS='cpu'),
  )
  assert process.stdout.readline() == 'held\n'
  old = (tmp_path / 'lock.json').stat().st_mtime_ns
  while (tmp_path / 'lock.json').stat().st_mtime_ns == old:  # until it beats
    assert process.poll() is None
    time.sleep(0.01)
  assert str(process.pid) in refused(take, tmp_path)
  winner = tmp_path / 'winner'
  winner.write_text(json.dumps(dict(host='elsewhere', pid=7, start='now')))
  winner.replace(tmp_path / 'lock.json')
  _, err = process.communicate(timeout=600)
  assert process.returncode == 3 and 'taken over by another process' in err
  assert json.loads((tmp_path / 'lock.json').read_text())['pid'] == 7


def test_a_workdir_that_is_a_file_or_cannot_be_made_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(check.ConfigError, match='is a file'):
    take(tmp_path / 'file')
  for impossible in (tmp_path / 'file' / 'run', Path('/proc/run')):
    with pytest.raises(OSError):
      take(impossible)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_workdir_that_cannot_be_written_is_refused(tmp_path):
  tmp_path.chmod(0o500)
  with pytest.raises(PermissionError):
    take(tmp_path)


def test_a_config_is_written_once_and_the_same_one_goes_on(tmp_path):
  workdir.open_config(tmp_path, resolved(), restart=False)
  assert json.loads((tmp_path / 'config.json').read_text()) == resolved()
  stamp = (tmp_path / 'config.json').stat().st_mtime_ns
  workdir.open_config(tmp_path, resolved(), restart=False)
  assert (tmp_path / 'config.json').stat().st_mtime_ns == stamp


CHANGES = dict(
  seed=1,
  batch_size=64,
  mask='causal',
  mlm__rate=0.2,
  data__corpus='gutenberg',
  model__width=96,
  data__sequence_length=64,
  optimizer__beta1=0.8,
  name='other',
)


@pytest.mark.parametrize('name', CHANGES)
def test_another_config_is_refused_with_the_field_and_no_flag_helps(name, tmp_path):
  begun(tmp_path)
  before = (tmp_path / 'config.json').read_bytes()
  field = name.replace('__', '.')
  text = refused(workdir.open_config, tmp_path, resolved(**{name: CHANGES[name]}), restart=False)
  assert (
    f'{field}: was ' in text and f'now {CHANGES[name]!r}' in text and '--allow_change' not in text
  )
  with pytest.raises(check.ConfigError, match=f'allow_change={field}'):
    workdir.open_config(
      tmp_path, resolved(**{name: CHANGES[name]}), restart=False, allow_change=(field,)
    )
  assert (tmp_path / 'config.json').read_bytes() == before


@pytest.mark.parametrize(
  'name, value, allow',
  [
    ('steps', 2_000, 'steps'),
    ('optimizer__learning_rate', 1e-5, 'optimizer.learning_rate'),
    ('checkpoint__every', 7, 'checkpoint.every'),
    ('log__every', 5, 'log'),
    ('mesh__fsdp', 2, 'mesh'),
  ],
)
def test_what_is_safe_to_change_must_be_named(name, value, allow, tmp_path):
  begun(tmp_path)
  text = refused(workdir.open_config, tmp_path, resolved(**{name: value}), restart=False)
  assert f'--allow_change={name.replace("__", ".")} accepts it' in text
  workdir.open_config(tmp_path, resolved(**{name: value}), restart=False, allow_change=(allow,))
  assert json.loads((tmp_path / 'config.json').read_text()) == resolved(**{name: value})
  workdir.open_config(tmp_path, resolved(**{name: value}), restart=False)


def test_no_flag_is_offered_when_it_would_not_be_enough(tmp_path):
  begun(tmp_path)
  text = refused(
    workdir.open_config, tmp_path, resolved(steps=5, seed=1), restart=False, allow_change=('steps',)
  )
  assert 'seed' in text and 'steps' not in text.splitlines()[1] and '--allow_change' not in text


def begun(folder: Path, **changes):
  """The folder of a run that has made an update."""
  workdir.open_config(folder, resolved(**changes), restart=False)
  (folder / 'metrics.jsonl').write_text('{"step": 0}\n')


# What a person may have where a run is to be: none of it is ours to move.
THEIRS = {
  'thesis': {'thesis.txt': 'years of work'},
  'a git repository': {'.git/HEAD': 'ref: refs/heads/main', 'README.md': '# mine'},
  'a model of Hugging Face': {'config.json': '{"model_type": "bert"}', 'model.safetensors': ''},
  'an import': {'config.json': json.dumps(resolved()), 'weights.json': '{}'},
  "somebody's config": {'config.json': '{"compilerOptions": {}}'},
  'a damaged config': {'config.json': '{"name": ', 'metrics.jsonl': '{"step": 0}\n'},
  'checkpoints alone': {'checkpoints/step_00000004/manifest.json': '{}'},
  'a sweep': {'sweep.json': '{}', 'bert_tiny-1234/config.json': json.dumps(resolved())},
}


@pytest.mark.parametrize('what', THEIRS)
@pytest.mark.parametrize('restart', [False, True])
def test_a_folder_that_no_run_of_ours_made_is_refused_and_restart_is_no_way_around(
  what, restart, tmp_path
):
  for name, text in THEIRS[what].items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
  for step in (workdir.check_config, workdir.open_config):
    assert '--restart' not in refused(step, tmp_path, resolved(), restart=restart)
  found = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob('*') if p.is_file()}
  assert found == THEIRS[what]


def test_restart_moves_what_a_run_wrote_and_nothing_else(tmp_path):
  begun(tmp_path)
  (tmp_path / 'notes.txt').write_text('mine')
  (tmp_path / 'checkpoints').mkdir()
  said = []
  workdir.open_config(tmp_path, resolved(seed=1), restart=True, say=said.append)
  assert 'before-1' in said[0] and (tmp_path / 'notes.txt').read_text() == 'mine'
  assert {path.name for path in (tmp_path / 'before-1').iterdir()} == {
    'config.json',
    'metrics.jsonl',
    'checkpoints',
  }
  workdir.open_config(tmp_path, resolved(seed=1), restart=True)
  assert len(list(tmp_path.glob('before-*'))) == 2


@pytest.mark.parametrize(
  'left',
  [
    (),
    ('data.json', 'plan.json', 'initial.json', 'tokenizer.json', 'software.json'),
    ('data.json', 'metrics.jsonl', 'checkpoints/step_00000000/manifest.json'),
  ],
)
def test_a_start_without_a_step_does_not_block_the_corrected_command(left, tmp_path):
  workdir.open_config(tmp_path, resolved(batch_size=64), restart=False)
  for name in left:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('')
  workdir.open_config(tmp_path, resolved(), restart=False)
  assert {path.name for path in tmp_path.iterdir()} == {'config.json', 'before-1'}
  assert json.loads((tmp_path / 'config.json').read_text()) == resolved()
  # the same config goes on where it was, with the data that are there now
  workdir.check_fingerprint(tmp_path, dict(data='a'))
  workdir.open_config(tmp_path, resolved(), restart=False)
  workdir.check_fingerprint(tmp_path, dict(data='b'))


@pytest.mark.parametrize(
  'name', ['metrics.jsonl', 'checkpoints/step_00000004/manifest.json', 'result.json']
)
def test_a_run_that_made_a_step_is_never_replaced_in_silence(name, tmp_path):
  workdir.open_config(tmp_path, resolved(), restart=False)
  (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
  (tmp_path / name).write_text('{"step": 0}\n')
  for step in (workdir.check_config, workdir.open_config):
    assert 'seed: was 0, now 1' in refused(step, tmp_path, resolved(seed=1), restart=False)


@pytest.mark.parametrize('text', ['', '{"name": ', '[]'])
def test_a_damaged_config_is_refused(text, tmp_path):
  (tmp_path / 'config.json').write_text(text)
  assert 'is damaged' in refused(workdir.open_config, tmp_path, resolved(), restart=False)


def test_a_process_killed_while_it_wrote_its_first_config_can_start_again(tmp_path):
  (tmp_path / 'config.json.new').write_text('{"na')
  workdir.open_config(tmp_path, resolved(), restart=False)


def test_only_a_whole_result_of_this_config_counts_as_finished(tmp_path):
  workdir.open_config(tmp_path, resolved(), restart=False)
  assert workdir.finished(tmp_path, resolved()) is None
  result = dict(step=999, tokens=5, validation={}, validation_sha256='')
  storage.write_json(tmp_path / 'result.json', result)
  assert workdir.finished(tmp_path, resolved()) is None
  storage.write_json(tmp_path / 'result.json', result | dict(step=1000))
  assert workdir.finished(tmp_path, resolved()) == result | dict(step=1000)
  assert workdir.finished(tmp_path, resolved(seed=1)) is None
  assert workdir.finished(tmp_path / 'none', resolved()) is None


def test_other_data_or_another_tokenizer_is_refused_by_name(tmp_path):
  workdir.check_fingerprint(tmp_path, dict(data='a', tokenizer='b'))
  workdir.check_fingerprint(tmp_path, dict(data='a', tokenizer='b'))
  text = refused(workdir.check_fingerprint, tmp_path, dict(data='a', tokenizer='c'))
  assert "tokenizer: was 'b', now 'c'" in text and 'data: was' not in text


def test_resuming_on_something_else_is_said(tmp_path):
  said = []
  software.note_software(tmp_path, software.machine(), dict(data=8), said.append)
  software.note_software(tmp_path, software.machine(), dict(data=8), said.append)
  assert said == []
  path = tmp_path / 'software.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | dict(jax='0.1', devices=4096)))
  software.note_software(tmp_path, software.machine(), dict(data=8), said.append)
  assert 'topology changed: bit-identity not promised' in said[0]
  assert all(word in said[0] for word in ('jax 0.1 ->', 'devices 4096 ->'))
