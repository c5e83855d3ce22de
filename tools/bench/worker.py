"""What every worker of tools.bench does: answer a line on
standard input with a measured round, in JSON.

python -m tools.bench.worker limits measures what the machine does at best.
"""

from collections.abc import Callable
import json
from pathlib import Path
import resource
import sys
import time


def serve(round_: Callable[[], dict | None], facts: dict):
  """Says what the first round took, then runs one for every line on standard input.

  Args:
    round_: does a round; what it returns is added to its answer, its
      own `seconds` in place of those measured here.
  """
  started = time.perf_counter()
  round_()
  print(json.dumps(facts | dict(first_seconds=time.perf_counter() - started)), flush=True)
  _forget_peak()
  for _ in sys.stdin:
    started = time.perf_counter()
    found = round_() or {}
    measured = dict(seconds=time.perf_counter() - started, peak_memory_bytes=_peak_memory())
    print(json.dumps(measured | found), flush=True)


def _forget_peak():
  """From here on the peak is that of the rounds: getting
  ready, compilers included, is not counted.
  """
  try:
    Path('/proc/self/clear_refs').write_text('5')
  except OSError:  # not Linux, or not allowed: then it counts
    pass


def _peak_memory() -> int:
  try:
    status = Path('/proc/self/status').read_text()
  except OSError:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  return int(status.partition('VmHWM:')[2].split()[0]) * 1024


def limits() -> Callable[[], dict]:
  """A round that measures what the machine does at best: a large
  product, and a sum over more than its caches hold.
  """
  import jax
  import jax.numpy as jnp

  a_NxN, x_N = jnp.ones((2048, 2048)), jnp.ones(2**26)
  multiply, total = jax.jit(jnp.matmul), jax.jit(jnp.sum)

  def rate(amount: float, f: Callable, *arguments) -> float:
    seconds = []
    for _ in range(4):
      started = time.perf_counter()
      jax.block_until_ready(f(*arguments))
      seconds.append(time.perf_counter() - started)
    return amount / min(seconds)

  return lambda: dict(
    peak_flops=rate(2 * 2048**3, multiply, a_NxN, a_NxN), peak_bytes=rate(x_N.nbytes, total, x_N)
  )


if __name__ == '__main__':
  serve(limits(), {})
