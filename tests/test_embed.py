"""Vectors of texts: packed rows, the joined product and several devices change nothing but time."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from test_convert import WORDS, random_weights

from inference import nearest as nearest_rows
from inference import saved_vectors
from inference.embed import Embedder
from inference.layout import joined
from inference.precision import PRECISIONS, RANGED, convert, restore, stored_width
from models.network import make_network
from models.pooling import pool, unit
from runtime.errors import StateError

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


def clustered(rows: int, D: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).normal(size=(rows, D)).astype(np.float32)


@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('D', [5, 8, 32])
def test_what_is_stored_comes_back_as_near_as_its_bits_allow(precision, D):
  vector_NxD = clustered(50, D)
  vector_NxD[:, 1] = 0.5  # a dimension without a range
  range_2xD = np.stack([vector_NxD.min(axis=0), vector_NxD.max(axis=0)])
  stored = convert(vector_NxD, precision, range_2xD)
  back_NxD = restore(stored, precision, D, range_2xD)
  assert stored.shape == (50, stored_width(D, precision)) and back_NxD.dtype == np.float32
  if precision.endswith('binary'):
    np.testing.assert_array_equal(back_NxD, np.where(vector_NxD > 0, 1, -1))
    return
  step_D = (range_2xD[1] - range_2xD[0]) / 255 if precision in RANGED else 0
  assert (np.abs(back_NxD - vector_NxD) <= step_D + 2e-3).all()


def test_the_nearest_rows_are_those_of_all_comparisons(monkeypatch):
  monkeypatch.setattr(nearest_rows, '_ROWS', 7)
  row_NxD, query_QxD = clustered(40, 6), clustered(3, 6, seed=1)
  row_NxD[31] = row_NxD[4] * 2  # the same cosine: the earlier row comes first
  query_QxD[0] = row_NxD[4]
  left_out_N = np.arange(40) % 9 == 0
  row_QxK, cosine_QxK = nearest_rows.nearest(
    query_QxD, lambda start, stop: row_NxD[start:stop], 40, top=50, left_out_N=left_out_N
  )
  unit_NxD = row_NxD / np.linalg.norm(row_NxD, axis=1, keepdims=True)
  cosine_QxN = query_QxD @ unit_NxD.T / np.linalg.norm(query_QxD, axis=1, keepdims=True)
  for row_K, cosine_K, cosine_N in zip(row_QxK, cosine_QxK, cosine_QxN):
    assert set(row_K) == set(np.flatnonzero(~left_out_N))
    np.testing.assert_allclose(cosine_K, cosine_N[row_K], atol=1e-6)
    assert (np.diff(cosine_K) <= 0).all()
  assert row_QxK[0, :2].tolist() == [4, 31]


ABOUT = dict(rows=23, width=4, precision='float32', lines_sha256='a')


@pytest.mark.parametrize('precision', PRECISIONS)
def test_a_matrix_goes_on_where_it_was_stopped(tmp_path, monkeypatch, precision):
  monkeypatch.setattr(saved_vectors, 'CHUNK', 5)
  vector_NxD, about, asked = clustered(23, 4), ABOUT | dict(precision=precision), []

  def embed(start: int, stop: int) -> np.ndarray:
    asked.append(start)
    if len(asked) == 3:
      raise KeyboardInterrupt
    return vector_NxD[start:stop]

  with pytest.raises(KeyboardInterrupt):
    saved_vectors.write(tmp_path / 'x.npy', about, embed, print)
  assert not (tmp_path / 'x.npy').exists()
  said = []
  saved_vectors.write(tmp_path / 'x.npy', about, embed, said.append)
  assert asked == [0, 5, 10, 10, 15, 20] and '10 of 23' in said[0]
  assert sorted(path.name for path in tmp_path.iterdir()) == ['x.npy', 'x.npy.json']
  saved = saved_vectors.Saved(tmp_path / 'x.npy')
  range_2xD = np.stack([vector_NxD.min(axis=0), vector_NxD.max(axis=0)])
  wanted = convert(vector_NxD, precision, range_2xD)
  np.testing.assert_array_equal(np.load(tmp_path / 'x.npy', allow_pickle=False), wanted)
  np.testing.assert_array_equal(saved.read(0, 23), restore(wanted, precision, 4, range_2xD))


def test_a_part_of_other_vectors_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(saved_vectors, 'CHUNK', 5)
  vector_NxD, path = clustered(23, 4), tmp_path / 'x.npy'

  def stopped(start: int, stop: int) -> np.ndarray:
    if start:
      raise KeyboardInterrupt
    return vector_NxD[start:stop]

  with pytest.raises(KeyboardInterrupt):
    saved_vectors.write(path, ABOUT, stopped, print)
  with pytest.raises(StateError, match='lines_sha256 was a, is b'):
    saved_vectors.write(path, ABOUT | dict(lines_sha256='b'), stopped, print)
  with open(tmp_path / 'x.npy.part', 'r+b') as file:
    file.truncate(50)
  with pytest.raises(StateError, match='shorter than'):
    saved_vectors.write(path, ABOUT, stopped, print)


BROKEN = dict(
  no_numpy=(b'words', None, 'no .npy file'),
  one_axis=(np.zeros(3, np.float32), None, 'no matrix'),
  unknown_bits=(np.zeros((3, 4), np.int8), None, 'is not there, which says'),
  no_ranges=(np.zeros((3, 4), np.int8), dict(rows=3, width=4, precision='int8'), 'not the matrix'),
  other_width=(
    np.zeros((3, 4), np.float32),
    dict(rows=3, width=5, precision='float32'),
    'not the matrix',
  ),
  other_type=(
    np.zeros((3, 4), np.float32),
    dict(rows=3, width=4, precision='float16'),
    'not the matrix',
  ),
  other_bits=(np.zeros((3, 4), np.float32), dict(rows=3, width=4, precision='int3'), 'int3'),
  no_fields=(np.zeros((3, 4), np.float32), dict(rows=3), 'damaged'),
)


@pytest.mark.parametrize('name', BROKEN)
def test_a_matrix_that_is_not_one_is_refused(tmp_path, name):
  content, about, words = BROKEN[name]
  path = tmp_path / 'x.npy'
  if isinstance(content, bytes):
    path.write_bytes(content)
  else:
    np.save(path, content)
  if about is not None:
    (tmp_path / 'x.npy.json').write_text(json.dumps(about))
  with pytest.raises(StateError, match=words):
    saved_vectors.Saved(path)
