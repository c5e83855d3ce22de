"""A trained model from Python: encode, hidden states, attention, a vector, and more text.

  python examples/use_a_model.py runs/mine "The bank of the river"

The directory is a run, an import, or a Hugging Face directory with its tokenizer.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from inference.attention_maps import attention_maps
from inference.embed import Embedder
from inference.generate import Generator
from inference.sampling import Sampling
from training import load


def main(directory: str, text: str):
  model = load.load(Path(directory))
  tokenizer = model.need_tokenizer()
  begin = [tokenizer.bos] if model.add_bos else []  # rows as in training
  end = [tokenizer.eos] if model.mask != 'causal' else []
  row_T = [*begin, *tokenizer.encode([text])[0], *end]
  token_1xT = np.array([row_T], np.int32)
  batch = dict(token=token_1xT, segment=np.ones_like(token_1xT), type=np.zeros_like(token_1xT))
  hidden_1xTxD = jax.jit(model.trunk.apply)(model.params, batch)['hidden']
  maps = attention_maps(model, text)
  vector_1xD = Embedder(model)([text])
  print('tokens', [tokenizer.readable(int(index)) for index in row_T])
  print('hidden states', hidden_1xTxD.shape, 'attention', maps.weight_LxHxTxT.shape)
  print('a vector of length', f'{np.linalg.norm(vector_1xD[0]):.3f}', vector_1xD.shape)
  if 'clm' in model.heads and model.mask != 'bidirectional':
    written = Generator(model, Sampling(temperature=0.0), seed=0).write([text], max_tokens=12)
    print('text', text + written.completions[0][0].text)


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('directory', help='a run, an import, or a Hugging Face directory')
  parser.add_argument('text', nargs='?', default='The bank of the river')
  main(**vars(parser.parse_args()))
