import json
import math
from pathlib import Path
import random
import sys
import types

import numpy as np
import pytest
import tokenizers

from data import pipeline, report
from data.corpora import mixing, pypi_wheels, sources
from data.errors import DataError
from data.rows.mixture import MixedOrder
from data.tokens import vocabulary
from tests import runs

T = 32
LETTERS = dict(large='abcdefgh', middle='ijklmnop', small='qrstuvwx')
COUNTS = dict(large=240, middle=60, small=20)


def write(folder: Path) -> dict[str, Path]:
  """Three languages without a letter in common, of 240, 60 and 20 documents."""
  paths = {}
  for name, letters in LETTERS.items():
    rng = random.Random(name)
    words = [''.join(rng.choices(letters, k=rng.randint(2, 7))) for _ in range(60)]
    documents = [
      '\n'.join(' '.join(rng.choices(words, k=8)) + '.' for _ in range(6))
      for _ in range(COUNTS[name])
    ]
    paths[name] = folder / f'{name}.txt'
    paths[name].write_text('\n\n'.join(documents))
  return paths


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('mix')
  write(folder)
  return folder


def settings(folder, corpus='', **changes):
  names = ' '.join(f'text:{folder / name}.txt' for name in LETTERS)
  fields = dict(
    corpus=corpus or f'mix:{names}',
    mix_exponent=0.7,
    cache=str(folder / 'cache'),
    tokenizer='wordpiece',
    lowercase=True,
    short_pair_share=0.1,
    split='hash',
    rows='auto',
    validation_share=0.2,
    max_unknown_share=0.05,
  )
  return types.SimpleNamespace(**fields | changes)


def prepare(folder, pairs=None, **changes):
  return pipeline.prepare(
    settings(folder, **changes), vocab_size=400, sequence_lengths=(T,), pairs=pairs
  )


def batches(prepared, **options):
  chosen = dict(sequence_length=T, pairs=prepared.pairs, batch_size=16, seed=0) | options
  return pipeline.batches(prepared, **chosen)


def languages(prepared, token_T) -> set[str]:
  text = prepared.tokenizer.decode(token_T)
  for special in ('[CLS]', '[SEP]', '[PAD]', '[UNK]'):
    text = text.replace(special, '')
  return {name for name, letters in LETTERS.items() if set(text) & set(letters)}


@pytest.mark.parametrize(
  'name, asked',
  [
    ('mix:a b', [('a', None), ('b', None)]),
    ('mix:9 a 1 b', [('a', 9.0), ('b', 1.0)]),
    ('mix:.5 a 2.5 "text:two words.txt"', [('a', 0.5), ('text:two words.txt', 2.5)]),
    ('wiki_leads', []),
  ],
)
def test_a_mix_names_corpora_with_or_without_shares(name, asked):
  assert [(part.corpus, part.weight) for part in mixing.parts(name)] == asked


@pytest.mark.parametrize(
  'name, message',
  [
    ('mix:', 'has 0 corpora'),
    ('mix:wiki_leads', 'has 1 corpora'),
    ('mix:wiki_leads wiki_leads', 'wiki_leads twice'),
    ('mix:wiki_leads mix:a', 'a mix in a mix'),
    ('mix:9 wiki_leads gutenberg', 'before each corpus or before none'),
    ('mix:wiki_leads 9 gutenberg 1', 'before each corpus or before none'),
    ('mix:0 wiki_leads 1 gutenberg', 'a number above 0'),
    ('mix:wiki_leads "gutenberg', 'No closing quotation'),
    ('mix:wiki_leads wiki_lead', 'did you mean wiki_leads'),
    ('mix:wiki_leads text:no/such.txt', 'no such file'),
  ],
)
def test_a_mix_that_is_none_is_refused_by_its_name(name, message):
  with pytest.raises(DataError, match=message):
    sources.check_name(name)


def test_labels_are_short_and_differ():
  mix = mixing.parts('mix:wiki_leads text:a/x.txt text:b/x.txt text:y.txt')
  assert [part.label for part in mix] == ['wiki_leads', 'text:a/x.txt', 'text:b/x.txt', 'y']


@pytest.mark.parametrize('exponent', [0, 0.3, 0.7, 1])
@pytest.mark.parametrize('pairs', [None, 'random'])
def test_rows_of_a_corpus_come_in_proportion_to_their_number_to_the_power(folder, exponent, pairs):
  prepared = prepare(folder, pairs, mix_exponent=exponent)
  rows = [part.report['rows'][str(T)]['train']['rows'] for part in prepared.parts.values()]
  scaled = np.array([float(each) ** exponent for each in rows])
  assert prepared.shares[T] == pytest.approx(scaled / scaled.sum())
  found, total = dict.fromkeys(LETTERS, 0), 0
  train = batches(prepared)
  for step in range(40):
    for token_T in train[step]['token']:
      (name,) = languages(prepared, token_T)
      found[name] += 1
      total += 1
  for name, share in zip(LETTERS, prepared.shares[T]):
    assert abs(found[name] / total - share) < 0.01 + 3 / total


