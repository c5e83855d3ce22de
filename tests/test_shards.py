"""A corpus that many processes tokenise gives the bytes that one
gives, however it is cut and whenever it is killed.
"""

import contextlib
from importlib import util
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest
import runs

from configs import bert_tiny
from data import cache, pipeline
from data.corpora import sources
from data.errors import DataError
from data.rows import documents, shards
from data.tokens import tokenizer
from training.prepare import prepare_data

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def text(tmp_path_factory):
  path = runs.corpus(tmp_path_factory.mktemp('corpus'))
  # What is dropped, replaced or there twice is counted too.
  path.write_text(
    path.read_text() + '\n\n\u00ad\n\nA line\r\nand a copy.\n\nA line\r\nand a copy.\n'
  )
  return path


def config(text: Path, folder: Path):
  made = bert_tiny.get_config()
  made.data.update(
    corpus=f'text:{text}',
    cache=str(folder),
    tokenizer='bpe',
    sequence_length=32,
    max_unknown_share=1.0,
    validation_share=0.1,
  )
  made.model.vocab_size = 300
  return made


def content(folder: Path) -> dict[str, bytes]:
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file() and path.parent.parent.name in ('tokens', 'rows', 'tokenizers')
  }


@pytest.fixture(scope='module')
def alone(text, tmp_path_factory):
  """(the cache that one process fills, its fingerprint)"""
  folder = tmp_path_factory.mktemp('alone')
  return folder, prepare_data(config(text, folder)).fingerprint


def by_shards(count: int, order=lambda left: left):
  """`documents.tokenise` in shards, made in some order."""

  def tokenise(corpus, tokens, folder, share, progress):
    job = shards.job(corpus, tokens, folder.parents[1], share, count, pipeline.VERSION)
    for index in order(list(range(count))):
      shards.work(index, json.loads(json.dumps(job)))
    assert shards.finished(job) == list(range(count))
    return shards.merge(job, folder, tokens.size, progress)

  return tokenise


@pytest.mark.parametrize('count', [1, 3, 100])
def test_shards_give_the_bytes_of_one_process(count, text, alone, tmp_path):
  made = prepare_data(
    config(text, tmp_path), tokenise=by_shards(count, order=lambda left: left[::-1])
  )
  assert made.fingerprint == alone[1]
  assert content(tmp_path) == content(alone[0])


def test_shards_cover_every_document_once(text, tmp_path):
  corpus = sources.open_corpus(f'text:{text}', tmp_path)
  whole = list(corpus.documents(*[documents.Counter()] * 2, pipeline.silent))
  parts = shards.plan(corpus, 7)
  cut = [corpus.documents(*[documents.Counter()] * 2, pipeline.silent, *part) for part in parts]
  assert [text for part in cut for text in part] == whole
  assert parts[0][0] == 0 and parts[-1][1] == corpus.count() > len(whole)  # one of them is blank


