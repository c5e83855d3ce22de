"""Labelled tasks are read as they are published, a broken line
is named, and every label reaches its token.
"""

import functools
import gzip
import itertools

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from data.errors import DataError
from data.tasks import labelled, rows
from data.tokens import tokenizer as tokenizers

WORDS = (
  '[PAD] [UNK] [CLS] [SEP] [MASK] the bank of a river he paid cash into ##s . , " old fish boat'
).split()
RTE1 = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE entailment-corpus SYSTEM "rte.dtd">
<entailment-corpus challenge="1">
<pair id="8" value="FALSE" task="IR">
	<t>He paid</t>
	<h>He don&apos;t pay</h>
</pair>
</entailment-corpus>
"""
RTE3 = """<?xml version="1.0" encoding="UTF-8" ?>\r
<entailment-corpus challenge="3">\r
	<pair id="1" entailment="YES" task="IE" length="short" >\r
		<t>The old
  boat</t>\r
		<h>A boat</h>\r
	</pair>\r
</entailment-corpus>\r
"""
MRPC = (
  '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n'
  '1\t702876\t702977\tAmrozi accused his brother, whom he called "the witness".\t"The '
  'witness", he said.\r\n'
  '0\t2108705\t2108831\tHe paid "cash.\tThe old boat.\r\n'
)
SICK = (
  'pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n'
  '1\tA group of kids\tA group of boys\t4.5\tNEUTRAL\n'
  '2\tThere is no boy\tA boy\t3.25\tCONTRADICTION\n'
)
CHUNKS = 'He PRP B-NP\npaid VBD B-VP\nthe DT B-NP\nboats NNS I-NP\n. . O\n\nFish NN B-NP\n\n'


@pytest.fixture
def folder(tmp_path):
  """A handful of lines of each task, in exactly the published formats."""
  texts = {
    'sst2/train.txt': "1 a stirring , funny film\n0 wo n't sit still .\n",
    'sst2/dev.txt': '0 no yuks\n',
    'sst2/test.txt': '1 fine\n',
    'mrpc/train.tsv': MRPC,
    'mrpc/test.tsv': MRPC,
    'mrpc/val.tsv': MRPC.removeprefix('\ufeff').replace('\r\n', '\n'),
    'sick/SICK_train.txt': SICK,
    'sick/SICK_trial.txt': SICK,
    'sick/SICK_test_annotated.txt': SICK.replace('\n', '\r\n'),
    **{
      f'rte/rte{year}_{split}.xml': RTE1 if year == 1 else RTE3
      for year in (1, 2, 3)
      for split in ('dev', 'test')
    },
  }
  for name, text in texts.items():
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(text.encode())
  (tmp_path / 'conll2000').mkdir()
  for split in ('train', 'test'):
    (tmp_path / f'conll2000/{split}.txt.gz').write_bytes(gzip.compress(CHUNKS.encode()))
  return tmp_path


def test_sst2_is_a_label_and_a_text(folder):
  task = labelled.load('sst2', folder)
  assert task.kind == 'text' and task.classes == ('negative', 'positive')
  assert task.splits == dict(
    train=[(('a stirring , funny film',), 1, None), (("wo n't sit still .",), 0, None)],
    validation=[(('no yuks',), 0, None)],
    test=[(('fine',), 1, None)],
  )


def test_mrpc_has_a_mark_before_its_header_and_quotes_that_are_text(folder):
  for split, examples in labelled.load('mrpc', folder).splits.items():
    assert [example.label for example in examples] == [1, 0], split
    assert examples[0].texts == (
      'Amrozi accused his brother, whom he called "the witness".',
      '"The witness", he said.',
    )
    assert examples[1].texts == ('He paid "cash.', 'The old boat.')


def test_rte_names_its_label_differently_by_year(folder):
  task = labelled.load('rte', folder)
  assert task.classes == ('entailment', 'not_entailment')
  assert task.splits['test'] == [
    (('He paid', "He don't pay"), 1, None),
    *[(('The old boat', 'A boat'), 0, None)] * 2,
  ]


def test_sick_has_a_class_and_a_degree(folder):
  task = labelled.load('sick', folder)
  for split in ('train', 'validation', 'test'):
    assert [(task.classes[x.label], x.score) for x in task.splits[split]] == [
      ('NEUTRAL', 4.5),
      ('CONTRADICTION', 3.25),
    ]


def test_chunking_is_words_with_tags(folder):
  task = labelled.load('conll2000', folder)
  [example] = task.splits['test'][:1]
  assert example.texts == ('He', 'paid', 'the', 'boats', '.')
  assert [task.classes[label] for label in example.label] == ['B-NP', 'B-VP', 'B-NP', 'I-NP', 'O']
  assert len(task.splits['test']) == 2 and len(task.classes) == 23


def test_a_tenth_is_set_aside_where_there_is_no_validation_file(folder):
  lines = [f'w{i} NN B-NP\n' for i in range(25)]
  (folder / 'conll2000/train.txt.gz').write_bytes(gzip.compress('\n'.join(lines).encode()))
  splits = labelled.load('conll2000', folder).splits
  assert [x.texts[0] for x in splits['validation']] == ['w0', 'w10', 'w20']
  assert len(splits['train']) == 22 and not set(splits['train']) & set(splits['validation'])


def test_a_limit_draws_the_same_examples_every_time():
  examples = [labelled.Example((str(i),), 0) for i in range(100)]
  task = labelled.Task('sst2', 'text', ('a', 'b'), dict(train=examples))
  drawn = task.limited(10).splits['train']
  assert (
    drawn == task.limited(10).splits['train'] and len(set(drawn)) == 10 and drawn != examples[:10]
  )
  assert task.limited(0) is task


@pytest.mark.parametrize(
  'name, file, content, message',
  [
    (
      'sst2',
      'sst2/train.txt',
      b'1 good\n2 odd\n',
      'train.txt, line 2: expected "0 text" or .* \'2 odd\'',
    ),
    ('sst2', 'sst2/train.txt', b'1 good\n0 \xff\n', 'train.txt, line 2: not UTF-8'),
    (
      'sst2',
      'sst2/dev.txt',
      None,
      'dev.txt: no such file. .* sst2/train.txt, sst2/dev.txt, sst2/test.txt',
    ),
    ('sst2', 'sst2/dev.txt', b'', 'dev.txt, line 1'),
    (
      'mrpc',
      'mrpc/train.tsv',
      MRPC.replace('0\t2108705\t', '0\t').encode(),
      'tsv, line 3: expected 5 columns',
    ),
    (
      'mrpc',
      'mrpc/train.tsv',
      MRPC.replace('1\t7', '5\t7').encode(),
      "line 2: Quality is 0 or 1, found '5'",
    ),
    ('mrpc', 'mrpc/train.tsv', b'a\tb\n', 'train.tsv, line 1: expected the header'),
    ('mrpc', 'mrpc/train.tsv', MRPC.split('\r')[0].encode(), 'train split has no examples'),
    (
      'sick',
      'sick/SICK_train.txt',
      SICK.replace('3.25', 'x').encode(),
      "SICK_train.txt, line 3: .* found 'x'",
    ),
    (
      'rte',
      'rte/rte1_dev.xml',
      RTE1.replace('FALSE', 'UNKNOWN').encode(),
      "rte1_dev.xml, line 4: .* 'UNKNOWN'",
    ),
    ('rte', 'rte/rte1_dev.xml', RTE1[:150].encode(), 'rte1_dev.xml, line 4: not XML'),
    (
      'rte',
      'rte/rte1_dev.xml',
      RTE1.replace('He paid', '').encode(),
      'rte1_dev.xml, line 7: a pair without a text',
    ),
    (
      'rte',
      'rte/rte1_dev.xml',
      b'<!DOCTYPE a [<!ENTITY b "c">]><a/>',
      "line 1: declares the entity 'b'",
    ),
    (
      'conll2000',
      'conll2000/train.txt.gz',
      gzip.compress(b'a NN B-NP\nb NN\n', mtime=0),
      'line 2: expected "word pos chunk"',
    ),
    (
      'conll2000',
      'conll2000/train.txt.gz',
      gzip.compress(b'a NN B-XX\n', mtime=0),
      "line 1: .* found 'a NN B-XX'",
    ),
    (
      'conll2000',
      'conll2000/train.txt.gz',
      gzip.compress(CHUNKS.encode(), mtime=0)[:-9],
      'is cut short or damaged',
    ),
    ('squad', 'sst2/dev.txt', b'', "task 'squad' is not known; these are: cola, conll2000"),
  ],
)
def test_what_is_not_as_published_is_named(folder, name, file, content, message):
  if content is None:
    (folder / file).unlink()
  else:
    (folder / file).write_bytes(content)
  with pytest.raises(DataError, match=message):
    labelled.load(name, folder)


def test_glue_of_tfds_is_read_without_tensorflow(tmp_path, monkeypatch):
  tfds = pytest.importorskip('tensorflow_datasets')
  features = tfds.features.FeaturesDict(
    dict(
      sentence1=tfds.features.Text(),
      sentence2=tfds.features.Text(),
      idx=np.int32,
      label=tfds.features.ClassLabel(names=['entailment', 'not_entailment']),
    )
  )

  with tfds.core.registered.skip_registration():

    class Glue(tfds.core.GeneratorBasedBuilder):
      BUILDER_CONFIGS = [tfds.core.BuilderConfig(name='rte', version=tfds.core.Version('2.0.0'))]

      def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=features)

      def _split_generators(self, dl_manager):
        return dict(train=self._generate_examples(3), validation=self._generate_examples(2))

      def _generate_examples(self, count):
        for i in range(count):
          yield i, dict(sentence1=f'Text {i}', sentence2='Grün', idx=i, label=i % 2)

  Glue(config='rte', data_dir=tmp_path, file_format='array_record').download_and_prepare()
  monkeypatch.setattr(tfds, 'builder', functools.partial(tfds.builder, data_dir=tmp_path))
  task = labelled.load('rte', 'tfds')
  assert sorted(task.splits['train']) == [((f'Text {i}', 'Grün'), i % 2, None) for i in range(3)]
  assert set(task.splits) == {'train', 'validation'} and len(task.splits['validation']) == 2


def test_tfds_that_cannot_be_had_says_what_to_do(monkeypatch):
  tfds = pytest.importorskip('tensorflow_datasets')

  def offline(*args, **kwargs):
    raise OSError('no network')

  monkeypatch.setattr(tfds, 'builder', offline)
  with pytest.raises(
    DataError,
    match='glue/sst2: its preparation is missing.*OSError: no network.*give a folder of files',
  ):
    labelled.load('sst2', 'tfds')
  with pytest.raises(
    DataError, match='conll2000 is not in TensorFlow Datasets .only cola, mnli, mrpc'
  ):
    labelled.load('conll2000', 'tfds')


@pytest.fixture
def tokenizer():
  return tokenizers.from_vocabulary(WORDS, lowercase=True)


def named(tokenizer, ids) -> str:
  return ' '.join(tokenizer.token(index) for index in ids)


def test_a_text_is_framed_and_a_pair_has_types(tokenizer):
  text = rows.encode('text', [labelled.Example(('The bank',), 1)], tokenizer, max_length=16)
  assert (
    named(tokenizer, text.batch['token'][0, :5]) == '[CLS] the bank [SEP] [PAD]' and text.cut == 0
  )
  assert text.batch['segment'][0, :5].tolist() == [1, 1, 1, 1, 0] and text.batch[
    'label'
  ].tolist() == [1]
  pair = rows.encode('pair', [labelled.Example(('The bank', 'cash'), 0)], tokenizer, max_length=16)
  assert named(tokenizer, pair.batch['token'][0, :7]) == '[CLS] the bank [SEP] cash [SEP] [PAD]'
  assert pair.batch['type'][0, :7].tolist() == [0, 0, 0, 0, 1, 1, 0]


def test_the_longer_of_a_pair_is_cut_first(tokenizer):
  pair = labelled.Example(('the bank of a river he paid cash', 'the old boat'), 0)
  found = rows.encode('pair', [pair], tokenizer, max_length=10)
  assert (
    named(tokenizer, found.batch['token'][0]) == '[CLS] the bank of a [SEP] the old boat [SEP]'
    and found.cut == 1
  )
  with pytest.raises(DataError, match='rows of 4 tokens have no room for a pair'):
    rows.encode('pair', [pair], tokenizer, max_length=4)


def test_a_word_is_scored_at_its_first_piece(tokenizer):
  example = labelled.Example(('He', 'paid', 'the', 'boats', '.'), (1, 2, 3, 4, 0))
  found = rows.encode('words', [example], tokenizer, max_length=32)
  assert named(tokenizer, found.batch['token'][0, :8]) == '[CLS] he paid the boat ##s . [SEP]'
  assert found.batch['label'][0, :9].tolist() == [-1, 1, 2, 3, 4, -1, 0, -1, -1]
  assert rows.by_word(found, found.batch['label'], 9)[0].tolist() == [1, 2, 3, 4, 0]


def test_a_word_that_is_cut_off_counts_as_not_found(tokenizer):
  example = labelled.Example(('He', 'paid', 'the', 'boats', '.'), (1, 2, 3, 4, 0))
  found = rows.encode('words', [example], tokenizer, max_length=5)
  assert named(tokenizer, found.batch['token'][0]) == '[CLS] he paid the [SEP]' and found.cut == 1
  assert found.batch['label'].tolist() == [[-1, 1, 2, 3, -1]]
  assert rows.by_word(found, np.full((1, 5), 7), 9)[0].tolist() == [7, 7, 7, 9, 9]


def test_pairs_are_cut_as_tokenizers_cut_them():
  """Every pair of lengths and every room, against longest_first of the library."""
  library = Tokenizer(models.WordLevel({'a': 0, 'b': 1}, unk_token='a'))
  library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
  for one, other, room in itertools.product(range(1, 12), range(1, 12), range(2, 14)):
    library.enable_truncation(room, strategy='longest_first')
    said = library.encode(' '.join('a' * one), ' '.join('b' * other))
    found = rows.fit([np.zeros(one, int), np.ones(other, int)], room)
    assert said.ids == np.concatenate(found).tolist(), (one, other, room)