def test_a_corpus_is_read_in_whole_epochs_and_has_its_share_in_every_batch():
  counts, shares = [7, 50, 20], [0.5, 0.3, 0.2]
  order = MixedOrder(counts, shares, seed=1)
  position = np.arange(2_000)
  ids, epochs = order.ids(position), order.epochs(position)
  first = np.cumsum([0, *counts])
  for part, count in enumerate(counts):
    own = ids[(ids >= first[part]) & (ids < first[part + 1])]
    for start in range(0, len(own) - count, count):
      assert sorted(own[start : start + count] - first[part]) == list(range(count))
    assert (epochs[np.isin(ids, own)] == np.arange(len(own)) // count).all()
  for start in range(0, 2_000, 16):
    of_batch = np.searchsorted(first, ids[start : start + 16], side='right') - 1
    share = np.bincount(of_batch, minlength=3) / 16
    assert abs(share - shares).max() <= 2 / 16
  again = MixedOrder(counts, shares, seed=2).ids(position)
  assert (again != ids).any()
  assert (order.ids(position[500:510]) == ids[500:510]).all()


@pytest.mark.parametrize('pairs', [None, 'random', 'swapped'])
def test_batch_size_and_processes_change_the_cut_and_not_the_rows(folder, pairs):
  prepared = prepare(folder, pairs)
  whole, halves, parts = (
    batches(prepared, batch_size=16),
    batches(prepared, batch_size=8),
    [batches(prepared, batch_size=16, local_rows=range(start, 16, 2)) for start in (0, 1)],
  )
  for name, x_Bx in whole[3].items():
    assert (np.concatenate([halves[6][name], halves[7][name]]) == x_Bx).all()
    assert all((parts[start][3][name] == x_Bx[start::2]).all() for start in (0, 1))


@pytest.mark.parametrize('pairs', [None, 'random'])
def test_validation_has_every_row_of_every_corpus_as_it_is_alone(folder, pairs):
  prepared = prepare(folder, pairs)
  together = batches(prepared, split='validation', batch_size=5)
  rows = [row for step in range(len(together)) for row in zip(*_columns(together[step]))]
  alone = []
  for part in prepared.parts.values():
    own = batches(part, split='validation', batch_size=5)
    alone += [row for step in range(len(own)) for row in zip(*_columns(own[step]))]
  assert rows == alone and together.rows == len(rows) > 10


def _columns(batch):
  there = batch['id'] >= 0
  return [map(bytes, batch[name][there]) for name in ('token', 'segment')]


def test_the_rows_of_a_corpus_are_those_of_the_corpus_alone_with_that_vocabulary(folder):
  prepared = prepare(folder)
  prepared.tokenizer.save(folder / 'tokenizer.json')
  alone = prepare(
    folder, corpus=f'text:{folder / "small.txt"}', tokenizer=str(folder / 'tokenizer.json')
  )
  part = prepared.parts['small']
  assert alone.folders == part.folders and alone.fingerprint == part.fingerprint


def test_what_decides_the_rows_changes_the_fingerprint(folder):
  names = [f'text:{folder / name}.txt' for name in LETTERS]
  found = [
    prepare(folder).fingerprint,
    prepare(folder, mix_exponent=1).fingerprint,
    prepare(folder, corpus=f'mix:{names[0]} {names[1]}').fingerprint,
    prepare(folder, corpus=f'mix:2 {names[0]} 1 {names[1]}').fingerprint,
    prepare(folder, corpus=f'mix:1 {names[0]} 2 {names[1]}').fingerprint,
    prepare(folder, corpus=names[0]).fingerprint,
  ]
  assert len(set(found)) == len(found) and prepare(folder).fingerprint == found[0]


@pytest.mark.parametrize('exponent', [0, 0.3, 0.7, 1])
def test_the_vocabulary_reads_each_corpus_by_its_share(exponent):
  corpora = [['a' * 97 + str(n % 10) for n in range(500)], ['b' * 100] * 50, ['c' * 100] * 3]
  sizes = [sum(map(len, texts)) for texts in corpora]
  mix = mixing.parts('mix:a b c')
  chosen = vocabulary.sample_mixed(corpora, lambda found: mixing.shares(mix, found, exponent))
  scaled = [size**exponent for size in sizes]
  for letter, part in zip('abc', scaled):
    held = sum(len(text) for text in chosen if text[0] == letter)
    assert held / sum(map(len, chosen)) == pytest.approx(part / sum(scaled), abs=0.01)
  assert {text for texts in corpora for text in texts} == set(chosen)


def test_a_mixed_sample_stays_within_its_limit_and_depends_on_no_order():
  corpora = [[f'{name}{n:04d}' * 20 for n in range(400)] for name in 'xyz']
  equal = lambda sizes: [1 / len(sizes)] * len(sizes)
  chosen = vocabulary.sample_mixed(corpora, equal, limit=30_000)
  shuffled = [random.Random(1).sample(texts, len(texts)) for texts in corpora]
  assert vocabulary.sample_mixed(shuffled, equal, limit=30_000) == chosen
  assert 29_000 < sum(map(len, chosen)) <= 30_000


def test_the_report_has_totals_and_what_each_corpus_holds(folder):
  prepared = prepare(folder)
  said, parts = prepared.report, prepared.report['parts']
  for name in ('documents', 'tokens', 'words', 'bytes', 'unknown'):
    assert said[name] == sum(part[name] for part in parts.values())
  assert list(parts) == list(LETTERS) and said['documents'] == sum(COUNTS.values())
  assert sum(part['share'] for part in parts.values()) == pytest.approx(1)
  table = report.format_report(said)
  for name, part in parts.items():
    (line,) = (line for line in table.split('\n') if line.startswith(f'{name} '))
    assert f'{part["tokens"] / part["words"]:.2f} a word' in line and '0.000% unknown' in line
  # frequencies of the mix, by hand: all that the largest corpus has is unknown to the others
  lowest = sum(part['share'] * part['unigram_entropy'] for part in parts.values())
  mixing_nats = -sum(part['share'] * math.log(part['share']) for part in parts.values())
  assert lowest < said['unigram_entropy'] <= lowest + mixing_nats + 1e-9
  json.dumps(said)


def test_a_mix_of_one_running_text_is_refused(folder):
  with pytest.raises(DataError, match='data.split=hash'):
    prepare(folder, split='tail')


def test_a_corpus_of_a_mix_without_documents_is_named(folder):
  (folder / 'one.txt').write_text('Only one document.')
  with pytest.raises(DataError, match='one'):
    prepare(folder, corpus=f'mix:text:{folder / "large.txt"} text:{folder / "one.txt"}')


CJK = '東京は日本の首都です。서울은 한국의 수도이다. 北京abc大学'


@pytest.mark.parametrize('lowercase', [True, False])
def test_wordpiece_puts_spaces_around_chinese_characters_as_bert_does(lowercase):
  made = vocabulary.train_wordpiece([CJK] * 3, 400, lowercase)
  names = [made.token(index) for index in made.encode([CJK])[0]]
  ideographs = [char for char in CJK if '\u4e00' <= char <= '\u9fff']
  assert [name for name in names if '\u4e00' <= name[-1] <= '\u9fff'] == ideographs
  own = tokenizers.BertWordPieceTokenizer(
    {made.token(index): index for index in range(made.size)}, lowercase=lowercase
  )
  assert own.encode(CJK, add_special_tokens=False).tokens == names


def test_many_corpora_have_a_larger_alphabet():
  assert vocabulary.mixed_alphabet(3, 8_000) == 1_000
  assert vocabulary.mixed_alphabet(104, 119_547) == 9_962
  assert vocabulary.mixed_alphabet(2, 119_547) == 2_000


def test_corpora_of_one_wheel_are_different_corpora(tmp_path, monkeypatch):
  monkeypatch.setattr(
    pypi_wheels,
    'articles',
    lambda archive, language: {language: dict(extract=f'A text in {language}.')},
  )
  names = ('wiki_leads', 'wiki_leads_es', 'wiki_leads_fr')
  wheels = [sources.WHEELS[name] for name in names]
  assert [list(wheel.read(None)) for wheel in wheels] == [
    ['A text in en-us.'],
    ['A text in es-es.'],
    ['A text in fr-fr.'],
  ]
  found = [sources.open_corpus(name, tmp_path).identity for name in names]
  assert len(set(found)) == 3 and found[0] == wheels[0].sha256  # rows of old caches stay


def test_a_run_on_a_mix_tells_the_loss_of_each_corpus_and_eval_the_same(folder, tmp_path):
  corpus = settings(folder).corpus
  fields = {'data.corpus': corpus, 'data.cache': str(folder / 'cache'), 'steps': 5}
  workdir = tmp_path / 'run'
  done = runs.run(runs.command('bert_tiny', workdir, folder / 'large.txt', **fields))
  assert done.returncode == 0, done.stderr
  found = json.loads((workdir / 'result.json').read_text())['validation']
  scored = runs.run([sys.executable, runs.ROOT / 'eval.py', f'--workdir={workdir}', '--json'])
  again = json.loads(scored.stdout)
  for name, value in found.items():
    assert again[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5))
  own = [found[f'{name}/mlm_loss'] for name in LETTERS]
  assert min(own) < found['mlm_loss'] < max(own)


def test_rows_that_are_prepared_in_shards_are_those_of_a_mix(folder, tmp_path):
  asked = settings(folder)
  fields = {
    'data.corpus': asked.corpus,
    'data.cache': str(tmp_path / 'cache'),
    'data.validation_share': asked.validation_share,
    'data.sequence_length': T,
    'model.vocab_size': 400,
    'objectives': 'mlm',
  }
  command = [sys.executable, '-m', 'tools.prepare', f'--config={runs.ROOT}/configs/bert_tiny.py']
  flags = [f'--config.{name}={value}' for name, value in fields.items()]
  done = runs.run([*command, *flags, '--workers=1', '--shards=2', '--json'])
  assert done.returncode == 0, done.stderr
  made = json.loads(done.stdout)
  assert made['fingerprint'] == prepare(folder).fingerprint
  assert all(Path(made['folders'][name][str(T)]).is_dir() for name in LETTERS)
