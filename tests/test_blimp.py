"""BLiMP: pairs from a zip or from TFDS, credit that no
order can earn, and eval.py from end to end.
"""

import json
import os
from pathlib import Path
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest
import runs
import small
from test_convert import random_weights

from data.errors import DataError
from data.tasks import blimp as blimp_data
from data.tasks.blimp import Pair
from evaluation import blimp, tasks
from evaluation.errors import TaskError
from evaluation.likelihood import Scorer
from runtime import records
from runtime.errors import StateError

ROOT = Path(__file__).parents[1]
# By paradigm; the second has a pair that test_convert's tokenizer cannot tell apart.
PAIRS = {
  ('river_agreement', 'agreement', 'morphology'): [
    ('The bank of a river .', 'The banks of a river .'),
    ('He paid cash .', 'He paid fish boat .'),
    ('A boat .', 'A boats .'),
  ],
  ('old_fish', 'agreement', 'morphology'): [
    ('The old fish .', 'The old trout .'),
    ('Cod .', 'Carp .'),
  ],
  ('he_river', 'islands', 'syntax'): [('He , river , fish', 'fish , He , river')],
}


def lines(paradigm: str) -> list[dict]:
  return [
    dict(
      UID=names[0],
      linguistics_term=names[1],
      field=names[2],
      sentence_good=good,
      sentence_bad=bad,
      simple_LM_method=True,
      one_prefix_method=False,
      two_prefix_method=False,
      lexically_identical=False,
      pairID=str(number),
    )
    for names, pairs in PAIRS.items()
    if names[0] == paradigm
    for number, (good, bad) in enumerate(pairs)
  ]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A folder of tasks with a zip laid out as the published one."""
  folder = tmp_path_factory.mktemp('tasks')
  (folder / 'blimp').mkdir()
  with zipfile.ZipFile(folder / 'blimp' / 'BLiMP.zip', 'w') as archive:
    archive.writestr('data/', '')
    for names in PAIRS:
      archive.writestr(
        f'data/{names[0]}.jsonl', '\n'.join(json.dumps(line) for line in lines(names[0])) + '\n'
      )
      archive.writestr(f'__MACOSX/data/._{names[0]}.jsonl', b'\x00\xff\xfe')
  return folder


def load(folder, **options) -> list[Pair]:
  return blimp_data.load(folder / 'blimp' / 'BLiMP.zip', **options)


def test_every_pair_of_the_zip_is_read_with_its_phenomenon(folder):
  pairs = load(folder)
  assert len(pairs) == 6 and [pair.paradigm for pair in pairs] == sorted(
    pair.paradigm for pair in pairs
  )
  assert pairs[0] == Pair('he_river', 'islands', 'syntax', 'He , river , fish', 'fish , He , river')


def test_a_limit_takes_the_first_pairs_of_each_paradigm(folder):
  pairs = load(folder, limit=2)
  assert [pair.paradigm for pair in pairs] == [
    'he_river',
    'old_fish',
    'old_fish',
    'river_agreement',
    'river_agreement',
  ]
  assert pairs[-1].good == 'He paid cash .'


@pytest.mark.parametrize(
  'content, words',
  [
    (None, 'no such file'),
    (b'PK and nothing', 'damaged'),
    ({}, 'holds no pairs'),
    ({'x.jsonl': '{"UID": "x"}'}, 'x.jsonl, line 1: expected a JSON object with UID'),
    (
      {'x.jsonl': json.dumps(dict(lines('old_fish')[0], sentence_bad=' '))},
      'line 1: .* none of them empty',
    ),
    ({'x.jsonl': json.dumps(lines('old_fish')[0]) + '\nno'}, 'line 2: expected a JSON object'),
  ],
)
def test_what_is_no_blimp_is_refused_with_its_place(tmp_path, content, words):
  path = tmp_path / 'BLiMP.zip'
  if isinstance(content, bytes):
    path.write_bytes(content)
  elif content is not None:
    with zipfile.ZipFile(path, 'w') as archive:
      for name, text in content.items():
        archive.writestr(name, text)
  with pytest.raises(DataError, match=words):
    blimp_data.load(path)


_PREPARE = """
import json, sys
import tensorflow_datasets as tfds
from data.tasks import blimp

lines = json.loads(sys.argv[1])

