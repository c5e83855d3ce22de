import random

import numpy as np
import pytest

from data.errors import DataError
from data.rows import packed, records, whole_sentences
from data.tokens import vocabulary

T = 16


@pytest.fixture(scope='module')
def tokenizer():
  return vocabulary.train_wordpiece(['the cat sat on the mat'], 60, lowercase=True)


def write_documents(path, documents, vocab_size):
  dtype = records.token_dtype(vocab_size)
  with records.Writer(path, dtype) as writer:
    for document in documents:
      writer.write(document)
  return records.Reader(path, dtype)


def random_documents(count=300, seed=0):
  rng = np.random.default_rng(seed)
  return [
    [rng.integers(5, 30, rng.integers(1, 20)) for _ in range(rng.integers(1, 5))]
    for _ in range(count)
  ]


@pytest.mark.parametrize('size, itemsize', [(65_536, 2), (65_537, 4), (70_000, 4)])
def test_every_id_survives_the_disk(tmp_path, size, itemsize):
  assert records.token_dtype(size).itemsize == itemsize
  pieces = [np.array([0, size - 1]), np.array([7])]
  reader = write_documents(tmp_path / 'a', [pieces, pieces[:1]], size)
  lengths, tokens = reader.read([0])[0]
  assert lengths.tolist() == [2, 1] and tokens.tolist() == [0, size - 1, 7]
  assert [piece.tolist() for piece in records.split_pieces(lengths, tokens)] == [[0, size - 1], [7]]
  assert len(reader) == 2 == len(list(reader))


