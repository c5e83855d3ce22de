"""A disk that is away for a moment costs no run; one that stays away ends it with exit code 6.

The fake is the layer below: a function of the file system that fails a number of times.
"""

import errno
import json
from pathlib import Path

import jax.numpy as jnp
import pytest
import runs

from runtime import flaky, storage
from runtime.atomic import atomic_write
from training import checkpoint, metrics, saver
from training.state import State

AWAY = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN)
SAME_LATER = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOENT)


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
  """What was waited for, without waiting."""
  waited = []
  monkeypatch.setattr(flaky.time, 'sleep', waited.append)
  return waited


def failing(function, times: int, number: int = errno.EIO, only: str = ''):
  """A function that raises so many times, where `only` is part of its first argument."""
  left = [times]

  def fake(*args, **kwargs):
    if left[0] and only in str(args[0] if args else ''):
      left[0] -= 1
      raise OSError(number, 'fake')
    return function(*args, **kwargs)

  return fake


def saved(folder: Path):
  state = State(jnp.int32(1), dict(x=jnp.arange(8.0)), {}, None)
  saver.save(folder / 'checkpoints', 1, state, dict(trail={}), keep=2)
  abstract = State(jnp.int32(0), dict(x=jnp.zeros(8)), {}, None)
  restored, _, step = checkpoint.restore_newest(folder / 'checkpoints', abstract)
  assert step == 1 and restored.params['x'].tolist() == list(range(8))


def logged(folder: Path):
  log = metrics.MetricsLog(folder, resume_step=0, tensorboard=False)
  for step in range(3):
    log.write(dict(step=step))
  log.close()
  assert metrics.read(folder) == [dict(step=0), dict(step=1), dict(step=2)]


def written(folder: Path):
  storage.write_json(folder / 'a.json', dict(a=1))
  assert json.loads((folder / 'a.json').read_text()) == dict(a=1)


def cached(folder: Path):
  atomic_write(folder / 'rows', b'content', racing=True)
  assert (folder / 'rows').read_bytes() == b'content'


PLACES = {
  'a file of a workdir, written': (written, Path, 'write_text'),
  'a file of a workdir, renamed': (written, Path, 'replace'),
  'a file of the cache': (cached, Path, 'write_bytes'),
  'the manifest of a checkpoint': (saved, checkpoint, '_manifest'),
  'the folder of a checkpoint': (saved, checkpoint, 'make_room'),
  'the arrays of a checkpoint, read': (saved, checkpoint, 'restore'),
  'the hashes of a checkpoint, read': (saved, checkpoint, 'damage'),
}


@pytest.mark.parametrize('place', PLACES)
def test_what_fails_twice_works_at_the_third_try(place, tmp_path, monkeypatch, pauses):
  act, owner, name = PLACES[place]
  for number in AWAY:
    pauses.clear()
    folder = tmp_path / str(number)
    folder.mkdir()
    with monkeypatch.context() as patched:
      patched.setattr(owner, name, failing(getattr(owner, name), 2, number))
      act(folder)
    assert pauses == list(flaky.PAUSES_S)


@pytest.mark.parametrize('place', PLACES)
def test_what_fails_for_ever_is_tried_three_times_and_then_raised(
  place, tmp_path, monkeypatch, pauses
):
  act, owner, name = PLACES[place]
  monkeypatch.setattr(owner, name, failing(getattr(owner, name), 10**6))
  with pytest.raises(OSError) as raised:
    act(tmp_path)
  assert raised.value.errno == errno.EIO and pauses == list(flaky.PAUSES_S)


@pytest.mark.parametrize('number', SAME_LATER)
@pytest.mark.parametrize('place', PLACES)
def test_a_full_disk_or_a_forbidden_file_is_not_tried_again(
  place, number, tmp_path, monkeypatch, pauses
):
  act, owner, name = PLACES[place]
  monkeypatch.setattr(owner, name, failing(getattr(owner, name), 1, number))
  with pytest.raises(OSError):
    act(tmp_path)
  assert pauses == []


class Buffered:
  """A file whose flush fails some times, with what was written still in its buffer."""

  def __init__(self, file, times: int):
    self._file, self.write, self.close = file, file.write, file.close
    self.flush = failing(file.flush, times)


def test_rows_of_the_log_are_neither_lost_nor_doubled(tmp_path, monkeypatch):
  opened = Path.open
  monkeypatch.setattr(
    Path, 'open', lambda path, mode='r': Buffered(opened(path, mode), 2 if mode == 'a' else 0)
  )
  logged(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('times', [2, 3])
def test_a_run_whose_saves_fail_twice_ends_and_after_three_it_stops_with_6(times, tmp_path):
  text = runs.corpus(tmp_path)
  args = runs.command('bert_tiny', tmp_path / 'run', text, **{'checkpoint.every': 2})
  done = runs.run(args, fault=f'fail_saves:{times}')
  assert done.stdout.count('The next save tries again') == 2
  if times == 2:
    assert done.returncode == 0, done.stderr
    return
  assert done.returncode == 6 and 'not written' in done.stderr
  again = runs.run(args)  # nothing was saved, so there is nothing to resume
  assert again.returncode == 3 and '--restart' in again.stderr


@pytest.mark.slow
def test_the_last_save_is_tried_again_at_once(tmp_path):
  text = runs.corpus(tmp_path)
  args = runs.command('bert_tiny', tmp_path / 'run', text, **{'checkpoint.every': 100, 'steps': 6})
  assert runs.run(args, fault='fail_saves:2').returncode == 0
  assert runs.digest(tmp_path / 'run')
