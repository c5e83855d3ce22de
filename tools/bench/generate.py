"""Our side of generation: a worker of tools.bench."""

from collections.abc import Callable
from pathlib import Path
import sys

import jax
import numpy as np

from configs import gpt2_small
from data.tokens.tokenizer import from_vocabulary
from inference.decode import Decoder
from inference.model import Model
from inference.sampling import Sampling
from interop.export import export
from models.config import ModelConfig
from models.network import make_network, make_params
from tools.bench.cases import CASES
from tools.bench.kinds import Generate
from tools.bench.worker import serve


def generate(case: Generate, folder: Path) -> tuple[Callable[[], dict], dict]:
  """Prepares the model and leaves its weights for the peer in `folder`/weights.

  Returns:
    A function that does a round, and facts: the FLOPs and the bytes that a round needs at least.
  """
  config = ModelConfig(**gpt2_small.get_config().model.to_dict())
  network = make_network(config, mask='causal', packed=False, heads=('clm',))
  params = jax.jit(lambda key: make_params(network, key))(jax.random.key(0))
  words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *map(str, range(config.vocab_size - 5))]
  tokenizer = from_vocabulary(words, lowercase=True)
  weights = Model(config, 'causal', ('clm',), network, params, tokenizer, False, 'random')
  export(weights, folder, folder / 'weights')
  decoder = Decoder(network, config, params, Sampling(temperature=0.0))
  random = np.random.default_rng(0)
  prompts = list(random.integers(0, config.vocab_size, (case.rows, case.prompt), np.int32))
  keys = [jax.random.key(0)] * case.rows

  def round_():
    row, _ = decoder.start(prompts, keys, room=case.new)
    for _ in range(case.new - 1):
      row, _ = decoder.step(row)
      np.asarray(row.token_B)  # a caller reads every token as it comes
    return dict(work=case.rows * case.new)

  # A step multiplies by all parameters but the positions, of which it reads a row.
  used = sum(x.size for x in jax.tree.leaves(params)) - params['embeddings']['position'].size
  tokens = case.rows * (case.new + case.prompt)
  return round_, dict(flops=2 * used * tokens, bytes=4 * used * case.new)


if __name__ == '__main__':
  serve(*generate(CASES[sys.argv[2]], Path(sys.argv[3])))
