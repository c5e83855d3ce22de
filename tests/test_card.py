"""A model card says what was trained here, what came from elsewhere, and no more."""

import json
from pathlib import Path

import pytest
from test_convert import CASES, random_weights

from configs import base, bert_base
from configs.schema import check
from data.corpora import sources
from data.tokens import reading
from interop import card
from interop.export import export
from runtime import records
from training import load

TASKS = dict(
  bert='fill-mask',
  gpt2='text-generation',
  llama='text-generation',
  albert='fill-mask',
) | {
  'bert-mlm': 'fill-mask',
  'bert-bare': 'feature-extraction',
  'bert-sequence': 'text-classification',
  'bert-tokens': 'token-classification',
  'distilbert-sequence': 'text-classification',
  'gpt2-relu2': 'text-generation',
  'gpt2-sequence': 'text-classification',
  'gpt2-tokens': 'token-classification',
  'llama-sequence': 'text-classification',
  'llama-span': 'question-answering',
  'rotary': 'fill-mask',
  'modernbert': 'fill-mask',
  'modernbert-sequence': 'text-classification',
  'modernbert-decoder': 'text-generation',
  'modernbert-decoder-sequence': 'text-classification',
  'electra': 'fill-mask',
  'electra-discriminator': None,
  'gpt': 'text-generation',
  'eurobert': 'fill-mask',
  'albert-pretraining': 'fill-mask',
  'rotary-sequence': 'text-classification',
}


def front(text: str) -> dict[str, str]:
  """The YAML at the top of a card."""
  head = text.split('---\n')[1]
  return dict(line.split(': ', 1) for line in head.splitlines())


def run(folder: Path, **changes) -> Path:
  """The records of a run of 200 steps."""
  config = bert_base.get_config()
  config.update(changes)
  folder.mkdir()
  result = dict(
    step=200, tokens=5000, validation={'mlm_loss': 5.2192, 'mlm_accuracy': 0.2177}, seconds=3.5
  )
  records = dict(config=check.resolve(config), result=result, data=dict(rows='0123'))
  for name, record in records.items():
    (folder / f'{name}.json').write_text(json.dumps(record))
  return folder


def written(weights, workdir: Path, to: Path, **more) -> str:
  export(weights, workdir, to, **more)
  return (to / 'README.md').read_text()


def test_a_run_has_its_numbers_corpus_and_start(tmp_path):
  weights = random_weights('bert')._replace(step=200)
  text = written(weights, run(tmp_path / 'mine', init_from='elsewhere/bert'), tmp_path / 'out')
  for said in ('| validation/mlm_loss | 5.2192 |', '| tokens | 5000 |'):
    assert said in text
  assert 'from the parameters of bert.' in text and '| corpus | wiki_leads |' in text
  assert front(text)['language'] == 'en' and 'CC BY-SA 4.0' in text and 'license' not in front(text)
  assert str(tmp_path) not in text


def test_another_checkpoint_has_no_numbers_of_the_last_one(tmp_path):
  text = written(
    random_weights('bert')._replace(step=100), run(tmp_path / 'mine'), tmp_path / 'out'
  )
  assert '5.2192' not in text and 'mine, step 100' in text


def test_a_corpus_of_ones_own_has_no_language_and_no_licence(tmp_path):
  config = base.get_config()
  config.data.corpus = 'text:notes'
  workdir = run(tmp_path / 'mine', data=config.data)
  text = written(random_weights('bert')._replace(step=200), workdir, tmp_path / 'out')
  assert 'text:notes' in text and 'language' not in front(text) and 'CC BY' not in text


