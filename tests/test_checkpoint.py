"""A checkpoint is whole, or it is not used; an older one that is whole is never lost."""

import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from runtime.errors import NumericalError, StateError
from training import checkpoint, saver
from training.state import State


def make_state(step: int, width: int = 8) -> State:
  random = np.random.default_rng(step)
  kernel_DxF = jnp.asarray(random.normal(size=(width, 5)), jnp.float32)
  params = {'blocks': {'kernel': kernel_DxF, 'bias': jnp.full(5, 0.1 * step)}}
  moments = jax.tree.map(lambda x: x * 1e-8, params)
  return State(jnp.asarray(step, jnp.int32), params, (moments, {'count': jnp.asarray(step)}), None)


def abstract(state: State) -> State:
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state)


def bits(state) -> list[bytes]:
  return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


@pytest.fixture(scope='module')
def saved(tmp_path_factory) -> Path:
  """Checkpoints of steps 1 and 2; copied, never changed."""
  folder = tmp_path_factory.mktemp('saved') / 'checkpoints'
  for step in (1, 2):
    saver.save(folder, step, make_state(step), dict(trail={}, tokens=100 * step), keep=2)
  return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
  return Path(shutil.copytree(saved, tmp_path / 'checkpoints'))


def restore(folder: Path, said: list | None = None):
  return checkpoint.restore_newest(
    folder, abstract(make_state(0)), ([] if said is None else said).append
  )


def test_what_comes_back_has_the_same_bits_and_is_the_newest(folder):
  state, extra, step = restore(folder)
  assert step == 2 and extra['tokens'] == 200
  assert bits(state) == bits(make_state(2))
  assert jax.tree.structure(state) == jax.tree.structure(make_state(2))


def test_the_digest_is_that_of_the_bits(folder):
  digest_of = lambda step: json.loads((folder / f'step_{step:08d}/extra.json').read_text())[
    'digest'
  ]
  first, second = digest_of(1), digest_of(2)
  saver.save(folder, 3, make_state(2), dict(trail={}), keep=3)
  assert first != second == digest_of(3)


@pytest.mark.parametrize('devices', [1, 4])
def test_a_state_may_be_donated_as_soon_as_its_save_has_begun(devices, tmp_path):
  mesh = jax.make_mesh((devices,), ('data',), devices=jax.devices()[:devices])
  split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec('data'))
  state = State(jnp.int32(0), dict(x=jax.device_put(jnp.arange(64_000.0), split)), {}, None)
  before = bits(state)
  step = jax.jit(lambda x: jax.tree.map(lambda x: x + 1, x), donate_argnums=0)
  writing = saver.Saver(tmp_path, keep=2)
  writing.save(1, state, dict(trail={}))
  for _ in range(5):
    state = step(state)
  writing.finish()
  writing.close()
  restored, _ = checkpoint.restore(tmp_path, 1, abstract(state))
  assert bits(restored) == before


def test_a_save_that_failed_is_heard_of_at_the_next(folder):
  writing = saver.Saver(folder, keep=1)
  writing.save(3, State(jnp.int32(3), dict(x=jnp.array([jnp.inf])), {}, None), dict(trail={}))
  with pytest.raises(NumericalError, match='params.x is not finite'):
    writing.save(4, make_state(4), dict(trail={}))
  writing.close()
  assert checkpoint.available(folder) == [1, 2]


def test_a_workdir_without_checkpoints_has_nothing_to_restore(tmp_path):
  assert restore(tmp_path / 'none') is None
  (tmp_path / 'empty').mkdir()
  assert restore(tmp_path / 'empty') is None


def files_of_a_checkpoint() -> list[str]:
  """Relative paths, with what orbax names at random replaced by a pattern."""
  names = [
    'extra.json',
    'manifest.json',
    'state/_METADATA',
    'state/_CHECKPOINT_METADATA',
    'state/_sharding',
    'state/array_metadatas/process_0',
    'state/commit_success.txt',
    'state/manifest.ocdbt',
    'state/d/*',
    'state/ocdbt.process_0/d/*',
    'state/ocdbt.process_0/manifest.ocdbt',
  ]
  return names


def test_the_list_of_files_to_damage_is_complete(saved):
  found = {path for path in (saved / 'step_00000002').rglob('*') if path.is_file()}
  assert found == {
    path for name in files_of_a_checkpoint() for path in (saved / 'step_00000002').glob(name)
  }


