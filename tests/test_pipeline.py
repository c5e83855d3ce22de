import hashlib
import json
import os
from pathlib import Path
import random
import subprocess
import sys
import types

import numpy as np
import pytest

from data import cache, pipeline, report
from data.errors import DataError
from data.rows import documents, records
from data.rows.batches import Batches

T, VOCABULARY = 32, 400
WORDS = (
  'the of and to in is was for on as with by from at an are were which this that house garden'
).split()


def write_text(path, count=120, seed=0):
  rng = random.Random(seed)

  def sentence():
    return ' '.join(rng.choices(WORDS, k=rng.randint(3, 15))).capitalize() + '.'

  paragraphs = ['\n'.join(sentence() for _ in range(rng.randint(1, 9))) for _ in range(count)]
  path.write_text('\n\n'.join(paragraphs))
  return paragraphs


def settings(folder, **changes):
  return types.SimpleNamespace(
    **dict(
      corpus=f'text:{folder / "corpus.txt"}',
      cache=str(folder / 'cache'),
      tokenizer='wordpiece',
      lowercase=True,
      short_pair_share=0.1,
      split='hash',
      rows='auto',
      validation_share=0.2,
      max_unknown_share=0.05,
    )
    | changes
  )


def prepare(data, pairs=None, lengths=(T,), vocab_size=VOCABULARY, **options):
  return pipeline.prepare(
    data, vocab_size=vocab_size, sequence_lengths=lengths, pairs=pairs, **options
  )


def get_batches(prepared, pairs=None, **options):
  chosen = dict(sequence_length=T, pairs=pairs, batch_size=8, seed=0) | options
  return pipeline.batches(prepared, **chosen)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pipeline')
  write_text(folder / 'corpus.txt')
  return folder


@pytest.fixture(scope='module', params=[None, 'random'], ids=['packed', 'pairs'])
def pairs(request):
  return request.param


@pytest.fixture(scope='module')
def prepared(folder, pairs):
  return prepare(settings(folder), pairs)


def test_the_report_adds_up(prepared, folder, pairs):
  found = prepared.report
  assert found['documents'] == 120 == found['train']['documents'] + found['validation']['documents']
  assert found['words'] == len((folder / 'corpus.txt').read_text().split())
  assert found['tokens'] == found['train']['tokens'] + found['validation']['tokens']
  for split in documents.SPLITS:
    rows = found['rows'][str(T)][split]
    assert rows['tokens'] == found[split]['tokens'] + (0 if pairs else rows['framing'])
  assert 2 < found['unigram_entropy'] < np.log(prepared.tokenizer.size)
  assert json.loads(json.dumps(found)) == found
  table = report.format_report(found)
  assert (
    '120' in table
    and 'nats' in table
    and max(map(len, table.replace(str(folder), '').splitlines())) < 110
  )


def test_a_batch_is_a_function_of_seed_and_step(prepared, pairs):
  first, again = get_batches(prepared, pairs), get_batches(prepared, pairs)
  for step in (5, 0, 99, 5):
    left, right = first[step], again[step]
    assert (
      left.keys()
      == right.keys()
      == {'token', 'segment', 'type', 'id', 'epoch'} | ({'label'} if pairs else set())
    )
    for name in left:
      assert left[name].dtype == np.int32
      np.testing.assert_array_equal(left[name], right[name])
    np.testing.assert_array_equal(left['id'], first.ids(step))
  other = get_batches(prepared, pairs, seed=1)
  assert (first.ids(0) != other.ids(0)).any()


def test_an_epoch_shows_every_row_once_and_the_next_in_another_order(prepared, pairs):
  found = get_batches(prepared, pairs)
  ids = np.concatenate([found.ids(step) for step in range(2 * len(found) + 2)])
  first, second = ids[: found.rows], ids[found.rows : 2 * found.rows]
  assert sorted(first) == sorted(second) == list(range(found.rows))
  assert (first != second).any()


def test_batch_size_and_processes_change_the_cut_and_not_the_rows(prepared, pairs):
  whole = get_batches(prepared, pairs, batch_size=12)
  for step in (0, 7):
    parts = [
      get_batches(prepared, pairs, batch_size=12, local_rows=local_rows)[step]
      for local_rows in (range(4), range(4, 8), range(8, 12))
    ]
    for name, array in whole[step].items():
      np.testing.assert_array_equal(array, np.concatenate([part[name] for part in parts]))
  small = [get_batches(prepared, pairs, batch_size=4)[step]['token'] for step in range(3)]
  np.testing.assert_array_equal(np.concatenate(small), whole[0]['token'])
  scattered = get_batches(prepared, pairs, batch_size=12, local_rows=[1, 5, 9])[7]
  for name, array in whole[7].items():
    np.testing.assert_array_equal(array[[1, 5, 9]], scattered[name])


