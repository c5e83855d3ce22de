"""What is read from the text of compiled programs: turns of
loops, groups of devices, bytes that are moved.
"""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import pytest

from configs import base
from parallel import sharding
from tools.plan.collectives import collectives
from tools.plan.hlo import Program
from tools.plan.traffic import memory_traffic


def test_a_collective_in_a_loop_counts_as_often_as_the_loop_turns():
  mesh = sharding.make_mesh(base.get_config().mesh)
  split, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (('data',), ()))

  def f(x_BxD):
    def add(total_D, _):
      return jax.lax.with_sharding_constraint(jnp.sin(x_BxD * total_D[None]).sum(0), whole), None

    return jax.lax.scan(add, jnp.ones(x_BxD.shape[1]), None, length=7)[0]

  x_BxD = jax.ShapeDtypeStruct((16, 96), jnp.float32, sharding=split)
  found = collectives(Program(jax.jit(f).lower(x_BxD).compile().as_text()), 8)
  assert [(each.kind, each.bytes, each.times, each.group) for each in found] == [
    ('all-reduce', 96 * 4, 7, tuple(range(8)))
  ]
  assert found[0].sent == 7 * 2 * 7 / 8 * 96 * 4  # a ring passes each eighth on seven times, twice


@pytest.mark.parametrize(
  'start, turns', [('constant(0)', 12), ('constant(1)', 11), ('parameter(1)', 12)]
)
def test_a_loop_whose_first_turn_stands_before_it_turns_once_less(start, turns):
  """As with several slices, where the compiler peels the loop over layers."""
  text = f"""
%condition (state: (s32[], f32[4])) -> pred[] {{
  %limit = s32[] constant(12)
  %state = (s32[], f32[4]{{0}}) parameter(0)
  %turn = s32[] get-tuple-element(%state), index=0
  ROOT %less = pred[] compare(%turn, %limit), direction=LT
}}

%body (state: (s32[], f32[4])) -> (s32[], f32[4]) {{
  %state = (s32[], f32[4]{{0}}) parameter(0)
  %x = f32[4]{{0}} get-tuple-element(%state), index=1
  %y = f32[4]{{0}} custom-call(%x), custom_call_target="tpu_custom_call"
}}

ENTRY %main (x: f32[4]) -> f32[4] {{
  %x = f32[4]{{0}} parameter(0)
  %first = s32[] {start}
  %moved = s32[]{{:T(128)}} copy(%first)
  %begin = (s32[], f32[4]{{0}}) tuple(%moved, %x)
  %loop = (s32[], f32[4]{{0}}) while(%begin), condition=%condition, body=%body
}}
"""
  assert Program(text).kernels() == dict(y=turns)


@pytest.mark.parametrize(
  'groups, expected',
  [
    ('replica_groups={{0,2},{1,3}}', (0, 2)),
    ('replica_groups=[2,4]<=[8]', (0, 1, 2, 3)),
    ('replica_groups=[4,2]<=[2,4]T(1,0)', (0, 4)),
    ("replica_groups=mesh['a'=2,'b'=2,'c'=2] {'a','c'}", (0, 1, 4, 5)),
    ("replica_groups=mesh['a'=2,'b'=1,'c'=4], device_ids=([4,2]T(1,0)) {'a'}", (0, 1)),
    ("replica_groups=mesh['a'=2,'b'=1,'c'=4], device_ids=([4,2]T(1,0)) {'b','c'}", (0, 2, 4, 6)),
  ],
)
def test_groups_are_read_in_each_way_they_are_written(groups, expected):
  text = (
    f'ENTRY %main (x: f32[4]) -> f32[4] {{\n  %x = f32[4]{{0}} parameter(0)\n'
    f'  ROOT %r = f32[4]{{0}} all-reduce(%x), channel_id=1, {groups}, to_apply=%add\n}}\n'
  )
  assert collectives(Program(text), 8)[0].group == expected


def test_what_slices_send_each_other_is_an_all_reduce_of_parts():
  """Within a slice the compiler scatters an array that is reduced;
  each chip then sums its part with other slices.
  """
  text = """
ENTRY %main (x: f32[64,8,128]) -> f32[64,8,128] {
  %x = f32[64,8,128]{2,1,0} parameter(0)
  %start = token[] after-all()
  %send = (f32[64,8,128]{2,1,0}, u32[], token[]) send(%x, %start), channel_id=7, is_host_transfer=true, """ + (
    'frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime",_xla_megascale_reduce_operation="SUM"'
    ',_xla_megascale_target="{1,2}x{0:7}",_xla_megascale_transfer_type="ALL_REDUCE"}\n}\n'
  )
  (found,) = collectives(Program(text), 16)
  assert (found.kind, found.bytes, found.group, found.overlaps, found.what) == (
    'all-reduce',
    64 * 8 * 128 * 4,
    (0, 8),
    True,
    'between slices',
  )
  assert found.sent == found.bytes  # a half to the other slice, and the sum of the other half


