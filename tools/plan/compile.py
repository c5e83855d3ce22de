"""A config's training step, compiled for a mesh that need not
be there, and what the compiler says of it.
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
from training.experiment import build_step

ONE_AXIS = base.get_config().mesh  # all devices along data


class DoesNotFit(Exception):
  """The compiler found no way to keep a program in the memory of a chip.

  Attributes:
    needed: bytes that it wants.
  """

  def __init__(self, needed: int):
    super().__init__(f'needs {needed / 2**30:.1f} GiB a chip')
    self.needed = needed


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What one chip holds, moves and says in a step, by the compiler.

  Attributes:
    memory: bytes by what they hold; `temporaries` is the rest at its peak: activations, gradients,
      buffers.
    bytes: read from and written to main memory.
    collectives: what it exchanges, the most bytes first.
    kernels: how often each runs that is ours and not the compiler's.
    seconds: that compiling took.
  """

  memory: dict[str, int]
  bytes: int
  collectives: list[Collective]
  kernels: dict[str, int]
  seconds: float


def compile_step(config, mesh) -> Compiled:
  """Compiles the step that train.py would run.

  Raises:
    DoesNotFit: by the compiler's own plan of its memory.
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
      raise _meaning(error) from error
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
    memory,
    program.bytes(),
    collectives(program, mesh.devices.size),
    program.kernels(),
    time.monotonic() - started,
  )


def count_flops(config, *, remat: str | None = None) -> float:
  """FLOPs of a step over all chips, recomputation included, by XLA's analysis of two depths.

  A loop would be counted once, so layers are unrolled, the vocabulary's logits are one chunk, and
  there is one micro-batch. Nothing is compiled. Attention is counted
  as plain products: of a kernel XLA sees nothing.

  Args:
    remat: in place of the config's.
  """
  config = config.copy_and_resolve_references()
  model = config.model
  if model.scan:  # of the step that is planned, all of the last layer is computed
    model.last_layer = 'whole'
  model.scan, config.accumulate, config.loss_chunk = (
    False,
    1,
    config.batch_size * config.data.sequence_length,
  )
  model.attention, model.remat = (
    'reference' if model.attention_dropout else 'xla',
    remat or model.remat,
  )
  depths = sorted({1, min(2, model.layers)})
  counts = []
  mesh = sharding.make_mesh(ONE_AXIS, jax.devices('cpu')[:1])
  layers = model.layers
  for model.layers in depths:
    run = build_step(config, mesh)
    counts.append(run.step.lower(run.abstract, abstract_batch(run, mesh)).cost_analysis()['flops'])
  return counts[0] + (layers - 1) * (counts[-1] - counts[0])


def attention_of(config, devices) -> str:
  """The implementation of attention that the step takes on such devices."""
  found = []

  def trace():  # devices that are not there can hold no array, but what is traced has none
    found.append(
      attention_in_use(
        ModelConfig(**config.model.to_dict()),
        mask=config.mask,
        packed=not grid.paired(config),
        T=config.data.sequence_length,
      )
    )
    return 0

  with jax.set_mesh(sharding.make_mesh(ONE_AXIS, devices)):
    jax.eval_shape(trace)
  return found[0]


def abstract_batch(run, mesh):
  """The shapes of a step's global batch, with shardings."""
  sharding_B = sharding.batch_sharding(mesh)
  return {
    name: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding_B)
    for name, x in run.batch.items()
  }


def _meaning(error: Exception) -> Exception:
  """What the compiler's complaint about memory says; any other complaint as it is."""
  found = re.search(r'(?:required|Used)\D*?([\d.]+)([KMGT])\b', str(error))
  if 'RESOURCE_EXHAUSTED' not in str(error) or not found:
    return error
  return DoesNotFit(int(float(found[1]) * 2 ** (10 * (1 + 'KMGT'.index(found[2])))))