def test_a_document_is_framed_once_and_nothing_of_it_is_lost():
  for length in range(1, 5 * T):
    tokens = np.arange(100, 100 + length)
    cut = list(packed.pieces(tokens, bos=1, eos=2, T=T))
    assert all(piece[0] == 1 and len(piece) <= T for piece in cut)
    assert cut[-1][-1] == 2
    np.testing.assert_array_equal(np.concatenate([piece[1:] for piece in cut])[:-1], tokens)
    assert len(cut) == -(-(length + 1) // (T - 1))


def test_best_fit_uses_every_piece_once_and_wastes_little():
  rng = random.Random(0)
  for _ in range(50):
    lengths = [rng.randint(1, T) for _ in range(rng.randrange(1, 200))]
    bins = packed.best_fit(lengths, T)
    assert sorted(index for members in bins for index in members) == list(range(len(lengths)))
    sizes = [sum(lengths[index] for index in members) for members in bins]
    assert max(sizes) <= T
    # Best fit decreasing never needs more than 11/9 of the optimum, plus one.
    assert len(bins) <= 11 / 9 * -(-sum(lengths) // T) + 1 + sum(
      length > T / 2 for length in lengths
    )
  assert packed.best_fit([9, 8, 7, 5, 3], 16) == [[0, 2], [1, 3, 4]]


def test_packing_conserves_every_token(tmp_path, tokenizer):
  documents = random_documents()
  reader = write_documents(tmp_path / 'a', documents, tokenizer.size)
  summary = packed.pack(reader, tmp_path / 'rows', tokenizer, T, lambda *_: None)
  text = sum(len(sentence) for document in documents for sentence in document)
  assert summary['tokens'] == text + summary['framing']
  rows = packed.Packed(tmp_path / 'rows', tokenizer, T)
  batch = rows.read(np.arange(len(rows)), None)
  assert (batch['segment'] > 0).sum() == summary['tokens']
  content = batch['token'][(batch['segment'] > 0) & ~tokenizer.special_V[batch['token']]]
  expected = np.concatenate([sentence for document in documents for sentence in document])
  np.testing.assert_array_equal(np.sort(content), np.sort(expected))


def test_windows_do_not_lose_the_pieces_between_them(tmp_path, tokenizer, monkeypatch):
  monkeypatch.setattr(packed, 'WINDOW', 7)
  test_packing_conserves_every_token(tmp_path, tokenizer)


def test_a_segment_is_one_piece_and_starts_with_begin(tmp_path, tokenizer):
  reader = write_documents(tmp_path / 'a', random_documents(), tokenizer.size)
  packed.pack(reader, tmp_path / 'rows', tokenizer, T, lambda *_: None)
  rows = packed.Packed(tmp_path / 'rows', tokenizer, T)
  batch = rows.read(np.arange(len(rows)), None)
  for token, segment in zip(batch['token'], batch['segment']):
    starts = np.flatnonzero(np.diff(segment, prepend=0) > 0)
    assert (token[starts] == tokenizer.bos).all()
    assert (token == tokenizer.bos).sum() == len(starts) == segment.max()
    assert (token[segment == 0] == tokenizer.pad).all()
  assert (batch['type'] == 0).all()
  assert all(array.dtype == np.int32 for array in batch.values())


def numbered_documents(count=200, longest=20, seed=0):
  """Documents of sentences whose tokens are all different, so that each says where it is from."""
  rng, first, documents = random.Random(seed), 100, []
  for _ in range(count):
    lengths = [rng.randint(1, longest) for _ in range(rng.randint(1, 6))]
    document = []
    for length in lengths:
      document.append(np.arange(first, first + length))
      first += length
    documents.append(document)
  return documents


def full_sentences(documents, bos, eos, T):
  """RoBERTa's FULL-SENTENCES, one token after another."""
  rows, row = [], []
  for document in documents:
    sentences = [s[i : i + T - 2] for s in document for i in range(0, len(s), T - 2)]
    for number, sentence in enumerate(sentences):
      separator = [eos] if number == 0 and row else []
      if len(row) + len(separator) + len(sentence) + 2 > T:
        rows.append([bos, *row, eos])
        row, separator = [], []
      row += [*separator, *sentence.tolist()]
  return [*rows, [bos, *row, eos]]


@pytest.mark.parametrize('longest', [T - 2, 3 * T])
@pytest.mark.parametrize('seed', range(5))
def test_full_sentences_go_on_into_the_next_document(tmp_path, tokenizer, seed, longest):
  documents = numbered_documents(longest=longest, seed=seed)
  reader = write_documents(tmp_path / 'a', documents, 60_000)
  whole_sentences.write_full(reader, tmp_path / 'rows', tokenizer, T, lambda *_: None)
  expected = full_sentences(documents, tokenizer.bos, tokenizer.eos, T)
  found = list(records.Reader(tmp_path / 'rows', records.token_dtype(tokenizer.size)))
  assert [tokens.tolist() for _, tokens in found] == expected
  assert all(len(lengths) == 1 for lengths, _ in found)
  crossing = [row for row in expected if tokenizer.eos in row[:-1]]
  assert len(crossing) > 10


@pytest.mark.parametrize('longest', [T - 2, 3 * T])
@pytest.mark.parametrize('seed', range(5))
def test_doc_sentences_are_pieces_of_one_document_as_long_as_they_can_be(
  tmp_path, tokenizer, seed, longest
):
  documents = numbered_documents(longest=longest, seed=seed)
  reader = write_documents(tmp_path / 'a', documents, 60_000)
  whole_sentences.write_of_documents(reader, tmp_path / 'rows', tokenizer, T, lambda *_: None)
  # each document by itself: nothing of another one can be in its rows
  alone = [full_sentences([document], tokenizer.bos, tokenizer.eos, T) for document in documents]
  expected = sorted(row for rows in alone for row in rows)
  found = []
  for lengths, tokens in records.Reader(tmp_path / 'rows', records.token_dtype(tokenizer.size)):
    assert len(tokens) <= T
    found += [piece.tolist() for piece in records.split_pieces(lengths, tokens)]
  assert sorted(found) == expected


def test_an_empty_row_is_all_padding(tmp_path, tokenizer):
  reader = write_documents(tmp_path / 'a', random_documents(5), tokenizer.size)
  packed.pack(reader, tmp_path / 'rows', tokenizer, T, lambda *_: None)
  batch = packed.Packed(tmp_path / 'rows', tokenizer, T).read(np.array([0, -1]), None)
  assert batch['id'].tolist() == [0, -1]
  assert (batch['segment'][1] == 0).all() and (batch['token'][1] == tokenizer.pad).all()


def test_a_disk_that_is_full_is_the_environments_fault_and_says_so(tmp_path):
  resource = pytest.importorskip('resource')
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(
    resource.RLIMIT_FSIZE, (4_096, hard)
  )  # of one file, as root cannot fill a disk
  try:
    with pytest.raises(OSError, match='rows cannot be written: File too large; .* bytes are free'):
      write_documents(tmp_path / 'rows', random_documents(3_000), 30)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize('seed', range(150))
def test_damaged_rows_are_refused_or_are_the_rows_that_were_written(tmp_path, seed):
  path, draw = tmp_path / 'rows', random.Random(seed)
  written = [tokens.tolist() for _, tokens in write_documents(path, random_documents(50), 30)]
  content = bytearray(path.read_bytes())
  for _ in range(draw.choice((1, 3, 30))):
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
  path.write_bytes(content)  # a file that was cut has another length than its manifest says
  try:
    reader = records.Reader(path, records.token_dtype(30))
    found = [tokens.tolist() for _, tokens in reader]
  except DataError as error:
    assert 'rows is damaged' in str(error) and 'run again' in str(error)
  else:
    assert found == written


def test_a_file_without_rows_is_read_as_one(tmp_path):
  assert len(write_documents(tmp_path / 'rows', [], 30)) == 0