@pytest.mark.parametrize('batch_size', [1, 7, 8, 9, 37, 1_000])
def test_validation_shows_every_row_exactly_once(prepared, pairs, batch_size):
  found = get_batches(prepared, pairs, split='validation', batch_size=batch_size)
  seen = [found[step] for step in range(len(found))]
  ids = np.concatenate([batch['id'] for batch in seen])
  assert all(len(batch['id']) == batch_size for batch in seen)
  assert ids[ids >= 0].tolist() == list(range(found.rows)) and len(ids) - found.rows < batch_size
  np.testing.assert_array_equal(
    ids, np.concatenate([found.ids(step) for step in range(len(found))])
  )
  assert not np.concatenate([batch['segment'] for batch in seen])[ids < 0].any()
  with pytest.raises(IndexError):
    found[len(found)]


def test_validation_shared_by_processes_covers_every_row(prepared, pairs):
  seen = []
  for index in range(4):
    found = get_batches(
      prepared, pairs, split='validation', batch_size=8, local_rows=[index, index + 4]
    )
    seen += [row for batch in found for row in batch['id'] if row >= 0]
  assert sorted(seen) == list(range(found.rows))


def test_a_document_keeps_its_split_whatever_comes_beside_it(tmp_path):
  paragraphs = write_text(tmp_path / 'corpus.txt', 200)
  held_out = {text for text in paragraphs if documents.position(text) < 0.2}
  assert 20 < len(held_out) < 60
  found = prepare(settings(tmp_path)).report['validation']['documents']
  assert found == len(held_out)
  (tmp_path / 'corpus.txt').write_text('\n\n'.join([*reversed(paragraphs), 'One more.']))
  again = prepare(settings(tmp_path)).report['validation']['documents']
  assert again == found + (documents.position('One more.') < 0.2)


def test_prepared_again_nothing_is_read_or_written(folder, prepared, pairs, monkeypatch):
  monkeypatch.setattr(documents, 'tokenise', None)
  files = {path: path.stat().st_mtime_ns for path in (folder / 'cache').rglob('*')}
  again = prepare(settings(folder), pairs)
  assert again.report == prepared.report and again.fingerprint == prepared.fingerprint
  assert {path: path.stat().st_mtime_ns for path in (folder / 'cache').rglob('*')} == files


def test_everything_that_decides_a_row_changes_the_fingerprint(tmp_path):
  write_text(tmp_path / 'corpus.txt')
  found = [
    prepare(settings(tmp_path)).fingerprint,
    prepare(settings(tmp_path), True).fingerprint,
    prepare(settings(tmp_path, short_pair_share=0.2), True).fingerprint,
    prepare(settings(tmp_path), lengths=(T, 64)).fingerprint,
    prepare(settings(tmp_path, validation_share=0.3)).fingerprint,
    prepare(settings(tmp_path, tokenizer='bpe')).fingerprint,
    prepare(settings(tmp_path), vocab_size=60).fingerprint,
    prepare(settings(tmp_path, rows='full_sentences')).fingerprint,
    prepare(settings(tmp_path, rows='doc_sentences')).fingerprint,
    prepare(settings(tmp_path, rows='sentence_pairs'), 'random').fingerprint,
    prepare(settings(tmp_path, rows='sentence_pairs'), 'swapped').fingerprint,
  ]
  write_text(tmp_path / 'corpus.txt', seed=1)
  found.append(prepare(settings(tmp_path)).fingerprint)
  assert len(set(found)) == len(found)


@pytest.mark.parametrize(
  'rows, pairs',
  [
    ('full_sentences', None),
    ('doc_sentences', None),
    ('sentence_pairs', 'random'),
    ('sentence_pairs', 'swapped'),
  ],
)
def test_rows_that_are_asked_for_keep_the_same_promises(folder, rows, pairs):
  prepared = prepare(settings(folder, rows=rows), pairs)
  assert prepared.report['kind'] == rows
  test_the_report_adds_up(prepared, folder, 'sentences' if pairs else None)
  test_a_batch_is_a_function_of_seed_and_step(prepared, pairs)
  test_an_epoch_shows_every_row_once_and_the_next_in_another_order(prepared, pairs)
  test_batch_size_and_processes_change_the_cut_and_not_the_rows(prepared, pairs)
  test_validation_shows_every_row_exactly_once(prepared, pairs, 9)


