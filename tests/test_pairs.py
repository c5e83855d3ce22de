import numpy as np
import pytest

from data.rows import records, sentence_pairs
from data.tokens import vocabulary

T = 24


@pytest.fixture(scope='module')
def tokenizer():
  return vocabulary.train_wordpiece(['the cat sat on the mat'], 60, lowercase=True)


def sentence_code(document, number, length):
  """A sentence that says where it comes from: document * 100 + its number, over and over."""
  return np.full(length, 1_000 + document * 100 + number)


@pytest.fixture(scope='module')
def made(tmp_path_factory, tokenizer):
  folder = tmp_path_factory.mktemp('pairs')
  rng = np.random.default_rng(0)
  dtype = records.token_dtype(60_000)
  with records.Writer(folder / 'documents', dtype) as writer:
    for document in range(200):
      count = 1 if document % 10 == 0 else int(rng.integers(2, 12))
      writer.write([sentence_code(document, n, int(rng.integers(1, 30))) for n in range(count)])
  reader = records.Reader(folder / 'documents', dtype)
  summary = sentence_pairs.chunk(
    reader, folder / 'train.arrayrecord', tokenizer, T, lambda *_: None
  )
  return folder / 'train.arrayrecord', summary


@pytest.fixture(scope='module')
def single(made, tokenizer):
  """Chunks of the same documents, for pairs of single sentences."""
  folder = made[0].parent / 'single'
  folder.mkdir()
  reader = records.Reader(made[0].parent / 'documents', records.token_dtype(60_000))
  sentence_pairs.chunk_neighbours(
    reader, folder / 'train.arrayrecord', tokenizer, T, lambda *_: None
  )
  return (folder / 'train.arrayrecord',)


def draw(made, tokenizer, epochs=20, short=0.1, seed=0, wrong='random', single=False):
  source = sentence_pairs.Pairs(made[0], tokenizer, T, short, seed, wrong, single)
  ids = np.tile(np.arange(len(source)), epochs)
  return source.read(ids, np.arange(len(ids)))


def sides(batch):
  """(A, B) of each row, without the framing."""
  for token, kind, segment in zip(batch['token'], batch['type'], batch['segment']):
    length = segment.sum()
    middle = length - kind.sum()
    yield token[1 : middle - 1], token[middle : length - 1]


def test_chunks_are_whole_runs_of_at_least_two_sentences():
  rng = np.random.default_rng(0)
  for _ in range(500):
    lengths = rng.integers(1, 30, rng.integers(1, 20))
    bounds = sentence_pairs.chunk_bounds(lengths, T - 3)
    assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])]
    assert bounds[-1][1] == len(lengths)
    assert all(stop - start >= 2 for start, stop in bounds) or len(lengths) == 1
    assert all(lengths[start:stop].sum() >= T - 3 for start, stop in bounds[:-1])


def test_rows_are_framed_and_never_too_long(made, tokenizer):
  batch = draw(made, tokenizer, short=0.5)
  for token, kind, segment, (a, b) in zip(
    batch['token'], batch['type'], batch['segment'], sides(batch)
  ):
    length = len(a) + len(b) + 3
    assert len(a) and len(b) and length <= T
    np.testing.assert_array_equal(np.flatnonzero(token == tokenizer.eos), [len(a) + 1, length - 1])
    assert (
      token[0] == tokenizer.bos and (segment[:length] == 1).all() and (segment[length:] == 0).all()
    )
    assert (kind[len(a) + 2 : length] == 1).all() and kind.sum() == len(b) + 1
    assert (token[length:] == tokenizer.pad).all()


def test_half_of_the_labels_are_random(made, tokenizer):
  labels = draw(made, tokenizer)['label']
  assert len(labels) > 5_000 and 0.48 < labels.mean() < 0.52


def test_random_b_is_from_another_document_and_next_b_is_the_next_sentence(made, tokenizer):
  batch = draw(made, tokenizer)
  for label, (a, b) in zip(batch['label'], sides(batch)):
    document_a, document_b = (a - 1_000) // 100, (b - 1_000) // 100
    assert len(set(document_a)) == len(set(document_b)) == 1
    if label == sentence_pairs.IS_WRONG:
      assert document_a[0] != document_b[0]
    else:
      assert document_a[0] == document_b[0] and (np.diff(np.concatenate([a, b])) >= 0).all()
      assert b[0] > a[-1]