def test_a_finished_shard_is_kept_and_another_text_is_refused(text, tmp_path):
  corpus = sources.open_corpus(f'text:{text}', tmp_path)
  words = tokenizer.from_vocabulary(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a'], True)
  job = shards.job(corpus, words, tmp_path, 0.1, 4, 1)
  shards.work(2, job)
  made = os.stat(shards.folders(job)[2] / cache.MANIFEST).st_mtime_ns
  shards.work(2, job)
  assert os.stat(shards.folders(job)[2] / cache.MANIFEST).st_mtime_ns == made and shards.finished(
    job
  ) == [2]
  with pytest.raises(DataError, match='holds other documents for this process'):
    shards.work(1, job | dict(identity='another'))


def command(text: Path, folder: Path, *more: str) -> list[str]:
  fields = {
    'corpus': f'text:{text}',
    'cache': folder,
    'tokenizer': 'bpe',
    'sequence_length': 32,
    'max_unknown_share': 1.0,
    'validation_share': 0.1,
  }
  return [
    sys.executable,
    '-m',
    'tools.prepare',
    f'--config={ROOT}/configs/bert_tiny.py',
    *(f'--config.data.{name}={value}' for name, value in fields.items()),
    '--config.model.vocab_size=300',
    *more,
  ]


def prepare(text: Path, folder: Path, *more: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    command(text, folder, *more), cwd=ROOT, capture_output=True, text=True, timeout=600
  )


def test_without_beam_the_error_names_the_extra(text, tmp_path):
  if util.find_spec('apache_beam'):
    pytest.skip('Apache Beam is installed')
  refused = prepare(text, tmp_path, '--runner=DirectRunner')
  assert refused.returncode == 2 and "pip install -e '.[beam]'" in refused.stderr
  assert 'Traceback' not in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize('runner', ['processes', 'DirectRunner'])
def test_processes_and_beam_give_the_bytes_of_one_process(runner, text, alone, tmp_path):
  if runner != 'processes' and not util.find_spec('apache_beam'):
    pytest.skip('the extra beam is not installed')
  made = prepare(text, tmp_path, f'--runner={runner}', '--workers=2', '--shards=3', '--json')
  assert made.returncode == 0, made.stderr
  assert json.loads(made.stdout.splitlines()[-1])['fingerprint'] == alone[1]
  assert content(tmp_path) == content(alone[0])


@pytest.mark.slow
def test_who_is_killed_goes_on_from_the_shards_that_were_finished(tmp_path):
  text, count = runs.corpus(tmp_path, documents=4_000), 40
  folder, more = tmp_path / 'killed', ('--workers=2', f'--shards={count}', '--json')

  def made() -> dict[Path, int]:
    found = {}
    for path in folder.glob(f'shards/*/*/{cache.MANIFEST}'):
      with contextlib.suppress(FileNotFoundError):  # put together and removed since
        found[path] = path.stat().st_mtime_ns
    return found

  victim = subprocess.Popen(
    command(text, folder, *more),
    cwd=ROOT,
    start_new_session=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  while not made() and victim.poll() is None:
    time.sleep(0.002)
  os.killpg(victim.pid, signal.SIGKILL)
  assert victim.wait() == -signal.SIGKILL
  before = made()
  assert 0 < len(before) < count
  watched = subprocess.Popen(
    command(text, folder, *more), cwd=ROOT, text=True, stdout=subprocess.PIPE
  )
  after = {}
  while watched.poll() is None:  # once they are put together, the shards are removed
    after |= {path: found for path, found in made().items() if path in before}
    time.sleep(0.002)
  assert after == before
  assert (
    json.loads(watched.stdout.read().splitlines()[-1])['fingerprint']
    == prepare_data(config(text, tmp_path / 'alone')).fingerprint
  )
  assert content(folder) == content(tmp_path / 'alone')


# A set as TFDS has Wikipedia: made by Beam, kept as ArrayRecord,
# known to other processes by its files alone.
BUILDER = """
import sys
import apache_beam as beam
import tensorflow_datasets as tfds

class OnemaskBeamText(tfds.core.BeamBasedBuilder):
  VERSION = tfds.core.Version('1.0.0')

  def _info(self):
    features = tfds.features.FeaturesDict({'text': tfds.features.Text()})
    return tfds.core.DatasetInfo(builder=self, features=features)

  def _split_generators(self, manager, pipeline):
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    texts = [text for text in open(sys.argv[1], newline='').read().split('\\n\\n') if text]
    return beam.Create(list(enumerate(texts))) | beam.Map(lambda pair: (pair[0], {'text': pair[1]}))

OnemaskBeamText(data_dir=sys.argv[2], file_format='array_record').download_and_prepare()
"""


@pytest.mark.slow
def test_a_set_that_tfds_made_with_beam_gives_the_same_rows_in_one_shard_and_in_many(
  text, tmp_path, monkeypatch
):
  pytest.importorskip('apache_beam', reason='the extra beam is not installed')
  (tmp_path / 'builder.py').write_text(BUILDER)
  subprocess.run(
    [sys.executable, tmp_path / 'builder.py', text, tmp_path / 'tfds'], check=True, timeout=600
  )
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  found, ways = (
    {},
    {'one': ('--workers=1', '--shards=1'), 'beam': ('--runner=DirectRunner', '--workers=2')},
  )
  for name, more in ways.items():
    made = prepare(
      text, tmp_path / name, '--config.data.corpus=tfds:onemask_beam_text', '--json', *more
    )
    assert made.returncode == 0, made.stderr
    found[name] = json.loads(made.stdout.splitlines()[-1])['fingerprint'], content(tmp_path / name)
  assert found['one'] == found['beam']