with tfds.core.registered.skip_registration():
  class Blimp(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('0.1.0')
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name, version='0.1.0')
                       for name in tfds.builder_cls('blimp').builder_configs]

    def _info(self):
      text = {name: tfds.features.Text() for name in
              ('sentence_good', 'sentence_bad', 'field', 'linguistics_term', 'UID')}
      return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(text))

    def _split_generators(self, manager):
      return {'train': self._generate_examples()}

    def _generate_examples(self):
      for number, line in enumerate(lines):
        features = {name: line[name] for name in self.info.features}
        yield number, features | {'UID': self.builder_config.name}

for name in Blimp.builder_configs:
  Blimp(config=name, file_format='array_record').download_and_prepare()
print(json.dumps(blimp.load(None, limit=1)))
assert 'tensorflow' not in sys.modules
"""


@pytest.mark.slow
def test_tfds_blimp_is_read_where_no_path_is_given(tmp_path):
  """From prepared files of all 67 paradigms, written here with the
  features of TFDS and read by TFDS's own builder.
  """
  found = subprocess.run(
    [sys.executable, '-c', _PREPARE, json.dumps(lines('old_fish'))],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env=dict(os.environ, TFDS_DATA_DIR=str(tmp_path), PYTHONPATH=str(ROOT)),
  )
  assert found.returncode == 0, found.stderr
  pairs = [Pair(*fields) for fields in json.loads(found.stdout.splitlines()[-1])]
  assert len(pairs) == 67 and pairs[0].paradigm == 'adjunct_island'
  assert {pair[1:3] for pair in pairs} == {('agreement', 'morphology')}
  assert {pair.good for pair in pairs} <= {'The old fish .', 'Cod .'}


def test_ties_count_half_and_no_order_earns_anything():
  same = np.full(7, 3.25)
  assert blimp.credit(same, same).tolist() == [0.5] * 7
  good, bad = np.array([1.0, 2.0, 3.0, 3.0]), np.array([2.0, 1.0, 3.0, 3.00001])
  assert blimp.credit(good, bad).tolist() == [1.0, 0.0, 0.5, 0.5]
  np.testing.assert_array_equal(blimp.credit(good, bad) + blimp.credit(bad, good), np.ones(4))


def test_a_scorer_that_finds_all_texts_equal_scores_a_half(folder):
  """A network of zeros, through the whole of it: pairs are cut to those with as many tokens."""
  weights = random_weights('gpt2')
  params = jax.tree.map(lambda x: 0 * x, weights.params)
  scorer = Scorer(
    weights.network.apply, params, weights.tokenizer, kind='causal', mask='causal', max_length=64
  )
  pairs = [
    pair
    for pair in load(folder)
    if len({len(x) for x in weights.tokenizer.encode([pair.good, pair.bad])}) == 1
  ]
  assert len(pairs) >= 3
  result = blimp.examine(scorer, weights.tokenizer, pairs)
  assert (
    result['value'] == 0.5
    and result['ties'] == len(pairs)
    and result['baselines'] == {'fewer tokens': 0.5}
  )


def test_paradigms_count_alike_and_errors_are_binomial(folder):
  pairs = load(folder)  # 1 of he_river, 2 of old_fish, 3 of river_agreement
  found = blimp.tabulate(pairs, np.array([1.0, 0.5, 0.0, 1.0, 1.0, 0.0]))
  assert {name: part['accuracy'] for name, part in found['paradigms'].items()} == pytest.approx(
    dict(he_river=1.0, old_fish=0.25, river_agreement=2 / 3)
  )
  assert found['accuracy'] == pytest.approx((1 + 0.25 + 2 / 3) / 3)
  assert found['terms']['agreement']['accuracy'] == pytest.approx((0.25 + 2 / 3) / 2)
  assert {name: part['pairs'] for name, part in found['fields'].items()} == dict(
    morphology=5, syntax=1
  )
  errors = [0, (0.25 * 0.75 / 2) ** 0.5, (2 / 9 / 3) ** 0.5]
  assert found['paradigms']['old_fish']['standard_error'] == pytest.approx(errors[1])
  assert found['standard_error'] == pytest.approx(sum(e * e for e in errors) ** 0.5 / 3)
  assert found['ties'] == 1 and found['pairs'] == 6


@pytest.mark.parametrize('name, kind', [('gpt2', 'causal'), ('bert', 'pll')])
def test_the_order_of_sentences_and_pairs_does_not_matter(folder, name, kind):
  weights = random_weights(name)
  scorer = Scorer(
    weights.network.apply,
    weights.params,
    weights.tokenizer,
    kind=kind,
    mask=weights.mask,
    max_length=64,
  )
  pairs = load(folder)
  one = blimp.examine(scorer, weights.tokenizer, pairs)
  again = blimp.examine(scorer, weights.tokenizer, pairs[::-1])
  turned = blimp.examine(
    scorer, weights.tokenizer, [pair._replace(good=pair.bad, bad=pair.good) for pair in pairs]
  )
  assert one == again
  assert one['value'] + turned['value'] == pytest.approx(1.0)
  assert one['ties'] >= 1  # "Cod ." and "Carp ." are both [UNK] to it
  assert one['unknown_share'] > 0 and one['score'] == kind and one['side'] == 'generation'


def test_a_pairs_beginning_is_its_prefix(folder):
  """With 'prefix' what the two sentences share is read from
  both sides: it is given, and not compared.
  """
  network, params = small.network('gpt2_small', mask='prefix', packed=False, heads=('clm',))
  tokenizer = random_weights('gpt2').tokenizer
  asked = []

  class Spy(Scorer):
    def __call__(self, ids, read=None, progress=None):
      asked.append(read)
      return super().__call__(ids, read, progress)

  scorer = Spy(network.apply, params, tokenizer, kind='prefix', mask='prefix', max_length=64)
  result = blimp.examine(scorer, tokenizer, load(folder))
  good, bad = ([getattr(pair, which) for pair in load(folder)] for which in ('good', 'bad'))
  shared = [
    len(os.path.commonprefix([one.tolist(), other.tolist()]))
    for one, other in zip(tokenizer.encode(good), tokenizer.encode(bad))
  ]
  assert asked == [shared + shared] and max(shared) >= 2 and 'prefix' in result['unit']


def test_an_unknown_task_is_named_with_the_nearest():
  with pytest.raises(TaskError, match="'blmp' is none of .*blimp.* Did you mean blimp"):
    tasks.check(['blmp'])


def test_evaluations_are_merged_and_a_damaged_file_is_not_overwritten(tmp_path):
  records.note_evaluations(tmp_path, dict(a=dict(value=1.0), b=dict(value=2.0)))
  records.note_evaluations(tmp_path, dict(b=dict(value=3.0)))
  path = tmp_path / 'evaluations.json'
  assert json.loads(path.read_text()) == dict(a=dict(value=1.0), b=dict(value=3.0))
  path.write_text('{')
  with pytest.raises(StateError, match='damaged'):
    records.note_evaluations(tmp_path, dict(c=dict(value=1.0)))
  assert path.read_text() == '{'


def test_eval_asks_a_run_for_blimp_and_keeps_what_it_found(tmp_path, folder):
  assert runs.run(runs.command('gpt_tiny', tmp_path / 'run', runs.corpus(tmp_path))).returncode == 0
  asked = [
    sys.executable,
    str(ROOT / 'eval.py'),
    f'--workdir={tmp_path / "run"}',
    f'--task_data={folder}',
  ]
  found = runs.run([*asked, '--tasks=blimp', '--task_limit=2', '--json'])
  assert found.returncode == 0, found.stderr
  printed = json.loads(found.stdout)
  result = printed['tasks']['blimp']
  assert json.loads((tmp_path / 'run' / 'evaluations.json').read_text()) == dict(blimp=result)
  assert result['pairs'] == 5 and result['score'] == 'causal' and 0 <= result['value'] <= 1
  assert result['asked'] == dict(task_limit=2)
  assert printed['step'] == 12 and 'clm_loss' in printed
  table = runs.run([*asked, '--tasks=blimp', '--task_limit=1'])
  assert (
    table.returncode == 0 and 'causal log-likelihood' in table.stdout and 'islands' in table.stdout
  )
  for flags, words in (
    (['--tasks=blmp'], 'Did you mean blimp'),
    (['--tasks=blimp', '--score=pll'], 'can give causal'),
    (['--tasks=blimp', '--task_data=nowhere'], 'no such folder'),
  ):
    refused = runs.run([*asked, *flags])
    assert refused.returncode in (2, 4) and words in refused.stderr, refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
