"""Scores of labels are those of scikit-learn, scipy and seqeval on the same predictions."""

import warnings

import numpy as np
import pytest

from evaluation import scores


def labels(seed: int, count: int, C: int, right: float = 0.6):
  """(gold, predicted): of that share right, the rest by chance."""
  random = np.random.default_rng(seed)
  gold_N = random.integers(0, C, count)
  other_N = random.integers(0, C, count)
  return gold_N, np.where(random.random(count) < right, gold_N, other_N)


@pytest.mark.parametrize('C', [2, 3, 7])
@pytest.mark.parametrize('seed', range(10))
def test_scores_of_classes_are_those_of_scikit_learn(C, seed):
  metrics = pytest.importorskip('sklearn.metrics')
  gold_N, said_N = labels(seed, 40 if seed else 3, C)
  found = scores.classes(gold_N, said_N, C)
  assert found['accuracy'] == pytest.approx(metrics.accuracy_score(gold_N, said_N))
  assert found['mcc'] == pytest.approx(metrics.matthews_corrcoef(gold_N, said_N))
  if C == 2:
    assert found['f1'] == pytest.approx(metrics.f1_score(gold_N, said_N, zero_division=0))
  else:
    expected = metrics.f1_score(gold_N, said_N, average='macro', zero_division=0)
    assert found['macro_f1'] == pytest.approx(expected)


def test_a_constant_answer_has_no_correlation():
  gold_N = np.array([0, 1, 1, 1])
  assert scores.classes(gold_N, np.ones(4, int), 2)['mcc'] == 0
  found = scores.numbers(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
  assert found == dict(pearson=0.0, spearman=0.0, mse=2.5)


@pytest.mark.parametrize('seed', range(10))
def test_scores_of_several_classes_are_those_of_scikit_learn(seed):
  metrics = pytest.importorskip('sklearn.metrics')
  random = np.random.default_rng(seed)
  gold_NxC, said_NxC = random.random((2, 30, 4)) < 0.3
  found = scores.several(gold_NxC, said_NxC)
  for name, average in dict(f1='micro', macro_f1='macro').items():
    expected = metrics.f1_score(gold_NxC, said_NxC, average=average, zero_division=0)
    assert found[name] == pytest.approx(expected), name
  assert found['accuracy'] == pytest.approx(metrics.accuracy_score(gold_NxC, said_NxC))


@pytest.mark.parametrize('seed', range(5))
def test_scores_of_numbers_are_those_of_numpy_and_of_ranks(seed):
  random = np.random.default_rng(seed)
  gold_N = random.integers(0, 6, 50) / 2  # with ties
  said_N = gold_N + random.normal(size=50)
  found = scores.numbers(gold_N, said_N)
  assert found['pearson'] == pytest.approx(np.corrcoef(gold_N, said_N)[0, 1])
  rank = lambda x: np.array([np.mean(np.flatnonzero(np.sort(x) == value)) for value in x])
  assert found['spearman'] == pytest.approx(np.corrcoef(rank(gold_N), rank(said_N))[0, 1])
  assert found['mse'] == pytest.approx(np.mean((gold_N - said_N) ** 2))


TAGS = [f'{mark}-{kind}' for mark in 'BIES' for kind in ('PER', 'LOC', 'NP-SBJ')] + ['O'] * 4


@pytest.mark.parametrize('marks', ['BI', 'BIES'])
@pytest.mark.parametrize('seed', range(25))
def test_entities_are_those_of_seqeval(seed, marks):
  """Also where tags follow no scheme: any order of marks and types."""
  seqeval = pytest.importorskip('seqeval.metrics')
  random = np.random.default_rng(seed)
  tags = [tag for tag in TAGS if tag[0] in marks + 'O']
  gold = [list(random.choice(tags, random.integers(1, 12))) for _ in range(20)]
  said = [
    [tag if random.random() < 0.7 else str(random.choice(tags)) for tag in row] for row in gold
  ]
  gold = [list(map(str, row)) for row in gold]
  found = scores.entities(zip(gold, said))
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    report = seqeval.classification_report(gold, said, output_dict=True, zero_division=0)
    assert found['']['f1'] == pytest.approx(seqeval.f1_score(gold, said, zero_division=0))
    for kind, entry in found.items():
      theirs = report[kind or 'micro avg']
      assert entry['f1'] == pytest.approx(theirs['f1-score']), kind
      assert entry['precision'] == pytest.approx(theirs['precision'])
      assert entry['recall'] == pytest.approx(theirs['recall'])
      assert entry['entities'] == theirs['support']


@pytest.mark.parametrize(
  'tags, spans',
  [
    ('B-A I-A O B-B', [(0, 2, 'A'), (3, 4, 'B')]),
    ('I-A I-A I-B O I-A', [(0, 2, 'A'), (2, 3, 'B'), (4, 5, 'A')]),  # IOB1
    ('I-A B-A I-A', [(0, 1, 'A'), (1, 3, 'A')]),
    ('S-A B-A E-A S-B O', [(0, 1, 'A'), (1, 3, 'A'), (3, 4, 'B')]),
    ('U-A B-A I-A L-A U-A', [(0, 1, 'A'), (1, 4, 'A'), (4, 5, 'A')]),  # BILOU
  ],
)
def test_every_scheme_of_tags_is_read(tags, spans):
  assert scores.spans(tags.split()) == spans
