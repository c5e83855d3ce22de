"""What is said of a step before it runs, and how its arrays are split."""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import pytest
import small

from configs import base
from configs.schema import grid
from models.config import ModelConfig
from models.network import example_batch, make_network
from objectives.corrupt import Masking
from objectives.mix import make_objective
from objectives.term import Setup, Vocabulary
from parallel import sharding
from training import budget, cost, plan

CELLS = ('bidirectional+mlm+nsp', 'causal+clm', 'prefix+mntp')


@pytest.mark.parametrize('text', CELLS)
def test_the_closed_form_of_flops_agrees_with_the_compiler(text):
  """At the width and vocabulary of BERT-base, two layers; nothing is run, only counted."""
  cell, B, T, V = grid.cell_of(text), 2, 128, 30_522
  config = base.get_config()
  config.model.update(layers=2, scan=False, dropout=0.0, attention_dropout=0.0)
  masking = Masking(**config.mlm.to_dict())
  objective = make_objective(
    dict(cell.weights),
    Setup(Vocabulary.any_of(V), masking, B * T, prefix=cell.mask == 'prefix'),
  )
  network = make_network(
    ModelConfig(**config.model.to_dict()), mask=cell.mask, packed=False, heads=objective.heads
  )
  batch = example_batch(B, T, masking.predictions(T)) | dict(label=jnp.zeros(B, int))
  params = jax.eval_shape(lambda: network.init(jax.random.key(0), batch))

  def loss(params, batch):
    batch = objective.prepare(jax.random.key(0), batch, jnp.arange(B))
    return sum(
      term['loss'].total for term in objective.terms(network.apply(params, batch), batch).values()
    )

  compiler = jax.jit(jax.grad(loss)).lower(params, batch).cost_analysis()['flops']
  ours = B * T * budget.flops_per_token(config, cell, T)
  # the compiler also counts softmax, norms and activations
  assert 0.99 * compiler < ours < compiler


def choose(**changes):
  config = small.model(
    'bert_base', width=768, feed_forward=3072, heads=12, layers=12, vocab_size=30522
  )
  return cost.choose_accumulate(
    config,
    **dict(
      batch_size=256,
      T=128,
      chunk=2048,
      devices=1,
      params=110_000_000,
      average=False,
      flops_a_token=6e8,
      platform='gpu',
      memory=80 * 2**30,
      fused=False,
    )
    | changes,
  )


def test_micro_batches_are_as_few_as_memory_allows():
  assert choose() == 1
  halves = [choose(memory=2**30 * size) for size in (80, 24, 8, 4)]
  assert halves == sorted(halves) and 1 < halves[-1] <= 256 and 256 % halves[-1] == 0
  assert choose(memory=24 * 2**30, devices=8) < choose(memory=24 * 2**30)
  assert choose(memory=1) == 256  # a row at a time is the least; the device says the rest


def test_on_a_cpu_a_micro_batch_takes_seconds_and_not_minutes():
  assert choose(platform='cpu') == 64 and choose(platform='cpu', flops_a_token=6e6) == 1


@pytest.mark.parametrize(
  'letters, shape, expected',
  [
    (('B', 'T'), (16, 8), (('data', 'fsdp'), None)),
    (('V', 'E'), (50, 32), ('tensor', 'fsdp')),
    (('V', 'E'), (51, 32), (None, 'fsdp')),  # an axis that does not divide stays whole
    (('D', 'H', 'K'), (32, 4, 8), ('fsdp', 'tensor', None)),
    (('D', 'F'), (32, 64), ('fsdp', 'tensor')),
    (('L', 'D', 'D'), (2, 32, 32), (None, 'fsdp', None)),  # an array uses a mesh axis once
    ((None, 'K'), (3, 8), (None, None)),
    ((), (), ()),
  ],
)
def test_letters_decide_how_an_array_is_split(letters, shape, expected):
  config = base.get_config().mesh
  config.update(data=2, fsdp=2, tensor=2)
  assert sharding.spec(sharding.make_mesh(config), letters, shape) == PartitionSpec(*expected)


def test_the_time_that_is_left_counts_each_phase_at_its_length():
  split = plan.Plan(1, 'xla', {}, {128: 2.0, 512: 10.0})
  phases = ((0, 128), (900, 512))
  assert [split.seconds(phases, first, 1_000) for first in (0, 899, 900, 950, 1_000)] == [
    2_800,
    1_002,
    1_000,
    500,
    0,
  ]
  assert split.seconds(((0, 512),), 3, 10) == 70
