"""Other meshes, micro-batches and recomputation for a config:
which are worth compiling, in closed form.
"""

import dataclasses
import itertools
import math

import jax

from configs.schema import check, grid, meshes
from models.config import ModelConfig
from parallel import sharding
from tools.plan.chips import Topology
from tools.plan.compile import ONE_AXIS
from training import budget, cost
from training.experiment import build_step

# Of the forward pass, what each policy repeats in the backward pass.
_REPEATED = dict(none=0.0, dots=0.05, full=1.0)
# the closed form of activations is rough: what it says needs this much more may still fit
_SLACK = 1.5


@dataclasses.dataclass(frozen=True)
class Candidate:
  """Knobs, and what the closed form says of them.

  Attributes:
    knobs: values by the full names of config fields.
    bytes: of memory, a chip.
    seconds: of a step, for ranking only.
  """

  knobs: dict
  bytes: float
  seconds: float


def candidates(config, topology: Topology, *, fused: bool) -> list[Candidate]:
  """Every mesh, micro-batch and policy that the batch allows and
  that may fit, the fastest by closed form first.

  Args:
    fused: a kernel computes attention, so that no row of scores ever exists.
  """
  params, period = parameters(config), grid.period(config)
  found = []
  sizes = _divisors(topology.size)
  remats = (
    check.CHOICES['model.remat'] if meshes.recomputes(config, topology.platform) else ('none',)
  )
  for tensor, fsdp, remat in itertools.product(sizes, sizes, remats):
    if topology.size % (tensor * fsdp) or config.model.heads % tensor or tensor > 8:
      continue
    for accumulate in _divisors(config.batch_size):
      mesh = {
        'mesh.data': topology.size // tensor // fsdp,
        'mesh.fsdp': fsdp,
        'mesh.tensor': tensor,
      }
      rows = config.batch_size // (mesh['mesh.data'] * fsdp)
      if config.batch_size % (mesh['mesh.data'] * fsdp * accumulate * period) or not rows:
        continue
      knobs = mesh | {'accumulate': accumulate, 'model.remat': remat}
      each = estimate(config, topology, knobs, params=params, fused=fused)
      if topology.chip is None or each.bytes < _SLACK * topology.chip.hbm_bytes:
        found.append(each)
  return sorted(found, key=lambda each: (each.seconds, each.knobs['accumulate']))


def estimate(config, topology: Topology, knobs: dict, *, params: int, fused: bool) -> Candidate:
  """Memory and time of a step in closed form: float32 state,
  rough activations, rings for each mesh axis.
  """
  data, fsdp, tensor = (knobs[f'mesh.{axis}'] for axis in ('data', 'fsdp', 'tensor'))
  accumulate, remat = knobs['accumulate'], knobs['model.remat']
  model = dataclasses.replace(ModelConfig(**config.model.to_dict()), remat=remat)
  T, chips = config.data.sequence_length, topology.size
  rows = config.batch_size // (data * fsdp)
  params /= fsdp * tensor
  held = cost.state_bytes(1, bool(config.optimizer.average)) * params
  held += (
    cost.activation_bytes(model, rows // accumulate, T, config.loss_chunk, fused=fused) / tensor
  )
  chip = topology.chip
  if chip is None:
    return Candidate(knobs, held, 0.0)
  width = 2 if config.model.dtype == 'bfloat16' else 4
  flops = (
    config.batch_size * T * budget.mean_flops_per_token(config, T) * (1 + _REPEATED[remat] / 3)
  )
  sent = 2 * width * params * (data > 1)  # gradients
  sent += 3 * width * params * fsdp * accumulate * (fsdp > 1)  # parameters twice, gradients once
  sent += 8 * width * rows * T * model.width * model.layers * (tensor > 1)  # activations, both ways
  # of the state, by the optimiser and by each micro-batch
  moved = (7 + 4 * accumulate) * 4 * params
  # What is kept is written on the way forward and read on the way
  # back; much of it is as wide with tensor as without.
  moved += 2 * cost.activation_bytes(model, rows, T, 0, fused=fused)
  return Candidate(
    knobs, held, flops / chips / chip.flops + sent / (2 * chip.link) + moved / chip.hbm_bandwidth
  )


def parameters(config) -> int:
  """How many a config has."""
  mesh = sharding.make_mesh(ONE_AXIS, jax.devices('cpu')[:1])
  return sum(math.prod(x.shape) for x in jax.tree.leaves(build_step(config, mesh).abstract.params))


def _divisors(number: int) -> list[int]:
  return [each for each in range(1, number + 1) if number % each == 0]