@pytest.mark.parametrize(
  'data, said',
  [
    (dict(task='csv:far/off/reviews.csv'), 'csv:reviews.csv'),
    (dict(task='csv:train=far/a.csv,test=off/b.csv'), 'csv:train=a.csv,test=b.csv'),
    (dict(task='sst2'), 'sst2'),
    (dict(groups='far/off/pairs.jsonl'), 'pairs.jsonl'),
  ],
)
@pytest.mark.parametrize('sentences', [False, True])
def test_a_tuned_model_was_trained_on_its_file_and_on_no_corpus(data, said, sentences, tmp_path):
  config = base.get_config()
  config.data.update(data)
  workdir = run(tmp_path / 'mine', data=config.data, init_from='far/minilm')
  weights = random_weights('bert')._replace(step=200)
  text = written(weights, workdir, tmp_path / 'out', sentences=sentences)
  assert f'| trained_on | {said} |' in text and '| starts_from | minilm |' in text
  for wrong in ('corpus', 'wiki_leads', 'CC BY', 'licence_of', '| far', 'language:'):
    assert wrong not in text


@pytest.mark.parametrize('kept', ['theirs', 'imported'])
def test_nothing_is_claimed_for_weights_of_others(kept, tmp_path):
  export(random_weights('bert'), tmp_path, tmp_path / 'theirs')
  if kept == 'imported':
    load.save(load.load(tmp_path / 'theirs'), tmp_path / 'imported')
  text = written(load.load(tmp_path / kept), tmp_path / kept, tmp_path / 'out')
  assert 'not trained with it' in text and 'Trained with' not in text
  assert not any(word in text for word in ('corpus', 'wiki_leads', 'sha256', 'Results', 'language'))
  manifest = json.loads((tmp_path / 'out/training_manifest.json').read_text())
  assert manifest == dict(name=kept, source='theirs')


@pytest.mark.parametrize('name', CASES)
def test_the_task_is_that_of_the_class(name, tmp_path):
  text = written(random_weights(name), tmp_path, tmp_path / 'out')
  assert front(text).get('pipeline_tag') == TASKS[name]


def test_sentences_have_their_own_task(tmp_path):
  text = written(random_weights('bert'), tmp_path, tmp_path / 'out', sentences=True)
  assert front(text)['pipeline_tag'] == 'sentence-similarity'
  assert card.task('BertForNextSentencePrediction', False) is None


def test_an_evaluation_writes_nothing_into_a_folder_of_others(tmp_path):
  export(random_weights('bert'), tmp_path, tmp_path / 'theirs')
  load.save(load.load(tmp_path / 'theirs'), tmp_path / 'imported')
  before = sorted(tmp_path.rglob('*'))
  assert not records.note_evaluations(tmp_path / 'theirs', dict(a=dict(value=1.0)))
  assert not records.note_evaluations(tmp_path / 'imported', dict(a=dict(value=1.0)))
  assert sorted(tmp_path.rglob('*')) == before
  assert records.note_evaluations(tmp_path / 'imported', dict(a=dict(value=1.0)), keep=True)
  assert records.read_evaluations(tmp_path / 'imported') == dict(a=dict(value=1.0))


def test_corpora_with_a_language_are_corpora():
  assert card.TEXTS.keys() <= {*sources.WHEELS, *sources.PAGES, *sources.TFDS}


@pytest.mark.parametrize(
  'change, listed',
  [
    (lambda vocabulary: vocabulary, True),
    (lambda vocabulary: vocabulary | {'later': 40}, False),  # no token has 24 to 39
    (lambda vocabulary: vocabulary | {'two\nlines': len(vocabulary)}, False),
    (lambda vocabulary: vocabulary | {'\u2028': len(vocabulary)}, False),
  ],
)
def test_a_vocabulary_with_holes_is_exported_without_a_list_of_lines(change, listed, tmp_path):
  weights = random_weights('bert')
  rule = json.loads(weights.tokenizer.plain_json())
  rule['model']['vocab'] = change(rule['model']['vocab'])
  tokenizer = reading.from_json(json.dumps(rule), 'tokenizer.json')
  export(weights._replace(tokenizer=tokenizer), tmp_path, tmp_path / 'out')
  assert (tmp_path / 'out/vocab.txt').exists() == listed
  texts = ['the old boat', 'a river']
  again = load.load(tmp_path / 'out').tokenizer
  for mine, theirs in zip(tokenizer.encode(texts), again.encode(texts)):
    assert mine.tolist() == theirs.tolist()
  for file in ('tokenizer_config.json', 'special_tokens_map.json'):
    assert 'null' not in (tmp_path / 'out' / file).read_text()
