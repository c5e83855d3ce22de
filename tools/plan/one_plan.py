"""The plan of one config on one topology: compiled, counted, bounded."""

import dataclasses

import jax

from configs.schema import check, grid, meshes
from models.attention import KERNELS
from models.config import ModelConfig
from parallel import sharding
from tools.plan import compile, roofline, search
from tools.plan.chips import Topology
from training import budget, cost

DAY = 86_400


def set_knobs(config, knobs: dict[str, object]):
  """A copy of a checked config with other values, by their full names."""
  config = config.copy_and_resolve_references()
  for name, value in knobs.items():
    group, _, leaf = name.rpartition('.')
    setattr(config[group] if group else config, leaf, value)
  check.check(config)
  return config.lock()


def command_line(knobs: dict[str, object]) -> str:
  """Those knobs as flags."""
  return ' '.join(f'--config.{name}={value}' for name, value in knobs.items())


def fit_accumulate(config, topology: Topology, *, fused: bool):
  """The config with the micro-batches that a run on such chips would
  choose; one on simulated ones, of unknown memory.

  Args:
    fused: a kernel computes attention, so that no row of scores ever exists.
  """
  if config.accumulate:
    return config
  chosen = 1
  if topology.chip:
    mesh, T = meshes.sizes(config.mesh, topology.size), config.data.sequence_length
    chosen = cost.choose_accumulate(
      ModelConfig(**config.model.to_dict()),
      batch_size=config.batch_size,
      T=T,
      chunk=config.loss_chunk,
      devices=mesh['data'] * mesh['fsdp'],
      params=search.parameters(config) // mesh['fsdp'],
      average=bool(config.optimizer.average),
      flops_a_token=budget.mean_flops_per_token(config, T),
      platform=topology.platform,
      memory=topology.chip.hbm_bytes,
      fused=fused,
      period=grid.period(config),
    )
  return set_knobs(config, dict(accumulate=chosen))


def make_plan(config, topology: Topology, devices, *, counted: float | None = None) -> dict:
  """Everything that is known of a config's step on a topology before it runs, as plain JSON.

  `fits`, times and utilisation are None where the chip is a simulated
  one; collectives and times where it does not fit.

  Args:
    counted: `count_flops` of the config, where the caller knows it already.
  """
  config = budget.settle(config)
  meshes.check(config, topology.size, 1, topology.platform)
  attention = compile.attention_of(config, devices)
  config = fit_accumulate(config, topology, fused=attention in KERNELS)
  mesh = sharding.make_mesh(config.mesh, devices)
  chip, T = topology.chip, config.data.sequence_length
  model_flops = config.batch_size * T * budget.mean_flops_per_token(config, T)
  plan = dict(
    config=config.name,
    topology=topology.name,
    chips=topology.size,
    mesh=dict(mesh.shape),
    rows=config.batch_size,
    tokens_a_row=T,
    accumulate=config.accumulate,
    remat=config.model.remat,
    dtype=config.model.dtype,
    attention=attention,
    loss_chunk=config.loss_chunk,
    hbm_bytes_of_a_chip=chip and chip.hbm_bytes,
    model_flops_per_step=model_flops,
    flops_per_step=compile.count_flops(config) if counted is None else counted,
    collectives=None,
    predicted_step_seconds=None,
    predicted_utilisation=None,
  )
  try:
    made = compile.compile_step(config, mesh)
  except compile.DoesNotFit as error:
    return plan | dict(fits=False, hbm_bytes_per_chip=error.needed)
  total = sum(made.memory.values())
  plan |= dict(
    fits=chip and total <= chip.hbm_bytes,
    hbm_bytes_per_chip=total,
    memory=made.memory,
    compile_seconds=made.seconds,
    bytes_per_step_per_chip=made.bytes,
    kernels=made.kernels,
    collectives=[
      dict(
        kind=each.kind,
        bytes=each.bytes,
        times=each.times,
        group=len(each.group),
        overlaps=each.overlaps,
        sent_bytes=each.sent,
        what=each.what,
      )
      for each in made.collectives
    ],
  )
  if chip is None:
    return plan
  bound = roofline.bound(
    topology,
    mesh.devices.flat,
    flops=plan['flops_per_step'] / topology.size,
    bytes=made.bytes,
    exchanged=made.collectives,
  )
  tokens = config.batch_size * T / bound.step * DAY
  return plan | dict(
    predicted_step_seconds=bound.step,
    bound_by=bound.why,
    seconds=dataclasses.asdict(bound),
    predicted_utilisation=model_flops / (bound.step * chip.flops * topology.size),
    tokens_per_day=tokens,
    days=budget.spending(config)['flops'] / model_flops * bound.step / DAY,
    steps=config.steps,
  )


def agreement(config, *, counted: float | None = None) -> float:
  """XLA's count of a step without recomputation, over the closed form.

  Args:
    counted: `count_flops` of the config, which is that count
      already where nothing is computed again.
  """
  T = config.data.sequence_length
  if counted is None or config.model.remat != 'none':
    counted = compile.count_flops(config, remat='none')
  return counted / (config.batch_size * T * budget.mean_flops_per_token(config, T))


def start(topology: Topology):
  """The topology's devices; jax still computes on the CPU where they are not there."""
  devices = topology.devices()
  # a program for other machines is of no use to this one
  jax.config.update('jax_enable_compilation_cache', False)
  return devices
