"""Estimates of a step before it runs: FLOPs in closed form, memory, micro-batches, speed."""

import math
import os
import time

import jax
import jax.numpy as jnp

from models import depth
from models.config import ModelConfig
from models.heads import head_of

# FLOPs of a micro-batch on a CPU, at most, so that a laptop shows progress within a long step: a
# choice, a few seconds at 100 to 200 GFLOP/s. Not derived from a measured speed, because the number
# of micro-batches decides the order of sums and must be the same on every start.
_CPU_MICRO_BATCH_FLOPS = 5e11
# Share of the device's memory that a step may be estimated to take. A choice: the rest covers
# temporary buffers and the error of `activation_bytes`.
_MEMORY_SHARE = 0.7


def flops_per_token(config: ModelConfig, heads: tuple[str, ...], T: int, predictions: int) -> float:
  """Returns the training FLOPs per position of a row of T tokens; a multiply-add counts two.

  The backward pass counts twice the forward pass. Matrix products only: attention over the whole
  row, or over the window of a layer, whatever the mask; no recomputation. A last layer that is read
  at a few positions only counts for those. docs/LOG.md compares this with the compiler's own count
  (2026-11-24).

  Args:
    heads: names of `models.heads.HEADS` that run.
    predictions: P, positions per row that the mlm head predicts.
  """
  D, E, H, G, K, F = config.width, config.E, config.heads, config.G, config.K, config.feed_forward
  own = {name: head_of(config, name) for name in heads}
  positions = {name: head.positions(T, predictions) for name, head in own.items()}

  keys_and_values = D * G * K * 2
  rest_of_layer = [
    D * H * K * 2 + D * F * (3 if config.gated else 2) + 2 * seen * H * K
    for seen in _seen(config, T)
  ]
  forward = config.layers * keys_and_values + sum(rest_of_layer)
  forward += E * D if config.projected else 0
  read = sum(positions.values())  # positions of the last layer that heads read, per row
  if config.selective and heads and all(count < T for count in positions.values()):
    forward -= (1 - min(1, read / T)) * rest_of_layer[-1]
  for name, head in own.items():
    forward += head.products(config, positions[name]) / T
  return 3 * 2 * forward  # forward and backward: 1 + 2; a multiply-add: 2


def _seen(config: ModelConfig, T: int) -> list[int]:
  """Keys that a query is multiplied with in each layer: all, or those within its window."""
  return [min(T, 2 * kind.window + 1) if kind.window else T for kind in depth.kinds(config)]


def activation_bytes(config: ModelConfig, B: int, T: int, chunk: int, *, fused: bool) -> float:
  """Returns roughly how many bytes the backward pass of B rows of T tokens keeps.

  The coefficients count what the reference network's layer saves for its backward pass, in values
  per token: 14 of width D, 3 (gated: 4) of width F, and 3 of every row of attention scores. For
  'dots' and 'full' the estimate lies 7% to 25% below what XLA plans (docs/LOG.md, 2026-11-25,
  "remat policies").

  Args:
    chunk: predictions whose logits exist at once; three float32 arrays of chunk x V.
    fused: a kernel computes attention, so rows of scores never exist.
  """
  size = 2 if config.dtype == 'bfloat16' else 4
  D, F = config.width, config.feed_forward
  HK, GK = config.heads * config.K, config.G * config.K
  # of a window three blocks of keys exist (models/banded.py); the mean over layers
  blocks = [min(T, 3 * kind.window) if kind.window else T for kind in depth.kinds(config)]
  scores = 0 if fused else 3 * config.heads * sum(blocks) / config.layers
  layer = 14 * D + (4 if config.gated else 3) * F + scores
  products = 3 * D + HK + 2 * GK + (2 if config.gated else 1) * F  # outputs of linear maps
  # Where layers are recomputed, the one in the backward pass is kept whole.
  kept = dict(
    none=config.layers * layer,
    dots=config.layers * products + layer,
    full=config.layers * D + layer,
  )[config.remat]
  return B * T * size * kept + 3 * 4 * chunk * config.vocab_size


def state_bytes(params: int, average: bool) -> int:
  """Returns the bytes of parameters, gradient, two moments and (if kept) average, in float32."""
  return 4 * params * (5 if average else 4)


def device_memory() -> int:
  """Returns the bytes of memory of one local device; on a CPU, its share of the machine's."""
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
  seeds: int = 1,
) -> int:
  """Returns the fewest micro-batches that fit in memory and, on a CPU, take a few seconds each.

  If none fits, the most micro-batches there can be.

  Args:
    batch_size: rows of the global batch; `devices` share them.
    T: tokens per row.
    chunk, fused: as in `activation_bytes`.
    params: number of parameters that one device holds.
    average: whether a moving average of the parameters is kept.
    flops_a_token: training FLOPs per position.
    memory: bytes of one device.
    period: rows over which a schedule's cells repeat; each micro-batch holds whole periods.
    seeds: states that train side by side, each with its own batch.
  """
  rows, periods = batch_size // devices, batch_size // devices // period
  divisors = [a for a in range(1, periods + 1) if periods % a == 0]
  for accumulate in divisors:
    micro = rows // accumulate
    activations = activation_bytes(config, micro, T, chunk, fused=fused)
    fits = seeds * (state_bytes(params, average) + activations) < _MEMORY_SHARE * memory
    flops = seeds * micro * devices * T * flops_a_token
    quick = platform != 'cpu' or flops < _CPU_MICRO_BATCH_FLOPS
    if fits and quick:
      break
  return accumulate


def matmul_peak(seconds: float = 0.15) -> float:
  """Measures the FLOP/s of float32 matrix products on the default device, for about `seconds`.

  Returns:
    The speed of the fastest product of two 1024 x 1024 matrices.
  """
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
