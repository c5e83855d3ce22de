"""Vectors of texts: packed rows, the joined product and several devices change nothing but time."""

import dataclasses

import jax
import numpy as np
import pytest
from test_convert import WORDS, random_weights

from inference.embed import Embedder
from inference.layout import joined
from models.network import make_network
from models.pooling import pool, unit

TOLERANCE = 2e-6  # of float32 sums in another order


def texts(count: int, longest: int, seed: int = 0) -> list[str]:
  random = np.random.default_rng(seed)
  lengths = random.integers(0, longest + 1, count)
  return [' '.join(random.choice(WORDS[5:], length)) for length in lengths]


def states(model, lines: list[str], max_length: int) -> tuple[np.ndarray, np.ndarray]:
  """Hidden states of texts, a row each, by the network as it was trained; and their segments."""
  embed = Embedder(model, max_length=max_length)
  rows = [embed._row(ids) for ids in model.tokenizer.encode(lines)]
  token_BxT = np.zeros((len(rows), max_length), np.int32)
  segment_BxT = np.zeros_like(token_BxT)
  for row, ids in enumerate(rows):
    token_BxT[row, : len(ids)], segment_BxT[row, : len(ids)] = ids, 1
  batch = dict(token=token_BxT, segment=segment_BxT, type=np.zeros_like(token_BxT))
  network = make_network(model.config, mask=model.mask, packed=False)
  return jax.jit(network.apply)(model.params, batch)['hidden'], segment_BxT


@pytest.mark.parametrize('name', ['bert', 'albert', 'rotary', 'llama'])
def test_a_packed_text_has_the_vector_that_it_has_alone(name):
  model, lines = random_weights(name), texts(24, 40, seed=len(name))
  hidden_BxTxD, segment_BxT = states(model, lines, 30)
  for pooling in ('mean', 'max', 'weighted_mean', 'first') if name == 'bert' else ('last',):
    vectors_NxD = Embedder(model, max_length=30, pooling=pooling)(lines, batch_size=1)
    alone_NxD = unit(pool(hidden_BxTxD, segment_BxT, pooling)[:, 0])
    np.testing.assert_allclose(vectors_NxD, alone_NxD, atol=TOLERANCE)


@pytest.mark.parametrize('context', [20, 64, 100, 300])
def test_a_plan_reads_every_text_once_and_fits(context):
  model = random_weights('bert')
  model = model._replace(config=dataclasses.replace(model.config, max_length=context))
  embed = Embedder(model)
  random = np.random.default_rng(context)
  for longest in (3, 16, 40, context):
    lengths = np.minimum(random.integers(2, longest + 1, 200), context).tolist()
    seen = []
    for T, members in embed._plan(lengths, batch_size=4):
      assert T <= context and len(members) <= 4
      for of_row in members:
        assert len(of_row) <= 16 and sum(lengths[index] for index in of_row) <= T
        seen += of_row
    assert sorted(seen) == list(range(200))


def test_one_product_makes_queries_keys_and_values():
  model = random_weights('llama')  # its keys have fewer heads than its queries
  params = joined(model.params)
  attention = params['trunk']['blocks']['attention']
  assert set(attention) == {'joint', 'output'}
  batch = dict(token=np.arange(12)[None] % 20, segment=np.ones((1, 12), np.int32))
  batch['type'] = 0 * batch['segment']
  one, three = (model.trunk.apply(each, batch)['hidden'] for each in (params, model.params))
  np.testing.assert_allclose(one, three, atol=1e-5)


def test_several_devices_give_what_one_gives(monkeypatch):
  model, lines = random_weights('bert'), texts(60, 50)
  many = Embedder(model)(lines, batch_size=1)
  monkeypatch.setattr(jax, 'local_devices', lambda: jax.devices()[:1])
  np.testing.assert_allclose(many, Embedder(model)(lines, batch_size=1), atol=TOLERANCE)


def test_truncated_vectors_are_of_length_1_again():
  model, lines = random_weights('bert'), texts(5, 9)
  raw_NxD = Embedder(model, normalize=False)(lines)
  short_NxD = Embedder(model, truncate=8)(lines)
  wanted_NxD = raw_NxD[:, :8] / np.linalg.norm(raw_NxD[:, :8], axis=1, keepdims=True)
  np.testing.assert_allclose(short_NxD, wanted_NxD, atol=TOLERANCE)
