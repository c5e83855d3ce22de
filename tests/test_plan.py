"""What a step needs on machines that are not here: read from compiled programs, bounded by published figures."""

import importlib.util
import json
import os
from pathlib import Path
import subprocess
import sys

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import pytest
import test_bare

from configs import base, meshes
from configs.check import ConfigError
from tools import plan_chips, plan_compile, plan_roofline, plan_search, planning
from tools.plan_collectives import collectives
from tools.plan_hlo import Program
from training import sharding

ROOT = Path(__file__).resolve().parents[1]
HAS_TPU_COMPILER = importlib.util.find_spec('libtpu') is not None
CPU = plan_chips.parse('cpu:8')


def config_of(**knobs):
  return planning.set_knobs(test_bare.config_of(), knobs)


def mesh_of(**sizes):
  config = base.get_config().mesh
  config.update(dict(data=1, fsdp=1, tensor=1) | sizes)
  return sharding.make_mesh(config)


def call(*args) -> subprocess.CompletedProcess:
  return subprocess.run([sys.executable, '-m', 'tools.plan', *args], cwd=ROOT, text=True, capture_output=True,
                        timeout=600, env={name: value for name, value in os.environ.items() if name != 'XLA_FLAGS'})


@pytest.mark.parametrize('name, size, shape, slices', [
    ('v5e:16x16', 256, (16, 16), 1), ('v5e-256', 256, (16, 16), 1), ('v6e-1', 1, (1, 1), 1),
    ('V5P:4x4x4', 64, (4, 4, 4), 1),
    ('v4-128', 128, (4, 4, 8), 1), ('v5e:4x4*2', 32, (4, 4), 2), ('cpu:8', 8, (8,), 1), ('cpu-8', 8, (8,), 1)])
def test_topologies_have_friendly_names(name, size, shape, slices):
  topology = plan_chips.parse(name)
  assert (topology.size, topology.shape, topology.slices) == (size, shape, slices)


@pytest.mark.parametrize('name, said', [('v9:2x2', 'v4, v5e, v5p, v6e'), ('v5e:3x3', '8x16'), ('v5p-7', '2x2x1'),
                                        ('', 'cpu for simulated'), ('v5e:4x4*0', 'two slices'), ('cpu:0', 'cpu:8')])
def test_a_wrong_topology_is_answered_with_those_that_there_are(name, said):
  with pytest.raises(ConfigError, match=said):
    plan_chips.parse(name)


def test_a_collective_in_a_loop_counts_as_often_as_the_loop_turns():
  mesh = mesh_of(data=8)
  split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (('data',), ()))

  def f(x_BxD):
    def add(total_D, _):
      return jax.lax.with_sharding_constraint(jnp.sin(x_BxD * total_D[None]).sum(0), whole), None
    return jax.lax.scan(add, jnp.ones(x_BxD.shape[1]), None, length=7)[0]

  x_BxD = jax.ShapeDtypeStruct((16, 96), jnp.float32, sharding=split)
  found = collectives(Program(jax.jit(f).lower(x_BxD).compile().as_text()), 8)
  assert [(each.kind, each.bytes, each.times, each.group) for each in found] == [
      ('all-reduce', 96 * 4, 7, tuple(range(8)))]
  assert found[0].sent == 7 * 2 * 7 / 8 * 96 * 4  # a ring passes each eighth on seven times, twice


@pytest.mark.parametrize('groups, expected', [
    ('replica_groups={{0,2},{1,3}}', (0, 2)), ('replica_groups=[2,4]<=[8]', (0, 1, 2, 3)),
    ('replica_groups=[4,2]<=[2,4]T(1,0)', (0, 4)),
    ("replica_groups=mesh['a'=2,'b'=2,'c'=2] {'a','c'}", (0, 1, 4, 5))])