def flip(path: Path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


DAMAGE = {
  'flipped bit': flip,
  'truncated': lambda path: path.write_bytes(path.read_bytes()[:-1]),
  'emptied': lambda path: path.write_bytes(b''),
  'longer': lambda path: path.write_bytes(path.read_bytes() + b'x'),
  'gone': lambda path: path.unlink(),
}


@pytest.mark.parametrize('damage', DAMAGE)
@pytest.mark.parametrize('name', files_of_a_checkpoint())
def test_a_damaged_file_is_named_and_the_older_checkpoint_used(name, damage, folder):
  path = max((folder / 'step_00000002').glob(name), key=lambda path: path.stat().st_size)
  if not path.stat().st_size and damage in ('flipped bit', 'truncated', 'emptied'):
    pytest.skip('the file is empty')
  path_bytes = path.stat().st_size
  DAMAGE[damage](path)
  said = []
  state, extra, step = restore(folder, said)
  assert step == 1 and extra['tokens'] == 100 and bits(state) == bits(make_state(1))
  assert path.name in said[0] or name == 'manifest.json'
  if damage == 'truncated' and name != 'manifest.json':
    assert f'has {path_bytes - 1} bytes, not {path_bytes}' in said[0]
  set_aside = folder / 'step_00000002.corrupt'
  assert not (folder / 'step_00000002').exists()
  if name == 'manifest.json' and damage == 'gone':  # then it was never committed
    assert 'cut off' in said[0]
  else:
    assert 'WARNING' in said[0] and set_aside.exists()
  saver.save(folder, 2, make_state(2), dict(trail={}), keep=2)
  assert restore(folder)[2] == 2


@pytest.mark.parametrize(
  'text',
  [
    '{}',
    '[]',
    '3',
    'null',
    '{"extra.json": 3}',
    '{"extra.json": {"bytes": 1}}',
    '[' * 100_000,
    '{"../../outside": {"bytes": 1, "sha256": ""}}',
  ],
)
def test_a_manifest_that_is_not_ours_is_damage_and_not_a_crash(text, folder):
  (folder / 'step_00000002' / 'manifest.json').write_text(text)
  assert restore(folder)[2] == 1


def test_when_every_checkpoint_is_damaged_the_run_is_refused_and_stays_refused(folder):
  for step in (1, 2):
    flip(folder / f'step_0000000{step}' / 'extra.json')
  for _ in range(2):
    with pytest.raises(StateError, match='--restart') as refused:
      restore(folder)
    assert refused.value.exit_code == 3
  assert len(list(folder.glob('*.corrupt'))) == 2


def test_a_torn_checkpoint_is_removed_and_its_step_saved_again(folder):
  torn = folder / 'step_00000003'
  shutil.copytree(folder / 'step_00000002', torn)
  (torn / 'manifest.json').rename(torn / 'manifest.json.tmp')
  (torn / 'state').rename(torn / 'state.orbax-checkpoint-tmp')
  assert checkpoint.available(folder) == [1, 2]
  said = []
  assert restore(folder, said)[2] == 2
  assert not torn.exists()
  assert 'step_00000003 was cut off while it was written, or while it was being deleted' in said[0]
  saver.save(folder, 3, make_state(3), dict(trail={}), keep=9)
  assert restore(folder)[2] == 3


@pytest.mark.parametrize('where', ['params', 'opt_state'])
def test_a_state_that_is_not_finite_is_not_saved_and_costs_no_older_one(where, folder):
  state = make_state(3)
  broken = getattr(state, where)
  leaves, tree = jax.tree.flatten(broken)
  leaves[0] = leaves[0].at[0].set(jnp.nan)
  fields = {name: getattr(state, name) for name in ('step', 'params', 'opt_state')}
  with pytest.raises(NumericalError, match=where):
    saver.save(
      folder, 3, State(**fields | {where: jax.tree.unflatten(tree, leaves)}), dict(trail={}), keep=1
    )
  assert checkpoint.available(folder) == [1, 2]
  assert restore(folder)[2] == 2


def test_only_the_newest_are_kept(folder):
  saver.save(folder, 10, make_state(10), dict(trail={}), keep=2)
  assert checkpoint.available(folder) == [2, 10]
  saver.save(folder, 11, make_state(11), dict(trail={}), keep=1)
  assert checkpoint.available(folder) == [11]


def test_another_model_is_refused_leaf_by_leaf_and_nothing_is_set_aside(folder):
  other = abstract(make_state(0, width=9))
  params = dict(other.params) | {'head': {'bias': jax.ShapeDtypeStruct((3,), jnp.float32)}}
  params['blocks'] = {'kernel': params['blocks']['kernel']}
  with pytest.raises(StateError) as refused:
    checkpoint.restore_newest(folder, State(other.step, params, other.opt_state, None))
  text = str(refused.value)
  assert '- params.blocks.bias' in text and '+ params.head.bias' in text
  assert (
    '! params.blocks.kernel: float32[8, 5] in the checkpoint, float32[9, 5] in the model' in text
  )
  assert checkpoint.available(folder) == [1, 2] and not list(folder.glob('*.corrupt'))


def test_another_number_format_is_refused(folder):
  other = abstract(make_state(0))
  halved = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16), other.params)
  with pytest.raises(StateError, match='float32.* in the checkpoint, bfloat16'):
    checkpoint.restore_newest(folder, State(other.step, halved, other.opt_state, None))


