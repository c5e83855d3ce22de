"""Our side of vectors of lines: a worker of tools.bench."""

from collections.abc import Callable
import json
from pathlib import Path
import sys

import jax
import numpy as np

from configs import bert_base
from data import pipeline
from inference.embed import Embedder
from inference.model import Model
from interop.export import export
from models.config import ModelConfig
from models.network import make_network, make_params
from tools.bench.cases import CASES
from tools.bench.kinds import Embed
from tools.bench.train import config_of, documents_of
from tools.bench.worker import serve
from training import load

# of all-MiniLM-L6-v2
_SHAPE = dict(layers=6, width=384, heads=12, feed_forward=1536)


def embed(case: Embed, folder: Path, corpus: str, weights: str) -> Callable[[], dict]:
  """Leaves lines and the place of the weights for the peer in `folder`.

  Returns:
    A function that does a round: a vector of length 1 for each line.
  """
  lines = [line for text in documents_of(corpus) for line in text.split('\n') if line.strip()]
  order = np.random.default_rng(0).permutation(len(lines))[: case.lines]
  lines = [lines[index] for index in order]
  weights = weights or random_weights(folder, corpus)
  (folder / 'embed.json').write_text(json.dumps(dict(weights=weights, lines=lines)))
  vectors = Embedder(load.load(Path(weights)))

  def round_():
    assert len(vectors(lines)) == len(lines)
    return dict(work=len(lines))

  return round_


def random_weights(folder: Path, corpus: str) -> str:
  """Where it left, in `folder`, random weights of MiniLM's shape with a tokenizer of the corpus."""
  export(_random(corpus), folder, folder / 'weights')
  return str(folder / 'weights')


def _random(corpus: str) -> Model:
  data = config_of('bert_tiny', corpus, {})
  tokenizer = pipeline.prepare(
    data.data, vocab_size=data.model.vocab_size, pairs=None, sequence_lengths=(128,)
  ).tokenizer
  config = ModelConfig(
    **bert_base.get_config().model.to_dict() | _SHAPE | dict(vocab_size=tokenizer.size)
  )
  network = make_network(config, mask='bidirectional', packed=False, heads=('pool',))
  params = jax.jit(lambda key: make_params(network, key))(jax.random.key(0))
  return Model(config, 'bidirectional', ('pool',), network, params, tokenizer, True, 'random')


if __name__ == '__main__':
  serve(embed(CASES[sys.argv[2]], Path(sys.argv[3]), sys.argv[4], sys.argv[5]), {})