def test_groups_are_read_in_each_way_they_are_written(groups, expected):
  text = (f'ENTRY %main (x: f32[4]) -> f32[4] {{\n  %x = f32[4]{{0}} parameter(0)\n'
          f'  ROOT %r = f32[4]{{0}} all-reduce(%x), channel_id=1, {groups}, to_apply=%add\n}}\n')
  assert collectives(Program(text), 8)[0].group == expected


def test_bytes_are_those_that_xla_counts_with_the_turns_of_loops():
  w_LxDxD, x_BxD = jax.ShapeDtypeStruct((12, 128, 128), jnp.float32), jax.ShapeDtypeStruct((64, 128), jnp.float32)

  def compiled(unroll):
    layers = lambda w, x: jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w, unroll=unroll)[0]
    return jax.jit(layers).lower(w_LxDxD, x_BxD).compile()

  loop, unrolled = compiled(1), compiled(12)
  xla = unrolled.cost_analysis()['bytes accessed']
  assert Program(unrolled.as_text()).bytes() == xla
  assert Program(loop.as_text()).bytes() == pytest.approx(xla, rel=0.05)  # and the counter of the loop
  assert loop.cost_analysis()['bytes accessed'] < 0.2 * xla  # which is why we count ourselves


@pytest.mark.parametrize('line, moved', [
    # A copy beside the units, in two pieces of which this is one: half of the array is read, nothing is written.
    ('((f32[8,16]{1,0:T(8,128)}), f32[4,16]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%x), slice={[0:4], [0:16]}',
     4 * 16 * 4),
    ('((f32[8,16]{1,0}), f32[4,16]{1,0}, s32[]{:S(2)}) slice-start(%x), slice={[0:4], [0:16]}', 2 * 4 * 16 * 4),
    ('(f32[8,16]{1,0}, f32[8,16]{1,0:S(1)}, u32[]{:S(2)}) copy-start(%x)', 8 * 16 * 4),
    ('f32[8,16]{1,0} custom-call(), custom_call_target="AllocateBuffer"', 0),
    ('f32[16,16]{1,0} custom-call(%x, %x), custom_call_target="ConcatBitcast"', 0),
    ('f32[8,16]{1,0} custom-call(%x), custom_call_target="tpu_custom_call"', 2 * 8 * 16 * 4)])
def test_bytes_of_what_only_the_compiler_for_tpus_writes(line, moved):
  text = f'ENTRY %main (x: f32[8,16]) -> f32[8,16] {{\n  %x = f32[8,16]{{1,0}} parameter(0)\n  %y = {line}\n}}\n'
  assert Program(text).bytes() == moved


def test_of_a_stack_that_a_fusion_adds_to_beside_another_result_one_layer_is_written():
  text = """
%add_layer (stack: f32[12,8,16], layer: f32[8,16], turn: s32[]) -> (f32[12,8,16], f32[8,16]) {
  %stack = f32[12,8,16]{2,1,0} parameter(0)
  %layer = f32[8,16]{1,0} parameter(1)
  %turn = s32[] parameter(2)
  %zero = s32[] constant(0)
  %kept = f32[1,8,16]{2,1,0} bitcast(%layer)
  %added = f32[12,8,16]{2,1,0} dynamic-update-slice(%stack, %kept, %turn, %zero, %zero)
  %sine = f32[8,16]{1,0} sine(%layer)
  ROOT %both = (f32[12,8,16]{2,1,0}, f32[8,16]{1,0:S(1)}) tuple(%added, %sine)
}

ENTRY %main (stack: f32[12,8,16], layer: f32[8,16], turn: s32[]) -> (f32[12,8,16], f32[8,16]) {
  %stack = f32[12,8,16]{2,1,0} parameter(0)
  %layer = f32[8,16]{1,0} parameter(1)
  %turn = s32[] parameter(2)
  ROOT %r = (f32[12,8,16]{2,1,0}, f32[8,16]{1,0:S(1)}) fusion(%stack, %layer, %turn), kind=kLoop, calls=%add_layer
}
"""
  layer = 8 * 16 * 4
  # Its place in the stack, the layer and the number are read, the place is written; the sine stays beside the units.
  assert Program(text).bytes() == 3 * layer + 4


