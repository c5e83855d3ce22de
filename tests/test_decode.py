"""Writing with a cache is what reading the whole text again and again would write."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small

from inference.decode import Decoder
from inference.sampling import Sampling, filtered

GREEDY = Sampling(temperature=0.0)
MODELS = {
  'learned': {},
  'rotary-grouped': dict(positions='rotary', kv_heads=2),
  'shared': dict(shared_layers=True),
  'qk-norm': dict(
    positions='rotary', qk_norm=True, activation='relu_squared', norm='rms', bias=False
  ),
}


def causal(**changes):
  net, params = small.network('gpt2_small', mask='causal', heads=('clm',), **changes)
  return net, small.model('gpt2_small', **changes), params


def written(decoder, prompts, count, seed=0, room=None):
  keys = [jax.random.fold_in(jax.random.key(seed), 0)] * len(prompts)
  row, first_B = decoder.start([np.asarray(p, np.int32) for p in prompts], keys, room=room or count)
  tokens, logprobs = [np.asarray(row.token_B)], [np.asarray(first_B)]
  for _ in range(count - 1):
    row, logprob_B = decoder.step(row)
    tokens.append(np.asarray(row.token_B))
    logprobs.append(np.asarray(logprob_B))
  return np.stack(tokens, axis=1), np.stack(logprobs, axis=1)


@pytest.mark.parametrize('name', MODELS)
def test_greedy_with_the_cache_is_greedy_without_token_for_token(name):
  net, config, params = causal(**MODELS[name])
  prompts = small.tokens(2, 7)
  found, logprobs = written(Decoder(net, config, params, GREEDY), prompts, 12)
  text_BxT = np.pad(prompts, ((0, 0), (0, 12)))
  for step in range(12):
    # what comes later is not seen
    hidden_BxTxE, table_VxE, _ = net.apply(params, small.batch(text_BxT))['clm']
    scores_BxV = jax.nn.log_softmax(hidden_BxTxE[:, 6 + step] @ table_VxE.T, axis=1)
    token_B = np.asarray(scores_BxV.argmax(axis=1))
    np.testing.assert_array_equal(found[:, step], token_B)
    # float32 sums in another order: ten times the rounding seen
    np.testing.assert_allclose(logprobs[:, step], scores_BxV.max(axis=1), atol=1e-4)
    text_BxT[:, 7 + step] = token_B


def test_a_row_writes_the_same_whatever_the_batch_around_it():
  net, config, params = causal()
  decoder = Decoder(net, config, params, Sampling(temperature=1.0, top_p=0.9))
  prompts = [small.tokens(1, n, seed=n)[0] for n in (3, 9, 5)]
  together, _ = written(decoder, prompts, 10)
  for index, prompt in enumerate(prompts):
    alone, _ = written(decoder, [prompt], 10)
    np.testing.assert_array_equal(together[index], alone[0])


def test_the_same_seed_writes_the_same_and_another_something_else():
  net, config, params = causal()
  decoder = Decoder(net, config, params, Sampling())
  one, again, other = (written(decoder, [[5, 6]], 20, seed=seed)[0] for seed in (0, 0, 1))
  np.testing.assert_array_equal(one, again)
  assert (one != other).any()


def test_prompts_of_a_bucket_share_one_program():
  net, config, params = causal()
  decoder = Decoder(net, config, params, GREEDY)
  for length in (2, 3, 16):
    written(decoder, small.tokens(1, length), 3, room=16)
  assert decoder.programs == 2


LOGITS = jnp.log(jnp.array([[0.5, 0.25, 0.15, 0.06, 0.04]]))
NONE = jnp.zeros((1, 5), bool)


@pytest.mark.parametrize(
  'sampling, left',
  [
    (Sampling(), 5),
    (Sampling(top_k=2), 2),
    (Sampling(top_k=9), 5),
    (Sampling(top_p=0.7), 2),
    (Sampling(top_p=0.3), 1),
    (Sampling(min_p=0.2), 3),
    (Sampling(min_p=1.0), 1),
    (Sampling(top_k=3, top_p=0.5), 1),
  ],
)
def test_rules_keep_the_likeliest_tokens(sampling, left):
  for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3]):
    kept = np.isfinite(filtered(LOGITS[:, jnp.array(order)], NONE, sampling))[0]
    np.testing.assert_array_equal(kept, np.array(order) < left)


def test_a_repetition_penalty_makes_what_was_said_less_likely():
  logits, seen = jnp.array([[2.0, -2.0, 1.0]]), jnp.array([[True, True, False]])
  np.testing.assert_allclose(
    filtered(logits, seen, Sampling(repetition_penalty=2.0)), [[1.0, -4.0, 1.0]]
  )