@pytest.mark.parametrize('rows, pairs', [('packed', None), ('segment_pairs', 'random')])
def test_the_rows_of_auto_have_names(folder, rows, pairs):
  named, auto = (prepare(settings(folder, rows=each), pairs) for each in (rows, 'auto'))
  assert named.fingerprint == auto.fingerprint and named.folders == auto.folders


def test_another_cache_gives_the_same_bytes(folder, prepared, pairs, tmp_path):
  again = prepare(settings(folder, cache=str(tmp_path)), pairs)
  assert again.fingerprint == prepared.fingerprint and again.report == prepared.report
  for file in ('train.arrayrecord', 'validation.arrayrecord'):
    left, right = (each.folders[T] / file for each in (prepared, again))
    assert hashlib.sha256(left.read_bytes()).digest() == hashlib.sha256(right.read_bytes()).digest()


def test_copies_of_a_document_are_counted(tmp_path):
  paragraphs = write_text(tmp_path / 'corpus.txt')
  paragraphs += [paragraphs[0], paragraphs[0], paragraphs[7]]
  (tmp_path / 'corpus.txt').write_text('\n\n'.join(paragraphs))
  assert prepare(settings(tmp_path)).report['duplicates'] == 3


@pytest.mark.parametrize('damage', ['cut', 'emptied', 'removed'])
def test_a_damaged_cache_is_named_with_the_bytes_it_should_have(tmp_path, damage):
  write_text(tmp_path / 'corpus.txt')
  path = prepare(settings(tmp_path)).folders[T] / 'train.arrayrecord'
  size = path.stat().st_size
  if damage == 'removed':
    path.unlink()
  else:
    path.write_bytes(path.read_bytes()[: size - 100] if damage == 'cut' else b'')
  with pytest.raises(DataError, match=f'train.arrayrecord.*{size:,} bytes.*Delete'):
    prepare(settings(tmp_path))


def test_an_interrupted_build_leaves_nothing_and_can_be_done_again(tmp_path):
  def fail(folder):
    (folder / 'half').write_text('x')
    raise OSError('disk full')

  with pytest.raises(OSError, match='disk full'):
    cache.build(tmp_path / 'a' / 'made', fail)
  assert not list((tmp_path / 'a').iterdir())
  # its process was killed
  (tmp_path / 'a' / f'made.{cache.socket.gethostname()}.999999999.tmp').mkdir()
  assert cache.build(tmp_path / 'a' / 'made', lambda folder: {'n': 1})['n'] == 1
  assert [path.name for path in (tmp_path / 'a').iterdir()] == ['made']


def test_an_id_outside_the_vocabulary_is_refused(tmp_path):
  class Source:
    def __len__(self):
      return 4

    def read(self, ids, positions):
      return {'token': np.full((len(ids), 3), 50)}

  options = dict(shuffled=True, batch_size=2, seed=0, local_rows=None)
  Batches(Source(), vocabulary=51, **options)[0]
  with pytest.raises(DataError, match='token id 50'):
    Batches(Source(), vocabulary=50, **options)[0]


def test_a_tokenizer_larger_than_the_embedding_is_refused(folder, tmp_path):
  tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *WORDS, '.']
  (tmp_path / 'vocab.txt').write_text('\n'.join(tokens))
  data = settings(folder, tokenizer=str(tmp_path / 'vocab.txt'))
  assert prepare(data, vocab_size=len(tokens)).tokenizer.size == len(tokens)
  with pytest.raises(DataError, match=f'model.vocab_size to at least {len(tokens)}'):
    prepare(data, vocab_size=len(tokens) - 1)


def test_a_script_that_the_tokenizer_does_not_know_is_an_error(tmp_path):
  sentence = 'یہ ایک جملہ ہے۔ 日本語 🙂'
  (tmp_path / 'corpus.txt').write_text('\n\n'.join(f'{sentence} {number}' for number in range(60)))
  tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *WORDS, *'0123456789']
  (tmp_path / 'vocab.txt').write_text('\n'.join(tokens))
  data = settings(tmp_path, tokenizer=str(tmp_path / 'vocab.txt'))
  with pytest.raises(DataError, match='unknown.*max_unknown_share=5%'):
    prepare(data)
  data.max_unknown_share = 1.0
  assert prepare(data).report['unknown_share'] > 0.8


