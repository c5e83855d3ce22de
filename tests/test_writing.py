"""A text depends on its prompt, its seed and its number: never on
the batch, the stream or a forgotten past.
"""

import dataclasses

import numpy as np
import pytest
from test_convert import random_weights

from configs.schema.check import ConfigError
from inference.generate import Generator
from inference.sampling import Sampling

PROMPTS = ['the bank', 'he paid cash into the old bank of a', 'fish , boat']
BOLD = Sampling(temperature=1.0)


@pytest.fixture(scope='module')
def weights():
  return random_weights('gpt2')


def write(
  weights, prompts=PROMPTS[:1], max_tokens=12, samples=1, stream=None, sampling=BOLD, **changes
):
  return Generator(weights, sampling, seed=changes.pop('seed', 3), **changes).write(
    prompts, max_tokens, samples, stream
  )


@pytest.mark.parametrize('max_tokens', [8, 90])  # 90: each row forgets, at a moment of its own
def test_a_prompt_gets_the_same_text_whatever_is_written_beside_it(weights, max_tokens):
  together = write(weights, PROMPTS, max_tokens, samples=2, roll=True).completions
  for prompt, found in zip(PROMPTS, together):
    alone = write(weights, [prompt], max_tokens, samples=2, roll=True).completions[0]
    assert [one.ids for one in found] == [one.ids for one in alone]
    assert found[0].ids != found[1].ids
    for one, other in zip(found, alone):
      np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)  # sums in another order


def test_log_probabilities_are_those_of_reading_the_text_again(weights):
  writer = Generator(weights, BOLD, seed=3)
  [[written]] = writer.write(PROMPTS[:1], 12).completions
  token = np.array([writer._ids(PROMPTS[0]) + written.ids])
  ones = np.ones_like(token)
  hidden, table, _ = weights.network.apply(
    weights.params, dict(token=token, type=0 * ones, segment=ones)
  )['clm']
  logits_TxV = np.asarray(hidden[0] @ table.T, np.float64)
  logits_TxV -= np.log(np.exp(logits_TxV).sum(axis=1, keepdims=True))
  first = token.shape[1] - len(written.ids)
  expected = [logits_TxV[first + n - 1, drawn] for n, drawn in enumerate(written.ids)]
  # float32, sums in another order
  np.testing.assert_allclose(written.logprobs, expected, atol=1e-4)


def test_a_text_ends_before_the_stop_and_keeps_the_tokens_that_were_drawn(weights):
  whole = write(weights, max_tokens=20).completions[0][0]
  stop = whole.text.split()[3]
  cut = write(weights, max_tokens=20, stop=(stop,)).completions[0][0]
  assert stop not in cut.text and whole.text.startswith(cut.text)
  assert cut.ids == whole.ids[: len(cut.ids)] and stop in weights.tokenizer.decode(cut.ids)


@pytest.mark.parametrize('stop', [(), ('bank',), ('no such text',)])
def test_what_is_streamed_is_the_text(weights, stop):
  pieces = []
  found = write(weights, max_tokens=20, stop=stop, stream=pieces.append).completions[0][0]
  assert ''.join(pieces) == found.text and (len(pieces) == len(found.ids) > 1)


def test_a_text_goes_on_from_its_prompt_as_one_text(weights):
  for prompt in PROMPTS:
    found = write(weights, [prompt]).completions[0][0]
    ids = [*weights.tokenizer.encode([prompt])[0], *found.ids]
    assert weights.tokenizer.decode(ids).endswith(found.text) and found.text[0] == ' '
    spaced = write(weights, [prompt + ' ']).completions[0][0]
    assert spaced.text == found.text[1:] and spaced.ids == found.ids


def test_a_stop_may_begin_in_the_prompt_but_not_lie_in_it(weights):
  whole = write(weights, max_tokens=20).completions[0][0].text
  for stop in ('bank' + whole[:2], 'the bank' + whole[:6], 'k' + whole[:1]):
    pieces = []
    found = write(weights, max_tokens=20, stop=(stop,), stream=pieces.append).completions[0][0]
    assert found.text == ''.join(pieces) == '' and found.ids
  middle = whole[3:7]
  found = write(weights, max_tokens=20, stop=(middle, whole[5:9])).completions[0][0]
  assert found.text == whole[: whole.index(middle)]
  prompt = PROMPTS[0] + ' qqq'  # unknown, so it is nowhere in the text
  assert write(weights, [prompt], 20, stop=('qqq',)).completions[0][0].text


def test_an_empty_stop_is_refused(weights):
  with pytest.raises(ConfigError, match='--stop is empty'):
    write(weights, stop=('bank', ''))


def test_what_does_not_fit_is_refused_before_anything_is_written(weights):
  writer = Generator(weights, BOLD, seed=0)
  writer.check('the bank', 64 - len(writer._ids('the bank')))
  with pytest.raises(ConfigError, match='66 more it does not fit into the 64 .*--overflow=roll'):
    writer.check('the bank', 66)
  Generator(weights, BOLD, seed=0, roll=True).check('the bank', 66)


def test_an_encoder_says_why_it_cannot_write_and_what_can(weights):
  with pytest.raises(ConfigError, match='is bidirectional .* tools.fill_mask'):
    Generator(random_weights('bert'), BOLD, seed=0)


def test_the_speed_counts_no_compilation(weights):
  # one program read, the other took a step
  assert write(weights, max_tokens=2).tokens_per_second == 0
  writer = Generator(weights, dataclasses.replace(BOLD, top_k=3), seed=0)
  slow, fast = (writer.write(PROMPTS, 4).tokens_per_second for _ in range(2))
  assert slow > 0 and fast > 0
