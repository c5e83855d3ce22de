"""The plan of one config on one topology: compiled, counted, bounded."""

import dataclasses

import jax

from configs.schema import check, grid, meshes
from models.attention import KERNELS
from models.config import ModelConfig
from parallel import sharding
from tools.plan import compile, roofline, search
from tools.plan.chips import Topology
from tools.plan.collectives import Collective
from training import budget, cost

DAY = 86_400  # seconds


def set_knobs(config, knobs: dict[str, object]):
  """A checked copy of a config with other values: {full name of a field: value}.

  Raises:
    ConfigError: the config cannot be.
  """
  config = config.copy_and_resolve_references()
  for name, value in knobs.items():
    group, _, leaf = name.rpartition('.')
    setattr(config[group] if group else config, leaf, value)
  check.check(config)
  return config.lock()


def command_line(knobs: dict[str, object]) -> str:
  """The same knobs as flags of train.py."""
  return ' '.join(f'--config.{name}={value}' for name, value in knobs.items())


def fit_accumulate(config, topology: Topology, *, fused: bool):
  """The config with the number of micro-batches that a run on these chips would choose.

  That is 1 on simulated devices, whose memory is unknown.

  Args:
    fused: a kernel computes attention, so the scores of a row are never in memory.
  """
  if config.accumulate:
    return config
  if not topology.chip:
    return set_knobs(config, dict(accumulate=1))
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
  """What is known of a config's step on a topology before it runs, as plain JSON.

  `fits`, times and utilisation are None on simulated devices; collectives and times are None if the
  step does not fit.

  Args:
    devices: of the topology.
    counted: `count_flops` of the config, if the caller knows it already.
  """
  config = budget.settle(config)
  meshes.check(config, topology.size, 1, topology.platform)
  attention = compile.attention_of(config, devices)
  config = fit_accumulate(config, topology, fused=attention in KERNELS)
  mesh, chip = sharding.make_mesh(config.mesh, devices), topology.chip
  plan = dict(
    config=config.name,
    topology=topology.name,
    chips=topology.size,
    mesh=dict(mesh.shape),
    rows=config.batch_size,
    tokens_a_row=config.data.sequence_length,
    accumulate=config.accumulate,
    remat=config.model.remat,
    dtype=config.model.dtype,
    attention=attention,
    loss_chunk=config.loss_chunk,
    hbm_bytes_of_a_chip=chip and chip.hbm_bytes,
    model_flops_per_step=_model_flops(config),
    flops_per_step=compile.count_flops(config) if counted is None else counted,
    collectives=None,
    predicted_step_seconds=None,
    predicted_utilisation=None,
  )
  try:
    compiled = compile.compile_step(config, mesh)
  except compile.DoesNotFit as error:
    return plan | dict(fits=False, hbm_bytes_per_chip=error.needed)
  total = sum(compiled.memory.values())
  plan |= dict(
    fits=chip and total <= chip.hbm_bytes,
    hbm_bytes_per_chip=total,
    memory=compiled.memory,
    compile_seconds=compiled.seconds,
    bytes_per_step_per_chip=compiled.bytes,
    kernels=compiled.kernels,
    collectives=[_collective_json(each) for each in compiled.collectives],
  )
  if chip is None:
    return plan
  bound = roofline.bound(
    topology,
    mesh.devices.flat,
    flops=plan['flops_per_step'] / topology.size,
    bytes=compiled.bytes,
    exchanged=compiled.collectives,
  )
  return plan | _times(config, topology, bound)


def _model_flops(config) -> float:
  """FLOPs of a step in closed form, without recomputation."""
  T = config.data.sequence_length
  return config.batch_size * T * budget.mean_flops_per_token(config, T)


def _collective_json(each: Collective) -> dict:
  return dict(
    kind=each.kind,
    bytes=each.bytes,
    times=each.times,
    group=len(each.group),
    overlaps=each.overlaps,
    sent_bytes=each.sent,
    what=each.what,
  )


def _times(config, topology: Topology, bound: roofline.Bound) -> dict:
  """The part of a plan that follows from the bound on the time of a step."""
  model_flops, peak = _model_flops(config), topology.chip.flops * topology.size
  tokens = config.batch_size * config.data.sequence_length
  return dict(
    predicted_step_seconds=bound.step,
    bound_by=bound.why,
    seconds=dataclasses.asdict(bound),
    predicted_utilisation=model_flops / (bound.step * peak),
    tokens_per_day=tokens / bound.step * DAY,
    days=budget.spending(config)['flops'] / model_flops * bound.step / DAY,
    steps=config.steps,
  )


def agreement(config, *, counted: float | None = None) -> float:
  """XLA's count of a step's FLOPs without recomputation, over the closed form.

  Args:
    counted: `count_flops` of the config, if known; the same count if its remat policy is none.
  """
  if counted is None or config.model.remat != 'none':
    counted = compile.count_flops(config, remat='none')
  return counted / _model_flops(config)


def start(topology: Topology):
  """The topology's devices. jax still computes on the CPU if they are not here.

  Raises:
    DeviceError: the TPU compiler is needed and not installed.
  """
  devices = topology.devices()
  # A program for other machines must not enter this machine's cache.
  jax.config.update('jax_enable_compilation_cache', False)
  return devices