@pytest.mark.parametrize(
  'text, pairs, message',
  [
    ('', False, 'no document to train on.*blank line'),
    ('only one document of ten tokens\n', False, '(1|no) document .*blank line'),
    (
      '\n\n'.join(f'Few {word}.' for word in WORDS),
      False,
      r'less than one row of 512.*at most '
      r'\d+',
    ),
    (
      '\n\n'.join(f'A line about {word}.' for word in WORDS),
      True,
      'all of one sentence.*blank line',
    ),
  ],
)
def test_a_corpus_that_is_too_small_says_what_would_work(tmp_path, text, pairs, message):
  (tmp_path / 'corpus.txt').write_text(text)
  with pytest.raises(DataError, match=f'(?s){message}'):
    prepare(settings(tmp_path, tokenizer='bpe'), pairs, lengths=(512,))


def test_the_smallest_validation_share_that_works_is_named(tmp_path):
  write_text(tmp_path / 'corpus.txt', 12)
  with pytest.raises(DataError, match='none of them for validation') as error:
    prepare(settings(tmp_path, validation_share=1e-6))
  share = float(str(error.value).rsplit(' ', 1)[1])
  assert prepare(settings(tmp_path, validation_share=share)).report['validation']['documents'] >= 1


def test_pairs_from_one_document_explain_themselves(tmp_path):
  write_text(tmp_path / 'corpus.txt', 12)
  paragraphs = (tmp_path / 'corpus.txt').read_text().split('\n\n')
  share = sorted(map(documents.position, (text for text in paragraphs)))[0] + 1e-6
  with pytest.raises(DataError, match='validation split has one document'):
    prepare(settings(tmp_path, validation_share=share), True)


def test_sentence_shuffled_corpora_refuse_pairs(tmp_path, monkeypatch):
  corpus = types.SimpleNamespace(name='lm1b', sentences_shuffled=True)
  monkeypatch.setattr(pipeline.sources, 'open_corpus', lambda *_: corpus)
  with pytest.raises(DataError, match='lm1b is shuffled by sentence'):
    prepare(settings(tmp_path), True)


def test_batches_of_what_was_not_prepared_are_an_error(prepared, pairs):
  with pytest.raises(ValueError, match='prepared were'):
    get_batches(prepared, not pairs)


def test_progress_names_its_stages(tmp_path):
  write_text(tmp_path / 'corpus.txt')
  stages = []
  prepare(settings(tmp_path), progress=lambda stage, done, total: stages.append(stage))
  assert list(dict.fromkeys(stages))[:3] == [
    'reading for the vocabulary',
    'training the wordpiece vocabulary',
    'tokenising',
  ]


def long_line(path, megabytes):
  rng = random.Random(0)
  with open(path, 'w', encoding='utf-8') as file:
    for _ in range(megabytes):
      text = ' '.join(rng.choices(WORDS, k=250_000))
      file.write(text[: 1 << 20].ljust(1 << 20, 'x') + ' ')
    file.write('\n\n' + '\n\n'.join(f'Another document, number {n}.' for n in range(50)))


def test_one_endless_line_loses_no_token(tmp_path):
  long_line(tmp_path / 'corpus.txt', 1)
  found = prepare(settings(tmp_path, tokenizer='bpe'))
  rows = found.report['rows'][str(T)]
  assert found.report['words'] == len((tmp_path / 'corpus.txt').read_text().split())
  for split in documents.SPLITS:
    assert rows[split]['tokens'] - rows[split]['framing'] == found.report[split]['tokens']
  reader = records.Reader(found.folders[T] / 'train.arrayrecord', records.token_dtype(VOCABULARY))
  assert max(len(tokens) for _, tokens in reader) <= T


@pytest.mark.slow
def test_fifty_megabytes_in_one_line_stay_within_memory(tmp_path):
  long_line(tmp_path / 'corpus.txt', 50)
  script = (
    'import resource, sys; sys.path.insert(0, "tests"); import test_pipeline as t;'
    't.prepare(t.settings(t.Path(sys.argv[1]), tokenizer="bpe"), lengths=(128,));'
    'print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)'
  )
  root = Path(__file__).parents[1]
  done = subprocess.run(
    [sys.executable, '-c', script, str(tmp_path)],
    cwd=root,
    env=os.environ | {'PYTHONPATH': str(root)},
    check=True,
    capture_output=True,
    text=True,
  )
  assert int(done.stdout.split()[-1]) / 1024 < 2_000  # MiB, for 50 of text