def test_bytes_are_those_that_xla_counts_with_the_turns_of_loops():
  w_LxDxD, x_BxD = (
    jax.ShapeDtypeStruct((12, 128, 128), jnp.float32),
    jax.ShapeDtypeStruct((64, 128), jnp.float32),
  )

  def compiled(unroll):
    layers = lambda w, x: jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w, unroll=unroll)[0]
    return jax.jit(layers).lower(w_LxDxD, x_BxD).compile()

  loop, unrolled = compiled(1), compiled(12)
  xla = unrolled.cost_analysis()['bytes accessed']
  assert memory_traffic(Program(unrolled.as_text())) == xla
  # and the counter of the loop
  assert memory_traffic(Program(loop.as_text())) == pytest.approx(xla, rel=0.05)
  assert loop.cost_analysis()['bytes accessed'] < 0.2 * xla  # which is why we count ourselves


@pytest.mark.parametrize(
  'line, moved',
  [
    # A copy beside the units, in two pieces of which this is one:
    # half of the array is read, nothing is written.
    (
      '((f32[8,16]{1,0:T(8,128)}), f32[4,16]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%x), '
      'slice={[0:4], [0:16]}',
      4 * 16 * 4,
    ),
    (
      '((f32[8,16]{1,0}), f32[4,16]{1,0}, s32[]{:S(2)}) slice-start(%x), slice={[0:4], [0:16]}',
      2 * 4 * 16 * 4,
    ),
    ('(f32[8,16]{1,0}, f32[8,16]{1,0:S(1)}, u32[]{:S(2)}) copy-start(%x)', 8 * 16 * 4),
    ('f32[8,16]{1,0} custom-call(), custom_call_target="AllocateBuffer"', 0),
    ('f32[16,16]{1,0} custom-call(%x, %x), custom_call_target="ConcatBitcast"', 0),
    ('f32[8,16]{1,0} custom-call(%x), custom_call_target="tpu_custom_call"', 2 * 8 * 16 * 4),
  ],
)
def test_bytes_of_what_only_the_compiler_for_tpus_writes(line, moved):
  text = f'ENTRY %main (x: f32[8,16]) -> f32[8,16] {{\n  %x = f32[8,16]{{1,0}} parameter(0)\n  %y = {line}\n}}\n'
  assert memory_traffic(Program(text)) == moved


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
  # Its place in the stack, the layer and the number are read, the
  # place is written; the sine stays beside the units.
  assert memory_traffic(Program(text)) == 3 * layer + 4


def test_what_is_on_its_way_beside_other_work_is_written_once_and_not_by_each_piece_of_that_work():
  """A gather is carried through the fusions that run
  meanwhile, as their operand and their result.
  """
  carried = '(f32[4]{0}, f32[32]{0}, f32[32]{0})'
  text = (
    f"""
%start (part: f32[4]) -> {carried} {{
  %part = f32[4]{{0}} parameter(0)
  %gather = f32[32]{{0}} all-gather(%part), channel_id=1, replica_groups={{{{0,1,2,3,4,5,6,7}}}}, dimensions={{0}}
  ROOT %begun = {carried} custom-call(%gather), custom_call_target="AsyncCollectiveStart"
}}

%async_collective_fusion.7 (part: f32[4], whole: f32[32], x: f32[16]) -> (f32[16], f32[4], f32[32], f32[32]) {{
  %part = f32[4]{{0}} parameter(0)
  %whole = f32[32]{{0}} parameter(1)
  %x = f32[16]{{0}} parameter(2)
  %sine = f32[16]{{0}} sine(%x)
  %gather = f32[32]{{0}} all-gather(%part), channel_id=1, replica_groups={{{{0,1,2,3,4,5,6,7}}}}, dimensions={{0}}
  ROOT %all = (f32[16]{{0}}, f32[4]{{0}}, f32[32]{{0}}, f32[32]{{0}}) tuple(%sine, %part, %whole, %gather)
}}

%done (part: f32[4], whole: f32[32]) -> f32[32] {{
  %part = f32[4]{{0}} parameter(0)
  %whole = f32[32]{{0}} parameter(1)
  %gather = f32[32]{{0}} all-gather(%part), channel_id=1, replica_groups={{{{0,1,2,3,4,5,6,7}}}}, dimensions={{0}}
  ROOT %there = f32[32]{{0}} custom-call(%part, %whole, %gather), custom_call_target="AsyncCollectiveDone"
}}

ENTRY %main (part: f32[4], x: f32[16]) -> f32[32] {{
  %part = f32[4]{{0}} parameter(0)
  %x = f32[16]{{0}} parameter(1)
  %begun = {carried} fusion(%part), kind=kCustom, calls=%start
  %whole = f32[32]{{0}} get-tuple-element(%begun), index=1
  %work = (f32[16]{{0}}, f32[4]{{0}}, f32[32]{{0}}, f32[32]{{0}}) fusion(%part, %whole, %x), kind=kOutput, """
    + ('calls=%async_collective_fusion.7')
    + """
  ROOT %there = f32[32]{0} fusion(%part, %whole), kind=kCustom, calls=%done
}
"""
  )
  assert memory_traffic(Program(text)) == 4 * (2 * 16 + 32)  # the sine, and what was gathered
  assert [(each.kind, each.times, each.overlaps) for each in collectives(Program(text), 8)] == [
    ('all-gather', 1, True)
  ]
