"""The heads are the published equations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from models.layers import Linear


def test_a_map_from_the_width_to_the_width_is_a_whole_matrix():
  config = small.model()
  linear = Linear(config, 'D', 'D', (32, 32))
  x = jax.random.normal(jax.random.key(0), (2, 3, 32))
  params = linear.init(jax.random.key(1), x)
  kernel = params['params']['kernel'].value
  np.testing.assert_allclose(linear.apply(params, x), np.asarray(x) @ np.asarray(kernel), atol=1e-5)


def test_mlm_and_nsp_heads_are_the_published_equations():
  net, params = small.network('bert_base', heads=('mlm', 'nsp'))
  batch = small.batch(small.tokens(2, 6)) | dict(mlm_position=jnp.array([[1, 4], [0, 5]]))
  outputs = net.apply(params, batch)
  p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
  hidden = np.asarray(outputs['hidden'], np.float64)

  pooled = np.tanh(hidden[:, 0] @ p['nsp']['pooler']['kernel'] + p['nsp']['pooler']['bias'])
  logits = pooled @ p['nsp']['classifier']['kernel'] + p['nsp']['classifier']['bias']
  np.testing.assert_allclose(outputs['nsp'], logits, atol=1e-5)

  chosen = np.stack([hidden[0, [1, 4]], hidden[1, [0, 5]]])
  h = chosen @ p['mlm']['transform']['kernel'] + p['mlm']['transform']['bias']
  h = 0.5 * h * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
  h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-12)
  h = h * p['mlm']['norm']['scale'] + p['mlm']['norm']['bias']
  found, table, bias = outputs['mlm']
  np.testing.assert_allclose(found, h, atol=1e-5)
  np.testing.assert_array_equal(table, params['embeddings']['token'])
  np.testing.assert_array_equal(bias, params['mlm']['bias'])


def test_a_shared_head_is_one_set_of_parameters_under_two_names():
  net, params = small.network('bert_base', heads=('clm', 'mlm'), shared_head=True)
  assert set(params) == {'embeddings', 'trunk', 'mlm'}
  batch = small.batch(small.tokens(2, 6)) | dict(mlm_position=jnp.array([[1, 4], [0, 5]]))
  outputs = net.apply(params, batch)
  every, few = outputs['clm'], outputs['mlm']
  np.testing.assert_array_equal(every.bias_V, few.bias_V)
  own = np.stack([every.hidden_BxPxE[0, [1, 4]], every.hidden_BxPxE[1, [0, 5]]])
  np.testing.assert_allclose(own, few.hidden_BxPxE, atol=1e-6)


@pytest.mark.parametrize('head', ['sequence', 'tokens', 'span'])
def test_classifiers_of_texts_and_words_drop_what_they_read_and_answers_do_not(head):
  """As BERT's run_classifier.py, and run_squad.py."""
  batch = small.batch(small.tokens(4, 8)) | dict(row=jnp.arange(4))
  found = {}
  for drops in (True, False):
    network, params = small.network('bert_base', heads=(head,), dropout=0.3, head_dropout=drops)
    found[drops] = network.apply(params, batch)[head]
    found[drops, 'key'] = network.apply(params, batch, jax.random.key(1))[head]
    last = {name: x_BxT[2:] for name, x_BxT in batch.items()}
    alone = network.apply(params, last, jax.random.key(1))[head]
    np.testing.assert_allclose(alone, found[drops, 'key'][2:], atol=1e-5)  # rows draw by number
  np.testing.assert_array_equal(found[True], found[False])
  assert np.array_equal(found[True, 'key'], found[False, 'key']) == (head == 'span')
