"""Our side of writing: a worker of tools.bench."""

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
from tools.bench.cases import CASES, Generate
from tools.bench.worker import serve


def generate(case: Generate, folder: Path) -> tuple[Callable[[], dict], dict]:
  """One round, and what it cannot do without: its floating-point
  operations, bytes read. Leaves weights in folder.
  """
  config = ModelConfig(**gpt2_small.get_config().model.to_dict())
  network = make_network(config, mask='causal', packed=False, heads=('clm',))
  params = jax.jit(lambda key: make_params(network, key))(jax.random.key(0))
  words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *map(str, range(config.vocab_size - 5))]
  tokenizer = from_vocabulary(words, lowercase=True)
  weights = Model(config, 'causal', ('clm',), network, params, tokenizer, False, 'random')
  export(weights, folder, folder / 'weights')
  decoder = Decoder(network, config, params, Sampling(temperature=0.0))
  prompts = list(
    np.random.default_rng(0).integers(0, config.vocab_size, (case.rows, case.prompt), np.int32)
  )
  keys = [jax.random.key(0)] * case.rows

  def round_():
    row, _ = decoder.start(prompts, keys, room=case.new)
    for _ in range(case.new - 1):
      row, _ = decoder.step(row)
      np.asarray(row.token_B)  # a writer looks at every token
    return dict(work=case.rows * case.new)

  read = sum(x.size for x in jax.tree.leaves(params)) - params['embeddings']['position'].size
  return round_, dict(
    flops=2 * read * case.rows * (case.new + case.prompt), bytes=4 * read * case.new
  )


if __name__ == '__main__':
  serve(*generate(CASES[sys.argv[2]], Path(sys.argv[3])))
