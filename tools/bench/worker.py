"""The protocol of the workers of tools.bench: each line on standard input is answered with a round.

Answers are JSON, a line each. The first, unasked, has the worker's facts.
`python -m tools.bench.worker limits` is the worker that measures what the machine does at best.
"""

from collections.abc import Callable
import json
from pathlib import Path
import resource
import sys
import time


def serve(round_: Callable[[], dict | None], facts: dict):
  """Runs a first round and prints `facts`, then runs a round for each line on standard input.

  An answer has `seconds`, `peak_memory_bytes` of the rounds so far, and what the round returned.

  Args:
    round_: does a round; `seconds` that it returns replace those measured here.
    facts: what is the same for every round.
  """
  started = time.perf_counter()
  round_()
  print(json.dumps(facts | dict(first_seconds=time.perf_counter() - started)), flush=True)
  _reset_peak_memory()
  for _ in sys.stdin:
    started = time.perf_counter()
    returned = round_() or {}
    measured = dict(seconds=time.perf_counter() - started, peak_memory_bytes=_peak_memory())
    print(json.dumps(measured | returned), flush=True)


def _reset_peak_memory():
  """From here on the peak is that of the rounds, without the preparation and its compilers."""
  try:
    Path('/proc/self/clear_refs').write_text('5')
  except OSError:  # not Linux, or not allowed: then the preparation counts
    pass


def _peak_memory() -> int:
  """The largest resident set of this process, in bytes."""
  try:
    status = Path('/proc/self/status').read_text()
  except OSError:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  return int(status.partition('VmHWM:')[2].split()[0]) * 1024


def limits() -> Callable[[], dict]:
  """A function that measures FLOP/s of a large product, and bytes/s of a sum beyond all caches."""
  import jax
  import jax.numpy as jnp

  a_NxN, x_N = jnp.ones((2048, 2048)), jnp.ones(2**26)
  multiply, total = jax.jit(jnp.matmul), jax.jit(jnp.sum)

  def rate(amount: float, f: Callable, *arguments) -> float:
    """Amount a second, the best of four."""
    seconds = []
    for _ in range(4):
      started = time.perf_counter()
      jax.block_until_ready(f(*arguments))
      seconds.append(time.perf_counter() - started)
    return amount / min(seconds)

  def round_() -> dict:
    flops = rate(2 * 2048**3, multiply, a_NxN, a_NxN)
    return dict(peak_flops=flops, peak_bytes=rate(x_N.nbytes, total, x_N))

  return round_


if __name__ == '__main__':
  serve(limits(), {})
