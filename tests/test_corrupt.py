"""What MLM hides: how much, behind what, and what never."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.dropout import row_keys
from objectives import corrupt, mlm
from objectives.corrupt import Masking
from objectives.mix import make_objective
from objectives.term import Setup, Vocabulary

V, MASK = 200, 4
SPECIAL = np.arange(V) < 5
WORD_START = np.arange(V) < 120
WORD_END = np.arange(V) % 3 == 0
NO_START = jnp.asarray(SPECIAL)
ROWS, T = 400, 64


def setup(ends=None, **changes) -> Setup:
  masking = dict(
    rate=0.15,
    final_rate=0.0,
    fixed_maskings=0,
    masked=0.8,
    random=0.1,
    unit='token',
    span_mean=3.0,
    span_max=4,
    smoothing=0.0,
    random_from_specials=True,
  )
  vocabulary = Vocabulary(jnp.asarray(SPECIAL), jnp.asarray(WORD_START), MASK)
  return Setup(
    vocabulary if ends is None else vocabulary._replace(word_start_V=NO_START, word_end_V=ends),
    Masking(**masking | changes),
    64,
    rate=(masking | changes)['rate'],
  )


def rows():
  """[CLS] ... [SEP], then padding: each row as long as the table below says."""
  rng = np.random.default_rng(0)
  token = rng.integers(5, V, (ROWS, T)).astype(np.int32)
  length = np.array([64, 40, 23, 7])[np.arange(ROWS) % 4]
  token[:, 0] = 2
  token[np.arange(ROWS), length - 1] = 3
  segment = (np.arange(T)[None] < length[:, None]).astype(np.int32)
  return token * segment, segment, length


def corrupted(index=None, **changes):
  token, segment, length = rows()
  index = np.arange(ROWS) if index is None else index
  batch = dict(token=jnp.asarray(token[index]), segment=jnp.asarray(segment[index]))
  out = jax.jit(lambda b, i: mlm.prepare(row_keys(jax.random.key(7), i), b, setup(**changes)))(
    batch, jnp.asarray(index)
  )
  return {name: np.asarray(x) for name, x in out.items()}, token[index], length[index]


def predicted(out):
  """Positions of each row that are predicted."""
  return [
    sorted(position[weight > 0])
    for position, weight in zip(out['mlm_position'], out['mlm_weight'], strict=True)
  ]


def test_a_row_has_fifteen_percent_of_its_tokens_counting_special_ones_and_at_least_one():
  out, token, length = corrupted()
  assert [len(p) for p in predicted(out)] == [max(1, round(0.15 * n)) for n in length]
  assert out['mlm_position'].shape[1] == 10  # P, for the longest row


def test_a_rate_that_falls_hides_less_and_less_and_P_is_enough_for_the_most():
  counts = []
  for progress in (0.0, 0.5, 1.0):
    masking = setup(rate=0.3, final_rate=0.15).masking
    objective = make_objective(dict(mlm=1.0), setup()._replace(masking=masking))
    token, segment, length = rows()
    batch = dict(token=jnp.asarray(token), segment=jnp.asarray(segment))
    out = objective.prepare(jax.random.key(0), batch, jnp.arange(len(token)), progress)
    assert out['mlm_position'].shape[1] == masking.predictions(T) == 20
    rate = 0.3 - 0.15 * progress
    assert [int(n) for n in out['mlm_weight'].sum(1)] == [max(1, round(rate * n)) for n in length]
    counts.append(float(out['mlm_weight'].sum()))
  assert counts[0] > counts[1] > counts[2]


@pytest.mark.parametrize('unit', ['token', 'word', 'span', 'ngram'])
def test_special_tokens_and_padding_are_never_hidden_and_targets_are_the_truth(unit):
  out, token, length = corrupted(unit=unit)
  for b, positions in enumerate(predicted(out)):
    assert positions and len(set(positions)) == len(positions)
    assert not SPECIAL[token[b, positions]].any() and max(positions) < length[b]
    elsewhere = np.setdiff1d(np.arange(T), positions)
    np.testing.assert_array_equal(out['token'][b, elsewhere], token[b, elsewhere])
  weight = out['mlm_weight'] > 0
  np.testing.assert_array_equal(
    out['mlm_target'][weight], np.take_along_axis(token, out['mlm_position'], 1)[weight]
  )


def test_eighty_ten_ten():
  out, token, _ = corrupted()
  shown = np.concatenate([out['token'][b, p] for b, p in enumerate(predicted(out))])
  truth = np.concatenate([token[b, p] for b, p in enumerate(predicted(out))])
  n = len(shown)
  assert n > 1_900
  # Random tokens are [MASK] or the truth once in V each; five standard deviations either way.
  for share, expected in [
    ((shown == MASK).mean(), 0.8 + 0.1 / V),
    ((shown == truth).mean(), 0.1 + 0.1 / V),
  ]:
    assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / n)


def test_random_tokens_come_from_the_whole_vocabulary_only_if_asked():
  shown = [
    np.concatenate([out['token'][b, p] for b, p in enumerate(predicted(out))])
    for out in (
      corrupted(masked=0.0, random=1.0, random_from_specials=flag)[0] for flag in (True, False)
    )
  ]
  assert SPECIAL[shown[0]].any() and not SPECIAL[shown[1]].any()


@pytest.mark.parametrize('unit', ['word', 'ngram'])
@pytest.mark.parametrize('marked', ['starts', 'ends'])
def test_whole_words_are_hidden_whole_or_not_at_all(marked, unit):
  ends = jnp.asarray(WORD_END) if marked == 'ends' else None
  out, token, length = corrupted(unit=unit, ends=ends)
  short = 0
  for b, positions in enumerate(predicted(out)):
    starts = WORD_START[token[b]] if marked == 'starts' else np.roll(WORD_END[token[b]], 1)
    starts |= np.arange(T) <= 1
    word = np.cumsum(starts)
    whole = [t for t in range(1, length[b] - 1) if word[t] in set(word[positions])]
    if len(whole) <= 10:  # a word longer than P is cut, there is no room for it
      assert positions == whole
      short += 1
  assert short > 0.9 * ROWS


def test_spans_are_runs_of_words_no_longer_than_the_limit():
  out, token, length = corrupted(unit='span', rate=0.3)
  runs = lambda out: [
    len(run) for p in predicted(out) for run in np.split(p, np.flatnonzero(np.diff(p) != 1) + 1)
  ]
  assert np.mean(runs(out)) > 1.7 * np.mean(runs(corrupted(rate=0.3)[0]))
  assert [len(p) for p in predicted(out)] == [max(1, round(0.3 * n)) for n in length]


@pytest.mark.parametrize('longest', [1, 2, 3, 5])
def test_ngrams_of_n_words_are_drawn_in_proportion_to_1_over_n(longest):
  token, segment, _ = rows()
  maskable = (segment > 0) & ~SPECIAL[token]
  vocabulary, masking = setup(unit='ngram', span_max=longest)[:2]
  keys = row_keys(jax.random.key(3), jnp.arange(ROWS))
  units = jax.vmap(lambda *row: corrupt._units(*row, vocabulary, masking))
  unit, word = map(np.asarray, units(keys, jnp.asarray(token), jnp.asarray(maskable)))
  counts = np.zeros(longest)
  for b in range(ROWS):
    for number in np.unique(unit[b][maskable[b]])[:-1]:  # the last one ends with its row
      counts[len(np.unique(word[b][unit[b] == number])) - 1] += 1
  expected = 1 / np.arange(1, longest + 1)
  expected /= expected.sum()
  n = counts.sum()
  assert n > 1_500
  assert (np.abs(counts / n - expected) <= 5 * np.sqrt(expected * (1 - expected) / n)).all()


def test_the_last_ngram_is_cut_to_whole_words_so_that_none_of_the_rate_is_lost():
  one_each = jnp.ones(V, bool)  # every token is a word
  vocabulary = setup().vocabulary._replace(word_start_V=one_each)
  token, segment, length = rows()
  batch = dict(token=jnp.asarray(token), segment=jnp.asarray(segment))
  asked = setup(unit='ngram', span_max=3)._replace(vocabulary=vocabulary)
  out = mlm.prepare(row_keys(jax.random.key(7), jnp.arange(ROWS)), batch, asked)
  assert [int(n) for n in out['mlm_weight'].sum(1)] == [max(1, round(0.15 * n)) for n in length]


def test_a_rows_masks_do_not_depend_on_its_batch():
  whole, *_ = corrupted()
  part, *_ = corrupted(index=np.array([17, 3, 250]))
  for name in ('token', 'mlm_position', 'mlm_weight'):
    np.testing.assert_array_equal(part[name], whole[name][[17, 3, 250]])
