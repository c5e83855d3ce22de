"""An update whose gradient is far too large is skipped, counted, and skipped again after a kill."""

import functools
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from configs import base
from parallel import sharding
from training import spikes
from training.bare_step import build_step

KNOBS = dict(skip_sigmas=6.0, skip_window=128, skip_limit=8)


def by_formula(norms, *, skip_sigmas: float, skip_window: int, skip_limit: int) -> list[bool]:
  """Which updates are skipped, in float64."""
  done, skipped = [], []
  for norm in norms:
    window = done[-skip_window:]
    full, in_a_row = len(window) == skip_window, skipped[-skip_limit:]
    limited = len(in_a_row) == skip_limit and all(in_a_row)
    skip = full and norm > np.mean(window) + skip_sigmas * np.std(window) and not limited
    skipped.append(bool(skip))
    done += [] if skip else [norm]
  return skipped


def judged(norms, **knobs) -> tuple[list[bool], spikes.Spikes]:
  rule = spikes.Rule(**knobs)

  def step(seen, norm):
    skip, seen = spikes.judge(rule, seen, norm)
    return seen, skip

  seen, skipped = jax.lax.scan(step, spikes.nothing_seen(rule), jnp.asarray(norms, jnp.float32))
  return skipped.tolist(), seen


def norms_with_spikes(seed: int) -> np.ndarray:
  """Norms that fall and tremble, with single spikes, some early, and a step to another level."""
  random = np.random.default_rng(seed)
  norms = (1 + 5 * np.exp(-np.arange(600) / 100)) * random.lognormal(0, 0.1, 600)
  norms[random.integers(0, 400, 12)] *= random.uniform(5, 1e6, 12)
  norms[450:] *= 30  # for ever: no limit would mean that nothing is trained any more
  return norms.astype(np.float32)


@pytest.mark.parametrize('window', [2, 7, 128])
@pytest.mark.parametrize('seed', range(4))
def test_spikes_are_skipped_as_the_rule_says_and_a_new_level_is_accepted(seed, window):
  knobs = KNOBS | dict(skip_window=window)
  norms = norms_with_spikes(seed)
  skipped, seen = judged(norms, **knobs)
  expected = by_formula(norms, **knobs)
  assert skipped == expected and int(seen.skipped) == sum(expected) > 0
  assert not any(skipped[:window]) and not all(skipped[450 : 450 + KNOBS['skip_limit'] + 1])
  assert not all(skipped[-50:])


def test_what_is_remembered_half_way_decides_the_rest_as_if_nothing_had_happened():
  norms, rule = norms_with_spikes(0), spikes.Rule(**KNOBS)
  judge = jax.jit(functools.partial(spikes.judge, rule))
  whole = judged(norms, **KNOBS)[0]
  for cut in (1, 60, 130, 455):
    _, seen = judged(norms[:cut], **KNOBS)
    seen = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), seen)  # through a checkpoint
    for step in range(cut, min(cut + 20, len(norms))):
      skip, seen = judge(seen, norms[step])
      assert bool(skip) == whole[step]


def tiny(**optimizer):
  config = base.get_config()
  config.batch_size, config.data.sequence_length, config.steps = 4, 16, 20
  config.model.update(vocab_size=50, layers=1, width=16, heads=2, feed_forward=16, max_length=16)
  config.optimizer.update(warmup_steps=0, learning_rate=1e-2, average=0.9, **optimizer)
  return config


def test_a_skipped_update_changes_nothing_but_the_step_and_the_count():
  knobs = dict(skip_sigmas=0.1, skip_window=2, skip_limit=3)
  config = tiny(**knobs)
  mesh = sharding.make_mesh(config.mesh, jax.devices()[:1])
  with jax.set_mesh(mesh):
    bare = build_step(config, mesh)
    state, norms, skipped = bare.make(), [], []
    for step in range(20):
      kept = jax.device_get((state.params, state.opt_state, state.average))
      state, metrics = bare.step(state, sharding.shard_batch(bare.batch, mesh))
      norms.append(float(metrics['gradient_norm']))
      skipped.append(bool(metrics['skipped']))
      now = jax.device_get((state.params, state.opt_state, state.average))
      pairs = zip(jax.tree.leaves(kept), jax.tree.leaves(now), strict=True)
      assert all(np.array_equal(old, new) for old, new in pairs) == skipped[-1]
      assert int(state.step) == step + 1 and int(metrics['skipped_updates']) == sum(skipped)
  assert skipped == by_formula(norms, **knobs) and 0 < sum(skipped) < 20


def test_without_the_knob_the_state_remembers_nothing():
  assert spikes.rule_of(base.get_config().optimizer) is None
  mesh = sharding.make_mesh(base.get_config().mesh, jax.devices()[:1])
  with jax.set_mesh(mesh):
    assert build_step(tiny(), mesh).abstract.spikes is None


@pytest.mark.slow
def test_a_run_killed_within_the_window_skips_the_same_updates(tmp_path):
  text = runs.corpus(tmp_path)
  rule = dict(skip_sigmas=0.5, skip_window=3, skip_limit=2)
  knobs = {f'optimizer.{name}': value for name, value in rule.items()}
  command = lambda name: runs.command('bert_tiny', tmp_path / name, text, **knobs)
  whole = runs.run(command('whole'))
  assert whole.returncode == 0, whole.stderr
  # step 4 is a checkpoint, the updates 4 and 5 are lost and done again
  assert runs.run(command('killed'), fault='die_at_step:6').returncode == -signal.SIGKILL
  resumed = runs.run(command('killed'))
  assert resumed.returncode == 0 and 'at step 4' in resumed.stdout, resumed.stderr
  assert runs.rows(tmp_path / 'killed') == runs.rows(tmp_path / 'whole')
  assert runs.digest(tmp_path / 'killed') == runs.digest(tmp_path / 'whole')
  counted = [row.get('skipped_updates') for row in runs.rows(tmp_path / 'whole')][:-1]
  assert counted[:4] == [0, 0, 0, counted[3]] and 0 < counted[-1]
  assert whole.stdout.count('the update was skipped') == counted[-1]