def test_a_full_disk_leaves_the_older_checkpoints_and_says_how_much_is_missing(folder):
  code = (
    'import resource, sys\n'
    'sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]\n'
    'import test_checkpoint as t\n'
    'from runtime import cli\n'
    'state = t.make_state(3, width=200_000)\n'
    'resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n'
    'cli.run(lambda: t.saver.save(sys.argv[2], 3, state, dict(trail={}), keep=1), ["save"])\n'
  )
  root = Path(__file__).resolve().parents[1]
  result = subprocess.run(
    [sys.executable, '-c', code, str(root), str(folder)],
    timeout=600,
    text=True,
    capture_output=True,
    env=dict(os.environ, JAX_PLATFORMS='cpu'),
  )
  assert result.returncode == 6, result.stderr
  # Orbax's own threads may have said more, about an event loop that is gone.
  said = [line for line in result.stderr.splitlines() if 'checkpoint of step 3 not written' in line]
  assert len(said) == 1 and 'needs 8,000,048 bytes' in said[0]
  # a thread of the writer that came late may have left a folder
  assert checkpoint.available(folder) == [1, 2]
  assert restore(folder)[2] == 2


def test_a_save_that_fails_for_another_reason_leaves_nothing_behind(folder, monkeypatch):
  monkeypatch.setattr(checkpoint, '_manifest', lambda folder: 1 / 0)
  with pytest.raises(ZeroDivisionError):
    saver.save(folder, 3, make_state(3), dict(trail={}), keep=1)
  assert sorted(path.name for path in folder.iterdir()) == ['step_00000001', 'step_00000002']


def test_too_small_a_disk_is_noticed_before_training(folder, monkeypatch):
  monkeypatch.setattr(
    checkpoint.shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(1_000, 700, 300)
  )
  with pytest.raises(OSError, match='600 bytes more; 300 are free'):
    checkpoint.preflight(folder / 'new', 200, keep=2)
  checkpoint.preflight(folder / 'new', 100, keep=2)
  checkpoint.preflight(folder, 300, keep=2)  # two are there already: only one more is needed


def test_the_digest_sees_every_bit_name_shape_and_type():
  state = make_state(1)
  kernel = state.params['blocks']['kernel']
  changed = [
    {'blocks': {'kernel': np.nextafter(kernel, 9.0), 'bias': state.params['blocks']['bias']}},
    {'block': state.params['blocks']},
    jax.tree.map(lambda x: x[None], state.params),
    jax.tree.map(lambda x: np.asarray(x).view(np.int32), state.params),
  ]
  states = [State(state.step, params, state.opt_state) for params in [state.params, *changed]]
  digests = {saver.digest(other) for other in states}
  assert len(digests) == 5


def test_a_checkpoint_holds_no_pickle(saved):
  for path in saved.rglob('*'):
    if path.is_file():
      assert not path.read_bytes().startswith((b'\x80\x03', b'\x80\x04', b'\x80\x05')), path
  assert json.loads((saved / 'step_00000001' / 'manifest.json').read_text())
