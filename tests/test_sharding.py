"""What is split is really split: bytes a device holds, and what devices send each other."""

import importlib
import re

import jax
import numpy as np
import pytest

from configs import base
from parallel import sharding
from training.bare_step import build_step

B, T, V, D = 32, 64, 4_096, 128


def made(name: str, mesh_name: str, scan: bool = True):
  """(mesh, bare) of a published config in everything but size."""
  config = importlib.import_module(f'configs.{name}').get_config(f'mesh={mesh_name}')
  config.model.update(
    layers=4, width=D, heads=8, feed_forward=512, vocab_size=V, max_length=T, scan=scan
  )
  config.data.update(sequence_length=T, short_length=0, short_share=0.0)
  config.update(batch_size=B, steps=100, loss_chunk=64)
  mesh = sharding.make_mesh(config.mesh)
  return mesh, build_step(config, mesh)


@pytest.mark.parametrize(
  'mesh_name, parts', [('fsdp', 8), ('data2+fsdp', 4), ('fsdp+tensor2', 8), ('tensor', 8)]
)
@pytest.mark.parametrize('name', ['bert_base', 'gpt2_small'])
def test_a_device_holds_its_part_of_parameters_and_optimiser(name, mesh_name, parts):
  mesh, run = made(name, mesh_name)
  leaves = jax.tree.leaves(run.abstract)
  whole = sum(leaf.size for leaf in leaves)
  here = sum(np.prod(leaf.sharding.shard_shape(leaf.shape), dtype=int) for leaf in leaves)
  # What has no letter of the mesh stays whole: with tensor, positions and norms.
  assert whole / parts <= here < 1.25 * whole / parts


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, scan', [('bert_base', True), ('bert_base', False), ('gpt2_small', True)]
)
def test_under_fsdp_devices_send_parameters_and_no_activations_and_the_table_once(name, scan):
  mesh, run = made(name, 'fsdp', scan)
  with jax.set_mesh(mesh):
    batch = {
      key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding.batch_sharding(mesh))
      for key, x in run.batch.items()
    }
    compiled = run.step.lower(run.abstract, batch).compile()
  sent = re.findall(
    r'= (\S.*?) (all-gather|all-reduce|reduce-scatter)(?:-start)?\(', compiled.as_text()
  )
  assert len(sent) > 10
  shapes = [
    (kind, shape) for kinds, kind in sent for shape in re.findall(r'f32\[([\d,]*)\]', kinds)
  ]
  # The whole batch of anything that has more than one position a
  # row: T of the network, P of what is hidden.
  activations = [
    (kind, shape) for kind, shape in shapes if re.match(rf'{B},({T}|[2-9]|1\d),', shape)
  ]
  assert not activations
  assert shapes.count(('all-gather', f'{V},{D}')) == 1


def test_processes_hold_neighbouring_or_scattered_rows_as_the_mesh_says():
  mesh = sharding.make_mesh(base.get_config().mesh)
  np.testing.assert_array_equal(sharding.rows_here(mesh, 16), np.arange(16))
  np.testing.assert_array_equal(sharding.rows_counted(mesh, 16), np.arange(16))
  placed = sharding.shard_batch(dict(x=np.arange(32).reshape(16, 2)), mesh)['x']
  np.testing.assert_array_equal(placed, np.arange(32).reshape(16, 2))
  assert {shard.data.shape for shard in placed.addressable_shards} == {(2, 2)}


class Chip:
  """A TPU as jax describes it, for placing only."""

  platform, process_index, core_on_chip = 'tpu', 0, 0

  def __init__(self, kind: str, coords: tuple[int, ...], slice_index: int = 0):
    self.device_kind, self.coords, self.slice_index = kind, coords, slice_index


def test_slices_share_the_first_axes_of_a_mesh_because_the_network_between_them_is_slow():
  chips = [
    Chip('TPU v5 lite', (x, y, 0), each) for each in range(2) for y in range(4) for x in range(2)
  ]
  placed = sharding.arrange(dict(data=4, fsdp=4, tensor=1), chips)
  assert placed.shape == (4, 4, 1) and {*placed.flat} == {*chips}
  assert [{chip.slice_index for chip in row} for row in placed[:, :, 0]] == [{0}, {0}, {1}, {1}]
  alone = sharding.arrange(dict(data=1, fsdp=16, tensor=1), chips)
  assert [chip.slice_index for chip in alone.flat] == [0] * 8 + [1] * 8


@pytest.mark.parametrize('kind', ['TPU v4', 'TPU v5', 'TPU v5 lite'])
def test_an_axis_may_be_a_part_of_one_of_the_torus(kind):
  chips = [Chip(kind, (x, y, z)) for z in range(4) for y in range(4) for x in range(4)]
  placed = sharding.arrange(dict(data=8, fsdp=8, tensor=1), chips)
  assert placed.shape == (8, 8, 1) and {*placed.flat} == {*chips}