def test_two_depths_give_the_flops_of_any_depth():
  config = config_of(**{'model.layers': 5})
  by_hand = config_of(**{'model.layers': 5, 'model.scan': False, 'loss_chunk': 8 * 16, 'model.attention': 'reference'})
  run = plan_compile.bare(by_hand, one := sharding.make_mesh(plan_compile.ONE_AXIS, jax.devices()[:1]))
  whole = run.step.lower(run.abstract, plan_compile.abstract_batch(run, one)).cost_analysis()['flops']
  assert plan_compile.count_flops(config) == pytest.approx(whole, rel=1e-3)
  assert plan_compile.count_flops(config, remat='full') > 1.05 * whole  # what is computed again is counted


def test_flops_agree_with_the_closed_form_at_a_real_width():
  config = config_of(**{'batch_size': 16, 'data.sequence_length': 128, 'model.width': 768, 'model.heads': 12,
                        'model.feed_forward': 3072, 'model.vocab_size': 30_522, 'model.layers': 12,
                        'model.dropout': 0.0, 'model.attention_dropout': 0.0})
  assert 1 <= planning.agreement(config) < 1.02  # XLA also counts softmax, norms, activations and the optimiser


def test_a_plan_for_simulated_devices_has_all_but_times():
  config = config_of(**{'mesh.fsdp': 2, 'mesh.tensor': 2})
  plan = planning.make_plan(config, CPU, jax.devices())
  assert plan['predicted_step_seconds'] is plan['predicted_utilisation'] is plan['fits'] is None
  assert plan['hbm_bytes_per_chip'] == sum(plan['memory'].values()) > 0
  parameters = 4 * plan_search.parameters(config)
  assert parameters / 4 <= plan['memory']['parameters'] < parameters / 2  # a few small ones are on every device
  assert plan['memory']['optimiser'] == pytest.approx(2 * plan['memory']['parameters'], rel=0.01)
  assert {each['kind'] for each in plan['collectives']} >= {'all-reduce', 'all-gather'}
  json.dumps(plan)


@pytest.mark.parametrize('cell', [
    dict(mask='causal', objectives=dict(clm=1.0)),
    pytest.param(dict(objectives=dict(mlm=1.0)), marks=pytest.mark.slow)], ids=str)
def test_with_fsdp_devices_exchange_parameters_and_not_activations(cell):
  """What layers send hangs on their parameters alone: four times the rows send no more."""

  def sent(rows):
    config = config_of(**cell, **{'batch_size': rows, 'data.sequence_length': 64, 'mesh.fsdp': 8, 'model.width': 64,
                                  'loss_chunk': 64 * 64, 'model.max_length': 64})
    plan = planning.make_plan(config, CPU, jax.devices(), counted=1.0)
    return sum(each['sent_bytes'] for each in plan['collectives'] if 'trunk' in each['what'])

  assert 0 < sent(64) < 1.05 * sent(16)


def test_a_bound_follows_from_published_figures():
  topology, chip = plan_chips.parse('v5e:4x4'), plan_chips.CHIPS['v5e']
  devices = [Place(x, y) for x in range(4) for y in range(4)]
  assert plan_roofline.bandwidth(topology, devices[:4]) == chip.link  # a line of four
  assert plan_roofline.bandwidth(topology, devices) == 2 * chip.link  # both axes
  ring = plan_chips.parse('v5e:16x16')
  assert plan_roofline.bandwidth(ring, [Place(x, 0) for x in range(16)]) == 2 * chip.link
  assert plan_roofline.bandwidth(ring, [Place(0, 0, 0), Place(0, 0, 1)]) == chip.network
  bound = plan_roofline.bound(topology, devices, flops=chip.flops, bytes=2 * chip.hbm_bandwidth, exchanged=[])
  assert (bound.compute, bound.memory, bound.step, bound.why) == (1, 2, 2, 'memory')