def test_a_swapped_pair_has_its_second_half_first_and_never_another_document(made, tokenizer):
  batch = draw(made, tokenizer, wrong='swapped')
  assert 0.48 < batch['label'].mean() < 0.52
  for label, (a, b) in zip(batch['label'], sides(batch)):
    assert len({*((a - 1_000) // 100), *((b - 1_000) // 100)}) == 1
    assert (b[0] > a[-1]) == (label == sentence_pairs.IS_NEXT) and (a[0] > b[-1]) == (
      label == sentence_pairs.IS_WRONG
    )


@pytest.mark.parametrize('wrong', sentence_pairs.WRONG)
def test_a_pair_of_sentences_has_one_on_each_side(made, single, tokenizer, wrong):
  batch = draw(single, tokenizer, wrong=wrong, single=True)
  assert 0.48 < batch['label'].mean() < 0.52
  seen = set()
  for label, (a, b) in zip(batch['label'], sides(batch)):
    (code_a,), (code_b,) = set(a), set(b)
    seen |= {code_a, code_b}
    if label == sentence_pairs.IS_NEXT:
      assert code_b == code_a + 1
    elif wrong == 'swapped':
      assert code_b == code_a - 1
    else:
      assert code_b // 100 != code_a // 100
  records_of = records.Reader(made[0].parent / 'documents', records.token_dtype(60_000))
  every = {int(token) for lengths, tokens in records_of if len(lengths) > 1 for token in tokens}
  assert every <= seen  # no sentence is left out, the third of three neither


def test_a_random_b_may_run_over_the_end_of_its_chunk(made, tokenizer):
  source = sentence_pairs.Pairs(made[0], tokenizer, T, 0.0, 0, 'random')
  first = np.array([0])
  drawn = [source._random_other(source._generator.at(i), 3, first, 150) for i in range(400)]
  longest_chunk = max(lengths.sum() for lengths, _ in source._reader)
  assert max(map(len, drawn)) > longest_chunk
  assert all(len(set((b - 1_000) // 100)) == 1 for b in drawn)


def test_single_sentence_documents_serve_as_random_b_only(made, tokenizer):
  batch = draw(made, tokenizer)
  assert made[1]['single_sentence_documents'] == 20
  as_a = {int(a[0] - 1_000) // 100 for a, _ in sides(batch)}
  as_b = {int(b[0] - 1_000) // 100 for _, b in sides(batch)}
  single = set(range(0, 200, 10))
  assert not as_a & single and single <= as_b


def test_another_look_at_a_row_draws_another_pair_and_the_same_look_the_same(made, tokenizer):
  source = sentence_pairs.Pairs(made[0], tokenizer, T, 0.1, 0, 'random')
  ids = np.arange(50)
  first, again = source.read(ids, ids), source.read(ids[::-1], ids[::-1])
  for name in first:
    np.testing.assert_array_equal(first[name], again[name][::-1])
  later, other_seed = (
    source.read(ids, ids + 50),
    sentence_pairs.Pairs(made[0], tokenizer, T, 0.1, 1, 'random').read(ids, ids),
  )
  for other in (later, other_seed):
    assert (first['token'] != other['token']).any(axis=1).mean() > 0.5


def test_a_copy_of_the_continuation_is_not_a_random_b(tmp_path, tokenizer):
  """All documents are the same but one, so most draws are copies of the true continuation."""
  dtype = records.token_dtype(60_000)
  with records.Writer(tmp_path / 'documents', dtype) as writer:
    for document in range(40):
      writer.write(
        [np.full(3, 100 + n) for n in range(2)] if document else [np.full(3, 7), np.full(3, 8)]
      )
  reader = records.Reader(tmp_path / 'documents', dtype)
  sentence_pairs.chunk(reader, tmp_path / 'rows', tokenizer, T, lambda *_: None)
  source = sentence_pairs.Pairs(tmp_path / 'rows', tokenizer, T, 0.0, 0, 'random')
  ids = np.tile(np.arange(len(source)), 20)
  batch = source.read(ids, np.arange(len(ids)))
  assert 0.4 < batch['label'].mean() < 0.6
  for label, (a, b) in zip(batch['label'], sides(batch)):
    assert label == sentence_pairs.IS_NEXT or not (a[0] == 100 and b[0] == 101)


def test_short_pairs_are_short(tmp_path, made, tokenizer):
  reader = records.Reader(made[0].parent / 'documents', records.token_dtype(60_000))
  sentence_pairs.chunk(reader, tmp_path / 'rows', tokenizer, 100, lambda *_: None)
  length = {}
  for short in (0.0, 1.0):
    source = sentence_pairs.Pairs(tmp_path / 'rows', tokenizer, 100, short, 0, 'random')
    ids = np.arange(len(source))
    length[short] = source.read(ids, ids)['segment'].sum(axis=1).mean()
  assert length[1.0] < 0.8 * length[0.0]


def test_truncation_takes_from_the_longer_side_at_both_ends():
  rng = np.random.default_rng(0)
  starts = []
  for _ in range(500):
    a, b = np.arange(rng.integers(1, 80)), np.arange(rng.integers(1, 80))
    left, right = sentence_pairs.truncate(a, b, 21, rng)
    assert len(left) + len(right) == min(21, len(a) + len(b))
    assert len(left) >= min(len(a), 10) and len(right) >= min(len(b), 10)
    assert (np.diff(left) == 1).all() and (np.diff(right) == 1).all()
    if len(a) > len(left) + 20:
      starts.append(left[0] / (len(a) - len(left)))
  assert 0.45 < np.mean(starts) < 0.55


def test_an_empty_row_has_no_pair(made, tokenizer):
  batch = sentence_pairs.Pairs(made[0], tokenizer, T, 0.1, 0, 'random').read(
    np.array([3, -1]), np.array([0, 1])
  )
  assert (
    batch['id'].tolist() == [3, -1] and not batch['segment'][1].any() and not batch['type'][1].any()
  )
