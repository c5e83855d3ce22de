"""One network, two masks: the same weights as a BERT and as a GPT.

  python examples/one_mask.py

Prints what each token may see, proves it by changing one token, and shows that a packed row keeps
its two documents apart.
"""

import jax
import jax.numpy as jnp
import numpy as np

from configs import bert_tiny
from models.masks import self_attention_mask
from models.network import make_network, make_params
from training.frozen import model_config

SEGMENT_1xT = jnp.array([[1, 1, 1, 2, 2, 0]])  # two documents in one row, then padding
MASKS = ('bidirectional', 'causal')


def main():
  config = model_config(bert_tiny.get_config())
  networks = {mask: make_network(config, mask=mask, packed=True) for mask in MASKS}
  params = make_params(networks['causal'], jax.random.key(0))  # a mask has no parameters
  token_1xT = jnp.array([[10, 11, 12, 13, 14, 0]])
  for mask, network in networks.items():
    described = self_attention_mask(mask, SEGMENT_1xT, packed=True)
    T = SEGMENT_1xT.shape[1]
    print(f'{mask}: rows are queries, columns are keys')
    print(picture(np.asarray(described.dense(T, T))[0]))
    print('what changes if token 1 is another word:', changed(network, params, token_1xT, 1), '\n')


def picture(visible_TxT: np.ndarray) -> str:
  """A mask as text: 1 where a query sees a key."""
  return '\n'.join('  ' + ' '.join('1' if seen else '.' for seen in row) for row in visible_TxT)


def changed(network, params, token_1xT, position: int) -> list[int]:
  """The positions whose hidden state depends on the token at `position`."""
  batch = dict(token=token_1xT, segment=SEGMENT_1xT, type=0 * token_1xT)
  other = batch | dict(token=token_1xT.at[0, position].set(99))
  before_TxD, after_TxD = (network.apply(params, each)['hidden'][0] for each in (batch, other))
  return np.flatnonzero(np.abs(before_TxD - after_TxD).max(axis=1) > 0).tolist()


if __name__ == '__main__':
  main()
