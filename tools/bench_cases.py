"""What is measured, and our side of it: python -m tools.bench_cases NAME FOLDER is a worker of tools.bench."""

from collections.abc import Callable
import dataclasses
import json
from pathlib import Path
import resource
import sys
import time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate:
  """Greedy writing with GPT-2's 124M shape, float32, random weights: `new` tokens after `prompt` tokens in each row."""

  rows: int
  prompt: int = 32
  new: int = 64
  unit: str = 'tokens/s'

  @property
  def work(self) -> int:
    return self.rows * self.new


CASES = {'generate-gpt2_small-1': Generate(rows=1), 'generate-gpt2_small-8': Generate(rows=8)}


def generate(case: Generate, folder: Path) -> tuple[Callable[[], None], dict]:
  """One round, and what it cannot do without: its floating-point operations, bytes read. Leaves weights in folder."""
  import jax
  import numpy as np

  from configs import gpt2_small
  from data.tokenizer import from_vocabulary
  from models.config import ModelConfig
  from models.decode import Decoder
  from models.network import make_network, make_params
  from models.sampling import Sampling
  from tools.export import export
  from tools.weights import Weights

  config = ModelConfig(**gpt2_small.get_config().model.to_dict())
  network = make_network(config, mask='causal', packed=False, heads=('clm',))
  params = jax.jit(lambda key: make_params(network, key))(jax.random.key(0))
  words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *map(str, range(config.vocab_size - 5))]
  tokenizer = from_vocabulary(words, lowercase=True)
  weights = Weights(config, 'causal', ('clm',), network, params, tokenizer, False, 'random')
  export(weights, folder, folder / 'weights')
  decoder = Decoder(network, config, params, Sampling(temperature=0.0))
  prompts = list(np.random.default_rng(0).integers(0, config.vocab_size, (case.rows, case.prompt), np.int32))
  keys = [jax.random.key(0)] * case.rows

  def round_():
    row, _ = decoder.start(prompts, keys, room=case.new)
    for _ in range(case.new - 1):
      row, _ = decoder.step(row)
      np.asarray(row.token_B)  # a writer looks at every token

  read = sum(x.size for x in jax.tree.leaves(params)) - params['embeddings']['position'].size
  return round_, dict(flops=2 * read * case.rows * (case.new + case.prompt), bytes=4 * read * case.new)


def limits() -> Callable[[], dict]:
  """A round that measures what the machine does at best: a large product, and a sum over more than its caches hold."""
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

  return lambda: dict(peak_flops=rate(2 * 2048**3, multiply, a_NxN, a_NxN), peak_bytes=rate(x_N.nbytes, total, x_N))


def serve(round_: Callable[[], dict | None], facts: dict):
  """Says what the first call took, then runs a round for every line on standard input."""
  started = time.perf_counter()
  round_()
  print(json.dumps(facts | dict(first_seconds=time.perf_counter() - started)), flush=True)
  for _ in sys.stdin:
    started = time.perf_counter()
    found = round_() or {}
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found | dict(seconds=seconds, peak_memory_bytes=peak)), flush=True)


if __name__ == '__main__':
  if sys.argv[1] == 'limits':
    serve(limits(), {})
  else:
    serve(*generate(CASES[sys.argv[1]], Path(sys.argv[2])))
