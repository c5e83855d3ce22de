"""What a step costs before it is run: FLOPs in closed form,
memory, micro-batches, and a first ETA.
"""

import math
import os
import time

import jax
import jax.numpy as jnp

from models.config import ModelConfig
from models.heads import head_of

# On a CPU a micro-batch stays under this, so that a laptop shows progress within a long step. A
# constant and not a measured speed: the choice must be the same
# each time, because it decides the order of sums.
_CPU_MICRO_BATCH_FLOPS = 5e11
_MEMORY_SHARE = 0.7  # of the device's memory that a step may be expected to take


def flops_per_token(config: ModelConfig, heads: tuple[str, ...], T: int, predictions: int) -> float:
  """Training FLOPs (forward and backward, a multiply-add
  counts two) a position of a row of T tokens.

  Matrix products only, attention over the whole row whatever the mask, no recomputation. A last
  layer that is read at a few positions counts with these.

  Args:
    heads: names of `models.heads.HEADS` that run.
    predictions: P, predictions of the mlm head a row.
  """
  D, E, H, G, K, F = config.width, config.E, config.heads, config.G, config.K, config.feed_forward
  own = {name: head_of(config, name) for name in heads}
  positions = {name: head.positions(T, predictions) for name, head in own.items()}

  keys_and_values = D * G * K * 2
  rest_of_layer = D * H * K * 2 + D * F * (3 if config.gated else 2) + 2 * T * H * K
  forward = config.layers * (keys_and_values + rest_of_layer) + (E * D if E != D else 0)
  read = sum(positions.values())
  if config.selective and heads and all(count < T for count in positions.values()):
    forward -= (1 - min(1, read / T)) * rest_of_layer  # of the last layer
  for name, head in own.items():
    forward += head.products(config, positions[name]) / T
  return 3 * 2 * forward


def activation_bytes(config: ModelConfig, B: int, T: int, chunk: int, *, fused: bool) -> float:
  """Rough bytes that the backward pass of B rows keeps:
  counted from the reference network's residuals.

  Args:
    fused: a kernel computes attention, so that no row of scores ever exists.
  """
  size = 2 if config.dtype == 'bfloat16' else 4
  D, HK, GK = config.width, config.heads * config.K, config.G * config.K
  layer = (
    14 * D
    + (4 if config.gated else 3) * config.feed_forward
    + (0 if fused else 3 * config.heads * T)
  )
  kept = dict(
    none=config.layers * layer,
    dots=config.layers * (3 * D + HK + 2 * GK + (2 if config.gated else 1) * config.feed_forward)
    + layer,
    full=config.layers * D + layer,
  )[config.remat]
  return B * T * size * kept + 3 * 4 * chunk * config.vocab_size


def state_bytes(params: int, average: bool) -> int:
  """Parameters, gradient and two moments in float32."""
  return 4 * params * (5 if average else 4)


def device_memory() -> int:
  """Bytes of memory of one local device; of the whole machine, shared by its devices, on a CPU."""
  stats = jax.local_devices()[0].memory_stats()
  if stats and 'bytes_limit' in stats:
    return stats['bytes_limit']
  return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // jax.local_device_count()


def choose_accumulate(
  config: ModelConfig,
  *,
  batch_size: int,
  T: int,
  chunk: int,
  devices: int,
  params: int,
  average: bool,
  flops_a_token: float,
  platform: str,
  memory: int,
  fused: bool,
  period: int = 1,
) -> int:
  """The fewest micro-batches that fit: in memory, and on a CPU in a few seconds each.

  Args:
    batch_size: rows of the global batch; `devices` share them.
    memory: bytes of one device.
    fused: as in `activation_bytes`.
    period: rows that the cells of a schedule share; each part must divide.
  """
  rows, periods = batch_size // devices, batch_size // devices // period
  for accumulate in (a for a in range(1, periods + 1) if periods % a == 0):
    micro = rows // accumulate
    bytes_ = state_bytes(params, average) + activation_bytes(config, micro, T, chunk, fused=fused)
    fits = bytes_ < _MEMORY_SHARE * memory
    quick = platform != 'cpu' or micro * devices * T * flops_a_token < _CPU_MICRO_BATCH_FLOPS
    if fits and quick:
      break
  return accumulate


def matmul_peak(seconds: float = 0.15) -> float:
  """FLOP/s of float32 matrix products on the default device, measured for about `seconds`."""
  N = 1024
  x_NxN = jnp.ones((N, N))
  multiply = jax.jit(lambda x: x @ x)
  multiply(x_NxN).block_until_ready()
  best, end = math.inf, time.monotonic() + seconds
  while time.monotonic() < end:
    start = time.monotonic()
    multiply(x_NxN).block_until_ready()
    best = min(best, time.monotonic() - start)
  return 2 * N**3 / best
