"""Exact inference against the sum over all strings, whose
probabilities are written down here without an automaton.
"""

import itertools
import math

import numpy as np
import pytest

from data.corpora import synthetic
from evaluation.synthetic import exact

CUES = {'bank_1': ('river', 'water', 'boat', 'fish'), 'bank_2': ('money', 'loan', 'cash', 'gold')}


def clauses():
  """Every clause with its probability."""
  for article, sense, verb, link in itertools.product(
    ('the', 'a', 'this', 'that'), CUES, ('is', 'was'), ('near', 'beside')
  ):
    for cue in CUES[sense]:
      yield (article, sense, verb, link, cue), 1 / 4 / 2 / 2 / 2 / 4


def ambiguous_strings():
  for (one, p), (two, q) in itertools.product(clauses(), repeat=2):
    yield one + two, p * q


def markov_strings(length, stays=0.9, own=0.8):
  words = [letter + digit for letter in 'abc' for digit in '12']
  for string in itertools.product(words, repeat=length):
    total = 0.0
    for topics in itertools.product('abc', repeat=length):
      p = 1 / 3
      for before, topic in itertools.pairwise(topics):
        p *= stays if before == topic else (1 - stays) / 2
      for topic, word in zip(topics, string):
        p *= own / 2 if word[0] == topic else (1 - own) / 4
      total += p
    yield string, total


def bracket_strings():
  """Two nests of two kinds of brackets."""
  closes = {'(': ')', '[': ']'}
  for a, b, letter, c, d, last in itertools.product('([', '([', 'xy', '([', '([', 'xy'):
    yield (a, b, closes[b], closes[a], letter, c, d, closes[d], closes[c], last), 1 / 2**6


CASES = {
  'ambiguous': lambda: (synthetic.ambiguous(clauses=2), ambiguous_strings()),
  'hidden_markov': lambda: (synthetic.hidden_markov(length=4), markov_strings(4)),
  'brackets': lambda: (synthetic.brackets(nests=2, kinds=2), bracket_strings()),
}


@pytest.fixture(scope='module', params=CASES)
def case(request):
  """(language, every string that it can write, NxT, their probabilities, N)."""
  language, strings = CASES[request.param]()
  number = {word: index for index, word in enumerate(language.words)}
  words, probabilities = zip(*strings)
  return (
    language,
    np.array([[number[word] for word in string] for string in words]),
    np.array(probabilities),
  )


def enumerated(word_NxT, probability_N, string_T, visible_T, t, W):
  """p(word t | the visible ones), W, by adding up the strings that agree with them."""
  others_T = visible_T & (np.arange(len(string_T)) != t)
  agrees_N = (word_NxT == string_T)[:, others_T].all(axis=1)
  weight_W = np.bincount(word_NxT[agrees_N, t], probability_N[agrees_N], minlength=W)
  return weight_W / weight_W.sum()


@pytest.mark.parametrize('two_sided', [True, False])
def test_posteriors_are_sums_over_all_strings(case, two_sided):
  language, word_NxT, probability_N = case
  T, W = language.length, len(language.words)
  random = np.random.default_rng(0)
  chosen_N = random.choice(len(word_NxT), 12, p=probability_N)
  visible_NxT = random.random((12, T)) < np.linspace(0.2, 1.0, 12)[:, None]
  found_NxTxW = exact.posterior(language, word_NxT[chosen_N], visible_NxT, two_sided=two_sided)
  for n, t in itertools.product(range(12), range(T)):
    seen_T = visible_NxT[n] if two_sided else visible_NxT[n] & (np.arange(T) < t)
    expected_W = enumerated(word_NxT, probability_N, word_NxT[chosen_N[n]], seen_T, t, W)
    np.testing.assert_allclose(found_NxTxW[n, t], expected_W, atol=1e-12)


def test_a_left_only_reader_pays_the_entropy_of_the_document(case):
  """The chain rule, over every string there is; and the closed form where words tell the state."""
  language, word_NxT, probability_N = case
  left_NxTxW = exact.posterior(language, word_NxT, np.ones_like(word_NxT, bool), two_sided=False)
  expected_T = probability_N @ exact.nats(left_NxTxW, word_NxT)
  assert expected_T.sum() == pytest.approx(-(probability_N * np.log(probability_N)).sum(), rel=1e-9)
  np.testing.assert_allclose(probability_N @ exact.entropy(left_NxTxW), expected_T, rtol=1e-9)
  closed_T = exact.left_only(language)
  if len(language.start_Z) == 3:
    assert closed_T is None  # topics are never seen
  else:
    np.testing.assert_allclose(closed_T, expected_T, atol=1e-12)


def test_a_reader_that_sees_more_never_pays_more_at_any_position(case):
  language, word_NxT, probability_N = case
  all_NxT = np.ones_like(word_NxT, bool)
  cost = lambda visible_NxT, two_sided: (
    probability_N
    @ exact.entropy(exact.posterior(language, word_NxT, visible_NxT, two_sided=two_sided))
  )
  left_T, both_T = cost(all_NxT, False), cost(all_NxT, True)
  assert (both_T <= left_T + 1e-12).all() and both_T.sum() < 0.97 * left_T.sum()
  np.testing.assert_allclose(both_T[-1], left_T[-1])  # nothing stands to the right of the last word
  for t in range(language.length):  # the same words hidden, asked from both sides and from the left
    hides_NxT = all_NxT & ~np.isin(np.arange(language.length), [t, (t + 3) % language.length])[None]
    some_T = cost(hides_NxT, True)[t], cost(hides_NxT, False)[t]
    assert both_T[t] - 1e-12 <= some_T[0] <= some_T[1] + 1e-12 and some_T[1] >= left_T[t] - 1e-12


def test_the_sense_of_the_ambiguous_word_is_worth_ln_2_to_its_right():
  language = synthetic.ambiguous()
  word_NxT = language.sample(50, 1)
  all_NxT = np.ones_like(word_NxT, bool)
  left_T, both_T = (
    exact.entropy(exact.posterior(language, word_NxT, all_NxT, two_sided=two)).mean(axis=0)
    for two in (False, True)
  )
  ln2 = math.log(2)
  np.testing.assert_allclose(
    left_T.reshape(6, 5), np.tile([2 * ln2, ln2, ln2, ln2, 2 * ln2], (6, 1))
  )
  np.testing.assert_allclose(
    (left_T - both_T).reshape(6, 5), np.tile([0, ln2, 0, 0, 0], (6, 1)), atol=1e-12
  )


def test_hidden_cues_cost_what_the_closed_form_says():
  """k of n words hidden: the sense is in doubt exactly where its cue
  is hidden as well, so (k - 1) / (n - 1) ln 2.
  """
  language = synthetic.ambiguous()
  word_NxT = language.sample(3_000, 2)
  n, k, ln2 = language.length, 9, math.log(2)
  visible_NxT = np.random.default_rng(0).random(word_NxT.shape).argsort(axis=1).argsort(axis=1) >= k
  cost_NxT = exact.entropy(exact.posterior(language, word_NxT, visible_NxT, two_sided=True))
  at = lambda slot: cost_NxT[:, slot::5][~visible_NxT[:, slot::5]].mean()
  doubt = (k - 1) / (n - 1) * ln2
  assert [at(slot) for slot in range(5)] == pytest.approx(
    [2 * ln2, doubt, ln2, ln2, 2 * ln2 + doubt], abs=0.02
  )
