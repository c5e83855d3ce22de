"""A config's training step, compiled for devices that need not be here, and what the compiler says.

The message of the TPU compiler about memory was read with libtpu 0.0.42.1.
"""

import dataclasses
import re
import time

import jax

from configs import base
from configs.schema import grid
from models.config import ModelConfig
from models.network import attention_in_use
from parallel import sharding
from tools.plan.collectives import Collective, collectives
from tools.plan.hlo import Program
from tools.plan.traffic import memory_traffic
from training.bare_step import build_step

ONE_AXIS = base.get_config().mesh  # all devices along data

# What a program needs of a chip's memory, in the compiler's refusal; not the chip's own size, which
# stands behind it.
#   RESOURCE_EXHAUSTED: ... Ran out of memory in memory space hbm. Used 21.42G of 15.75G hbm.
_NEEDED = re.compile(r'(?:required|Used)\D*?([\d.]+)([KMGT])\b')


class DoesNotFit(Exception):
  """The compiler cannot keep a program in the memory of a chip.

  Attributes:
    needed: bytes that the program needs.
  """

  def __init__(self, needed: int):
    super().__init__(f'needs {needed / 2**30:.1f} GiB a chip')
    self.needed = needed


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What one chip holds, moves and exchanges in a step, by the compiler.

  Attributes:
    memory: {what: bytes}; `temporaries` is the peak of the rest: activations, gradients, buffers.
    bytes: read from and written to main memory.
    collectives: the most bytes first.
    kernels: {name: times that it runs} of those that are ours and not the compiler's.
    seconds: that the compilation took.
  """

  memory: dict[str, int]
  bytes: int
  collectives: list[Collective]
  kernels: dict[str, int]
  seconds: float


def compile_step(config, mesh) -> Compiled:
  """Compiles the step that train.py would run.

  Raises:
    DoesNotFit: the compiler's plan of the memory exceeds a chip.
  """
  started = time.monotonic()
  run = build_step(config, mesh)
  batch = abstract_batch(run, mesh)
  platform = mesh.devices.flat[0].platform
  with jax.set_mesh(mesh):
    lowered = run.step.trace(run.abstract, batch).lower(lowering_platforms=(platform,))
    try:
      compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
      if does_not_fit := _out_of_memory(error):
        raise does_not_fit from error
      raise
  planned, program = compiled.memory_analysis(), Program(compiled.as_text())
  share = sharding.bytes_a_device
  memory = dict(
    parameters=share(run.abstract.params),
    optimiser=share(run.abstract.opt_state),
    average=share(run.abstract.average),
    batch=share(batch),
    temporaries=planned.temp_size_in_bytes,
    program=planned.generated_code_size_in_bytes,
  )
  return Compiled(
    memory=memory,
    bytes=memory_traffic(program),
    collectives=collectives(program, mesh.devices.size),
    kernels=program.kernels(),
    seconds=time.monotonic() - started,
  )


def count_flops(config, *, remat: str | None = None) -> float:
  """FLOPs of a step over all chips, recomputation included, by XLA's analysis.

  XLA counts a loop once, so layers are unrolled, the vocabulary's logits are one chunk, and there
  is one micro-batch. Networks of one and of two layers are lowered, and the count is extrapolated
  to the config's depth, for global layers and for those with a window. Nothing is compiled.
  Attention is counted as plain products: XLA sees nothing of a kernel.

  Args:
    remat: a policy in place of the config's.
  """
  config = config.copy_and_resolve_references()
  model, layers = config.model, config.model.layers
  if model.scan:  # scanned layers all compute whole rows, the last one too
    model.last_layer = 'whole'
  model.scan = False
  model.attention = 'reference' if model.attention_dropout else 'xla'
  model.remat = remat or model.remat
  config.accumulate = 1
  config.loss_chunk = config.batch_size * config.data.sequence_length
  one_layer = _flops_at_depth(config, 1)
  if layers == 1:
    return one_layer
  every = model.global_every
  if not model.window or not every:  # all layers are alike
    return one_layer + (layers - 1) * (_flops_at_depth(config, 2) - one_layer)
  whole = sum(layer % every == 0 for layer in range(1, layers))
  total = one_layer + (layers - 1 - whole) * (_flops_at_depth(config, 2) - one_layer)
  model.window, model.global_every, model.window_rotary_base = 0, 1, 0.0
  return total + whole * (_flops_at_depth(config, 2) - one_layer)


def _flops_at_depth(config, layers: int) -> float:
  config.model.layers = layers
  mesh = sharding.make_mesh(ONE_AXIS, jax.devices('cpu')[:1])
  run = build_step(config, mesh)
  return run.step.lower(run.abstract, abstract_batch(run, mesh)).cost_analysis()['flops']


def attention_of(config, devices) -> str:
  """The implementation of attention that a config's step takes on such devices."""
  found = []

  def trace():  # only traced: devices that are not here hold no arrays
    name = attention_in_use(
      ModelConfig(**config.model.to_dict()),
      mask=config.mask,
      packed=not grid.paired(config),
      T=config.data.sequence_length,
    )
    found.append(name)
    return 0

  with jax.set_mesh(sharding.make_mesh(ONE_AXIS, devices)):
    jax.eval_shape(trace)
  return found[0]


def abstract_batch(run, mesh):
  """The shapes of a step's global batch, sharded over the mesh."""
  sharding_B = sharding.batch_sharding(mesh)
  return {
    name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding_B)
    for name, x in run.batch.items()
  }


def _out_of_memory(error: Exception) -> DoesNotFit | None:
  """What the compiler says about memory; None if it complains about anything else."""
  needed = _NEEDED.search(str(error))
  if 'RESOURCE_EXHAUSTED' not in str(error) or not needed:
    return None
  number, unit = needed.groups()
  power = 1 + 'KMGT'.index(unit)
  return DoesNotFit(int(float(number) * 2 ** (10 * power)))