class Place:
  """A chip's place, all of a device that a bandwidth hangs on."""

  def __init__(self, x, y, slice_index=0):
    self.coords, self.slice_index = (x, y, 0), slice_index


def test_what_cannot_fit_is_not_compiled():
  config = config_of(**{'batch_size': 256, 'model.width': 4096, 'model.heads': 32, 'model.layers': 48,
                        'model.feed_forward': 16_384, 'model.vocab_size': 50_000})
  found = plan_search.candidates(config, plan_chips.parse('v5e-64'), fused=True)
  assert found and min(each.knobs['mesh.fsdp'] * each.knobs['mesh.tensor'] for each in found) == 8  # 147 GiB


def test_cells_that_share_batches_get_whole_rows_in_every_micro_batch():
  cells = dict(objectives=dict(mntp=1.0), schedule='1 causal+clm & 3 bidirectional+mntp')
  found = plan_search.candidates(config_of(**cells, batch_size=32), plan_chips.parse('v5e-4'), fused=False)
  assert {each.knobs['accumulate'] * each.knobs['mesh.data'] * each.knobs['mesh.fsdp'] for each in found} == {2, 4, 8}
  for each in found:
    meshes.check(planning.set_knobs(config_of(**cells, batch_size=32), each.knobs), 4, 1, 'tpu')


def test_a_plan_takes_as_many_micro_batches_as_training_would():
  sizes = {'batch_size': 256, 'data.sequence_length': 512, 'model.max_length': 512, 'model.width': 1024,
           'model.heads': 16, 'model.feed_forward': 4096, 'model.layers': 24, 'model.vocab_size': 30_000}
  fitted = lambda **knobs: planning.fit_accumulate(config_of(**sizes | knobs), plan_chips.parse('v5e-4'), fused=True)
  assert fitted().accumulate > 1  # 64 rows a chip, all that they go through kept
  assert fitted(accumulate=1).accumulate == 1
  assert planning.fit_accumulate(config_of(), CPU, fused=False).accumulate == 1  # nothing is known of its memory


@pytest.mark.skipif(HAS_TPU_COMPILER, reason='libtpu is installed')
def test_without_the_tpu_compiler_it_says_how_to_get_it():
  result = call('--config=configs/bert_tiny.py', '--topology=v5e:2x4')
  assert result.returncode == 6 and "pip install -e '.[tpu]'" in result.stderr and 'cpu:8' in result.stderr


@pytest.mark.slow
def test_search_on_simulated_devices_ends_in_a_command():
  result = call('--config=configs/bert_tiny.py', '--topology=cpu:8', '--search', '--compiles=2')
  assert result.returncode == 0, result.stderr
  assert 'best: --config=configs/bert_tiny.py --config.mesh.data=' in result.stdout


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TPU_COMPILER, reason='needs libtpu, the extra tpu; no TPU')
@pytest.mark.parametrize('topology', ['v4-8', 'v5e-8', 'v5p-8', 'v6e-8', 'v5e-1', 'v5e:2x2*2'])
def test_a_step_is_planned_for_tpus_that_are_not_here(topology):
  result = call('--config=configs/gpt_tiny.py', f'--topology={topology}', '--json', '--config.batch_size=64',
                '--config.model.dtype=bfloat16', '--config.model.dropout=0.0', '--config.model.attention_dropout=0.0')
  assert result.returncode == 0, result.stderr
  plan = json.loads(result.stdout)
  assert plan['fits'] and 0 < plan['predicted_utilisation'] < 1 and plan['predicted_step_seconds'] > 0
  assert bool(plan['collectives']) == (plan['chips'] > 1)
