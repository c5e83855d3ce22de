"""Which meshes, micro-batches and remat policies are worth compiling, by closed form."""

from collections.abc import Iterator
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
from training.bare_step import build_step

# The share of the forward pass that each remat policy repeats in the backward pass.
_REPEATED = dict(none=0.0, dots=0.05, full=1.0)
# The closed form of activations is rough: a config that needs this much more than the memory of a
# chip by it may still fit.
_SLACK = 1.5
# More chips that share the heads of a layer exchange too much to be worth a trial.
_MOST_TENSOR = 8


@dataclasses.dataclass(frozen=True)
class Candidate:
  """Knobs, and what the closed form says of them.

  Attributes:
    knobs: values by the full names of config fields.
    bytes: of memory that a chip holds.
    seconds: of a step; good for ranking only.
  """

  knobs: dict
  bytes: float
  seconds: float


def candidates(config, topology: Topology, *, fused: bool) -> list[Candidate]:
  """Every mesh, micro-batch and policy that the batch allows and that may fit, the fastest first.

  Args:
    fused: a kernel computes attention, so the scores of a row are never in memory.
  """
  params, chip = parameters(config), topology.chip
  found = []
  for knobs in _allowed_knobs(config, topology):
    candidate = estimate(config, topology, knobs, params=params, fused=fused)
    if chip is None or candidate.bytes < _SLACK * chip.hbm_bytes:
      found.append(candidate)
  return sorted(found, key=lambda each: (each.seconds, each.knobs['accumulate']))


def _allowed_knobs(config, topology: Topology) -> Iterator[dict]:
  """Every combination that divides the chips, the heads and the rows of a batch."""
  period = grid.period(config)  # rows of a micro-batch are whole periods of the schedule
  sizes = _divisors(topology.size)
  policies = ('none',)
  if meshes.recomputes(config, topology.platform):
    policies = check.CHOICES['model.remat']
  for tensor, fsdp, remat in itertools.product(sizes, sizes, policies):
    if tensor > _MOST_TENSOR or config.model.heads % tensor:
      continue
    if topology.size % (tensor * fsdp):
      continue
    data = topology.size // tensor // fsdp
    for accumulate in _divisors(config.batch_size):
      if config.batch_size % (data * fsdp * accumulate * period) == 0:
        yield {
          'mesh.data': data,
          'mesh.fsdp': fsdp,
          'mesh.tensor': tensor,
          'accumulate': accumulate,
          'model.remat': remat,
        }


def estimate(config, topology: Topology, knobs: dict, *, params: int, fused: bool) -> Candidate:
  """Memory and time of a step in closed form.

  State is float32, activations are rough, collectives are rings along each mesh axis.

  Args:
    params: of the whole network.
    fused: a kernel computes attention.
  """
  data, fsdp, tensor = (knobs[f'mesh.{axis}'] for axis in ('data', 'fsdp', 'tensor'))
  accumulate, remat = knobs['accumulate'], knobs['model.remat']
  model = dataclasses.replace(ModelConfig(**config.model.to_dict()), remat=remat)
  T, chip = config.data.sequence_length, topology.chip
  rows = config.batch_size // (data * fsdp)
  params /= fsdp * tensor
  state = cost.state_bytes(1, bool(config.optimizer.average)) * params
  activations = cost.activation_bytes(model, rows // accumulate, T, config.loss_chunk, fused=fused)
  held = state + activations / tensor
  if chip is None:
    return Candidate(knobs, held, 0.0)
  repeated = 1 + _REPEATED[remat] / 3  # the forward pass is a third of a step
  flops = config.batch_size * T * budget.mean_flops_per_token(config, T) * repeated
  width = 2 if config.model.dtype == 'bfloat16' else 4
  # Gradients; parameters twice and gradients once; activations, both ways.
  sent = 2 * width * params * (data > 1)
  sent += 3 * width * params * fsdp * accumulate * (fsdp > 1)
  sent += 8 * width * rows * T * model.width * model.layers * (tensor > 1)
  # The state, by the optimiser and by each micro-batch.
  moved = (7 + 4 * accumulate) * 4 * params
  # What is kept is written in the forward pass and read in the backward pass; much of it is as wide
  # with tensor parallelism as without.
  moved += 2 * cost.activation_bytes(model, rows, T, 0, fused=fused)
  seconds = flops / topology.size / chip.flops + sent / (2 * chip.link) + moved / chip.hbm_bandwidth
  return Candidate(knobs, held, seconds)


def parameters(config) -> int:
  """How many parameters the network of a config has; nothing is computed."""
  mesh = sharding.make_mesh(ONE_AXIS, jax.devices('cpu')[:1])
  return sum(math.prod(x.shape) for x in jax.tree.leaves(build_step(config, mesh).abstract.params))


def _divisors(number: int) -> list[int]:
  return [each for each in range(1, number + 1) if number % each == 0]
