"""Scores of labels, against counts made by hand."""

import pytest

from data.tasks.labelled import Example, Task
from evaluation import labels


def test_chunk_f1_counts_exact_chunks_only():
  gold = 'B-NP I-NP I-NP O B-VP B-NP I-NP'.split()
  # the first chunk is cut in two: neither part is right
  cut = 'B-NP I-NP B-NP O B-VP B-NP I-NP'.split()
  assert labels.chunks(gold) == [(0, 3, 'NP'), (4, 5, 'VP'), (5, 7, 'NP')]
  assert labels.chunks(cut) == [(0, 2, 'NP'), (2, 3, 'NP'), (4, 5, 'VP'), (5, 7, 'NP')]
  found = labels.chunk_scores([(gold, cut)])
  assert found == dict(
    chunk_f1=pytest.approx(2 * 2 / (3 + 4)), chunk_precision=2 / 4, chunk_recall=2 / 3
  )


def test_a_chunk_of_the_wrong_type_or_length_is_wrong():
  gold = 'B-NP I-NP O'.split()
  for guess in ('B-VP I-VP O', 'B-NP O O', 'B-NP I-NP I-NP', 'O O O'):
    assert labels.chunk_scores([(gold, guess.split())])['chunk_f1'] == 0
  assert labels.chunk_scores([(gold, gold)])['chunk_f1'] == 1


def test_an_inside_that_continues_nothing_begins_a_chunk():
  assert labels.chunks('I-NP I-NP I-VP O I-PP'.split()) == [
    (0, 2, 'NP'),
    (2, 3, 'VP'),
    (4, 5, 'PP'),
  ]


def test_chunks_do_not_cross_sentences():
  one = [(['B-NP'], ['B-NP']), (['B-NP', 'I-NP'], ['B-NP', 'O'])]
  assert labels.chunk_scores(one)['chunk_f1'] == pytest.approx(2 * 1 / (2 + 2))


def test_words_are_scored_by_chunks_first():
  task = Task('conll2000', 'words', ('O', 'B-NP', 'I-NP'), {})
  found = labels.score(task, [(1, 2, 0)], [[1, 0, 0]])
  assert (
    list(found)[0] == labels.HEADLINE['words']
    and found['chunk_f1'] == 0
    and found['word_accuracy'] == 2 / 3
  )


def test_f1_of_mrpc_is_that_of_equivalent():
  task = Task('mrpc', 'pair', ('not_equivalent', 'equivalent'), {})
  assert labels.score(task, [1, 1, 0, 0], [1, 0, 1, 0]) == dict(accuracy=0.5, f1=0.5)
  assert labels.score(task, [1, 1, 1, 0], [1, 1, 1, 1]) == dict(
    accuracy=0.75, f1=pytest.approx(6 / 7)
  )
  assert 'f1' not in labels.score(Task('rte', 'pair', ('a', 'b'), {}), [1, 0], [1, 1])


def test_baselines_are_of_the_training_labels():
  train = [Example((str(i),), label) for i, label in enumerate((0, 0, 1))]
  test = [Example(('x',), label) for label in (1, 1, 1, 0)]
  assert labels.baselines(
    Task('sst2', 'text', ('a', 'b'), dict(train=train, test=test)), 'test'
  ) == dict(majority=0.25)


def test_the_best_label_of_each_word_alone():
  train = [Example(('the', 'boat', 'sank'), (1, 2, 0)), Example(('the', 'sea', 'sea'), (1, 2, 0))]
  test = [Example(('the', 'sea', 'new'), (1, 2, 2))]
  task = Task('conll2000', 'words', ('B-VP', 'B-NP', 'I-NP'), dict(train=train, test=test))
  # "sea" is a tie between I-NP and B-VP, "new" takes the
  # majority's: both go to the lower index, B-VP.
  found = labels.baselines(task, 'test')
  assert labels.majority(task) == 0
  assert found == dict(majority=0.0, word_alone=0.0)
  easy = Task(
    'conll2000', 'words', task.classes, dict(train=train, test=[Example(('the', 'boat'), (1, 2))])
  )
  assert labels.baselines(easy, 'test')['word_alone'] == 1
