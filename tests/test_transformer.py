"""What a token can and cannot know, in every cell; and that
knobs of speed change nothing but speed.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from models import kv_cache as caching

VARIANTS = {
  'bert_base': {},
  'gpt2_small': {},
  'llama-like': dict(
    positions='rotary',
    norm='rms',
    gated=True,
    bias=False,
    kv_heads=2,
    activation='silu',
    segment_types=0,
    norm_position='pre',
    embedding_norm=False,
    final_norm=True,
  ),
  'modern': dict(
    positions='rotary',
    norm='rms',
    qk_norm=True,
    activation='relu_squared',
    bias=False,
    norm_position='pre',
    final_norm=True,
  ),
  # a layer before the scanned pattern, the pattern, and a layer after it
  'modernbert': dict(
    layers=5,
    positions='rotary',
    window=2,
    global_every=3,
    window_rotary_base=30.0,
    skip_first_norm=True,
    gated=True,
    bias=False,
    norm_bias='yes',
    norm_position='pre',
    final_norm=True,
  ),
  'albert-like': dict(shared_layers=True, embedding_width=16),
  'sinusoidal': dict(positions='sinusoidal'),
}


def build(name: str, **kw):
  changes = dict(VARIANTS[name]) | kw
  return small.network(name if '_' in name else 'bert_base', **changes)


def hidden(net, params, batch):
  return np.asarray(net.apply(params, batch)['hidden'])


@pytest.mark.parametrize('name', VARIANTS)
@pytest.mark.parametrize('packed', [False, True])
def test_the_future_changes_no_earlier_output_bit_for_bit_in_causal_cells(name, packed):
  net, params = build(name, mask='causal', packed=packed)
  segment = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]], 2, axis=0) if packed else None
  token = small.tokens(2, 12)
  other = token.copy()
  other[:, 8] = (other[:, 8] + 7) % 40 + 5
  before, after = (hidden(net, params, small.batch(t, segment)) for t in (token, other))
  np.testing.assert_array_equal(before[:, :8], after[:, :8])
  # and the present and the later past do change
  assert (before[:, 8:] != after[:, 8:]).any(axis=-1).all()


@pytest.mark.parametrize('name', VARIANTS)
def test_every_token_changes_every_output_in_bidirectional_cells(name):
  net, params = build(name, mask='bidirectional')
  token = small.tokens(2, 12)
  other = token.copy()
  other[:, 8] = (other[:, 8] + 7) % 40 + 5
  before, after = (hidden(net, params, small.batch(t)) for t in (token, other))
  assert (before != after).any(axis=-1).all()


@pytest.mark.parametrize('mask', ['bidirectional', 'causal'])
@pytest.mark.parametrize('name', ['bert_base', 'gpt2_small', 'llama-like', 'modernbert'])
def test_a_packed_document_knows_nothing_of_its_neighbours(name, mask):
  net, params = build(name, mask=mask)
  token = small.tokens(1, 12)
  segment = np.array([[1] * 5 + [2] * 7])
  other = token.copy()
  other[:, :5] = 5
  packed = hidden(net, params, small.batch(token, segment))
  np.testing.assert_array_equal(
    packed[:, 5:], hidden(net, params, small.batch(other, segment))[:, 5:]
  )
  alone = hidden(net, params, small.batch(token[:, 5:]))
  # sums over 7 and over 12 keys round differently
  np.testing.assert_allclose(packed[:, 5:], alone, atol=1e-5)


@pytest.mark.parametrize('name', VARIANTS)
def test_scan_and_unrolled_layers_agree(name):
  net, params = build(name, scan=True)
  unrolled, _ = build(name, scan=False)
  batch = small.batch(small.tokens(2, 12))
  np.testing.assert_allclose(hidden(net, params, batch), hidden(unrolled, params, batch), atol=1e-5)


@pytest.mark.parametrize(
  'name, mask',
  [
    *((name, 'bidirectional') for name in VARIANTS),
    ('modern', 'prefix'),
    ('llama-like', 'causal'),
    ('modernbert', 'prefix'),
  ],
)
def test_a_last_layer_that_only_computes_what_is_read_gives_the_same(name, mask):
  """Outputs and gradients, with predictions of packed documents and
  without; 1e-5 of their size is left to rounding.
  """
  batch = small.batch(small.tokens(2, 12), [[1] * 5 + [2] * 7, [1] * 9 + [0] * 3])
  batch['mlm_position'] = jnp.array([[3, 7, 11], [8, 0, 0]])
  if mask == 'prefix':
    batch['prefix'] = jnp.arange(12)[None] < jnp.array([[2], [6]])

  def loss(net, params):
    outputs = net.apply(params, batch)
    return jnp.square(outputs['mlm'][0]).sum() + jnp.square(outputs['nsp']).sum()

  results = {}
  for which in ('whole', 'read'):
    net, params = build(name, mask=mask, heads=('mlm', 'nsp'), scan=False, last_layer=which)
    results[which] = jax.jit(jax.value_and_grad(lambda p, net=net: loss(net, p)))(params)
  size = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(results['whole'][1]))
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5 * size), *results.values()
  )


def test_a_last_layer_that_is_read_everywhere_is_whole():
  batch = small.batch(small.tokens(2, 12))
  outputs = []
  for heads in ((), ('clm',), ('mlm', 'clm')):
    net, params = build('bert_base', heads=heads, scan=False)
    outputs.append(net.apply(params, batch)['hidden'])
  assert [x.shape for x in outputs] == [(2, 12, 32)] * 3
  few, params = build('bert_base', heads=('mlm',), scan=False)
  assert 'hidden' not in few.apply(params, batch)


@pytest.fixture
def thorough_compiler():
  jax.config.update('jax_disable_most_optimizations', False)
  yield
  jax.config.update('jax_disable_most_optimizations', True)


@pytest.mark.parametrize('scan', [True, pytest.param(False, marks=pytest.mark.slow)])
def test_recomputing_changes_memory_and_not_the_gradient(scan, thorough_compiler):
  lowered, sizes, gradients = [], [], []
  batch = small.batch(small.tokens(8, 64))
  for remat in ('none', 'dots', 'full'):
    net, params = build('bert_base', remat=remat, scan=scan, layers=4 if scan else 1)
    grad = jax.jit(jax.grad(lambda p, net=net: jnp.square(net.apply(p, batch)['hidden']).sum()))
    lowered.append(grad.lower(params))
    compiled = lowered[-1].compile()
    sizes.append(compiled.memory_analysis().temp_size_in_bytes)
    gradients.append(compiled(params))
  if scan:
    assert sizes[1] < 0.7 * sizes[0] and sizes[2] < 0.8 * sizes[1]
  else:
    # The CPU compiler drops the barriers, so its memory says nothing (configs/schema/check.py
    # refuses this pair there).
    assert ['optimization_barrier' in one.as_text() for one in lowered] == [False, True, True]
    products = [one.as_text().count('stablehlo.dot_general') for one in lowered]
    # Again with dots: scores, and at most the values they weigh; with
    # full: the six products with parameters as well.
    assert products[0] < products[1] <= products[0] + 2 and products[2] >= products[0] + 6
  for other in gradients[1:]:
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-3), gradients[0], other
    )


@pytest.mark.parametrize('name', ['gpt2_small', 'llama-like', 'bert_base', 'modernbert'])
def test_cached_decoding_in_chunks_equals_the_whole_row(name):
  net, params = build(name, mask='causal')
  token = small.tokens(2, 12)
  whole = hidden(net, params, small.batch(token))
  config = small.model(**dict(config='gpt2_small') if name == 'gpt2_small' else VARIANTS[name])
  cache, parts, start = caching.empty(config, 2, 16), [], 0
  for T in (5, 1, 1, 3, 2):
    position = jnp.broadcast_to(start + jnp.arange(T)[None], (2, T))
    part = dict(token=token[:, start : start + T], type=jnp.zeros((2, T), int), position=position)
    outputs = net.apply(params, part, cache=cache)
    cache, start = outputs['cache'], start + T
    parts.append(outputs['hidden'])
  np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


def test_dropout_is_on_exactly_when_a_key_is_given():
  net, params = build('bert_base', dropout=0.5, attention_dropout=0.5)
  batch = small.batch(small.tokens(2, 12))
  still = net.apply(params, batch)['hidden']
  np.testing.assert_array_equal(still, net.apply(params, batch)['hidden'])
  one, two = (net.apply(params, batch, jax.random.key(seed))['hidden'] for seed in (0, 1))
  assert (one != still).any() and (one != two).any()


def test_bfloat16_activations_keep_float32_parameters_and_come_close():
  net, params = build('gpt2_small', mask='causal', dtype='bfloat16')
  full, _ = build('gpt2_small', mask='causal')
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
  batch = small.batch(small.tokens(2, 12))
  half = net.apply(params, batch)['hidden']
  assert half.dtype == jnp.bfloat16
  # 8 bits, 2 layers
  np.testing.assert_allclose(half.astype('float32'), full.apply(params, batch)['hidden'], atol=0.2)


def test_weights_shown_have_every_layer_and_head_and_sum_to_one():
  net, params = build('bert_base')
  _, seen = net.inspect(params, small.batch(small.tokens(2, 12)))
  assert seen['weights'].shape == (2, 2, 4, 12, 12) and seen['hidden'].shape == (2, 2, 12, 32)
  np.testing.assert_allclose(seen['weights'].sum(-1), 1, atol=1e-6)


def layer_norm(x, p, epsilon):
  x = x - x.mean(-1, keepdims=True)
  return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * p['scale'] + p['bias']


@pytest.mark.parametrize('name', ['bert_base', 'gpt2_small'])
def test_a_block_is_the_published_equations(name):
  net, params = small.network(
    name, mask='causal' if name == 'gpt2_small' else 'bidirectional', layers=1
  )
  config = small.model(name)
  p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
  token = small.tokens(1, 6)[0]
  e, b = p['embeddings'], jax.tree.map(lambda x: x[0], p['trunk']['blocks'])
  x = e['token'][token] + e['position'][:6]
  pre = name == 'gpt2_small'
  if not pre:
    x = layer_norm(x + e['type'][0], e['norm'], 1e-12)
  attention_in = layer_norm(x, b['attention_norm'], 1e-5) if pre else x
  q, k, v = (
    np.einsum('td,dhk->htk', attention_in, b['attention'][n]['kernel'])
    + b['attention'][n]['bias'][:, None]
    for n in ('query', 'key', 'value')
  )
  score = q @ k.transpose(0, 2, 1) / np.sqrt(8)
  if pre:
    score = np.where(np.tril(np.ones((6, 6), bool)), score, -np.inf)
  weight = np.exp(score - score.max(-1, keepdims=True))
  weight /= weight.sum(-1, keepdims=True)
  x = (
    x
    + np.einsum('htk,hkd->td', weight @ v, b['attention']['output']['kernel'])
    + b['attention']['output']['bias']
  )
  if not pre:
    x = layer_norm(x, b['attention_norm'], 1e-12)
  h = layer_norm(x, b['feed_forward_norm'], 1e-5) if pre else x
  h = h @ b['feed_forward']['up']['kernel'] + b['feed_forward']['up']['bias']
  if pre:
    h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
  else:
    h = 0.5 * h * (1 + np.vectorize(__import__('math').erf)(h / np.sqrt(2)))
  x = x + h @ b['feed_forward']['down']['kernel'] + b['feed_forward']['down']['bias']
  x = (
    layer_norm(x, p['trunk']['final_norm'], 1e-5)
    if pre
    else layer_norm(x, b['feed_forward_norm'], 1e-12)
  )
  np.testing.assert_allclose(hidden(net, params, small.batch(token[None]))[0], x, atol=1e-5)
  assert dataclasses.asdict(config)['norm_position'] == ('pre' if pre else 'post')


def test_residual_projections_that_begin_at_zero_make_every_block_begin_as_nothing():
  net, params = build('gpt2_small', mask='causal', init_residual_zero=True, final_norm=False)
  token = small.batch(small.tokens(1, 8))
  embedded = (
    params['embeddings']['token'][token['token']] + params['embeddings']['position'][None, :8]
  )
  np.testing.assert_array_equal(net.apply(params, token)['hidden'], embedded)


def test_normalised_queries_and_keys_forget_their_length():
  """So attention does not change when their kernels grow; without the norm it does."""
  for qk_norm in (True, False):
    net, params = build('llama-like', mask='causal', qk_norm=qk_norm, init_scale=1.0)
    batch = small.batch(small.tokens(1, 8))
    attention = params['trunk']['blocks']['attention']
    grown = attention | {
      name: dict(kernel=8 * attention[name]['kernel']) for name in ('query', 'key')
    }
    blocks = params['trunk']['blocks'] | dict(attention=grown)
    other = params | dict(trunk=params['trunk'] | dict(blocks=blocks))
    before, after = (net.inspect(p, batch)[1]['weights'] for p in (params, other))
    # the epsilon under the root; measured 1e-6
    assert (np.abs(before - after).max() < 1e-4) == qk_norm
