"""A vocabulary that grows: old entries keep their ids, new ones begin as means of pieces."""

import json

import numpy as np
import pytest
import tokenizers

from data import checks
from data.errors import DataError
from data.tokens import extension, vocabulary
from tests import runs
from training import new_entries

GENERAL = ['the old man sat near the river and the boat was deep in the water'] * 20
DOMAIN = ['the tumour marker of carcinoma cells and carcinogenic tumours in tissues'] * 20


@pytest.fixture(scope='module')
def old():
  return vocabulary.train_wordpiece(GENERAL + ['tumorcingskpl xyz'], 120, True)


@pytest.mark.parametrize('count', [1, 7, 30])
def test_old_entries_keep_their_ids_and_new_ones_come_behind(old, count):
  new = extension.extend(old, DOMAIN, count)
  assert new.size == old.size + count and extension.extends(new, old)
  assert [new.token(index) for index in range(old.size)] == [
    old.token(index) for index in range(old.size)
  ]
  added = [new.token(index) for index in range(old.size, new.size)]
  assert len(set(added)) == count
  before, after = (len(each.encode(DOMAIN[:1])[0]) for each in (old, new))
  assert after <= before and (after < before or count < 30)  # characters come first
  assert new.encode(['[MASK]'])[0].tolist() == old.encode(['[MASK]'])[0].tolist()
  assert extension.extend(old, DOMAIN[::-1], count).sha256 == new.sha256


def test_another_vocabulary_extends_nothing(old):
  other = vocabulary.train_wordpiece(DOMAIN, 120, True)
  cased = vocabulary.train_wordpiece(GENERAL + ['tumorcingskpl xyz'], 120, False)
  new = extension.extend(old, DOMAIN, 5)
  assert not extension.extends(other, old) and not extension.extends(old, new)
  assert not extension.extends(new, cased)


def test_pieces_are_those_of_the_library(old):
  rule = json.loads(old.plain_json())
  model = tokenizers.models.WordPiece(rule['model']['vocab'], unk_token='[UNK]')
  new = extension.extend(old, DOMAIN, 40)
  words = [new.token(index) for index in range(old.size, new.size)]
  assert len(words) > 20 and any(word.startswith('##') for word in words)
  for word in words:
    found = extension.pieces(old, word)
    if word.startswith('##') and found:
      spelt = ''.join(old.token(index).removeprefix('##') for index in found)
      assert spelt == word[2:] and all(old.token(index).startswith('##') for index in found)
    if not word.startswith('##'):
      assert (found or [old.unknown]) == [token.id for token in model.tokenize(word)]
  assert extension.pieces(old, '東') == []


def test_a_new_row_is_the_mean_of_its_pieces_and_all_others_stay(old):
  new = extension.extend(old, DOMAIN, 10)
  rng = np.random.default_rng(0)
  rows, more = old.size + 3, new.size + 2
  theirs = {
    'embeddings/token': rng.normal(size=(rows, 4)),
    'mlm/bias': rng.normal(size=rows),
    'mlm/transform/bias': rng.normal(size=4),
  }
  ours = {
    'embeddings/token': rng.normal(size=(more, 4)),
    'mlm/bias': np.zeros(more),
    'mlm/transform/bias': np.zeros(4),
  }
  found = new_entries.grown(theirs, ours, old, new)
  for path in ('embeddings/token', 'mlm/bias'):
    assert (found[path][: old.size] == theirs[path][: old.size]).all()
    assert (found[path][new.size :] == ours[path][new.size :]).all()
    for index in range(old.size, new.size):
      pieces = extension.pieces(old, new.token(index)) or [old.unknown]
      np.testing.assert_allclose(found[path][index], theirs[path][pieces].mean(0))
  assert found['mlm/transform/bias'] is theirs['mlm/transform/bias']


@pytest.mark.parametrize(
  'name, message',
  [
    ('extend:', 'expected extend:PATH\\+N'),
    ('extend:a.json', 'expected extend:PATH\\+N'),
    ('extend:a.json+0', 'expected extend:PATH\\+N'),
    ('extend:a.json+x', 'expected extend:PATH\\+N'),
    ('extend:no/such.json+5', 'no such file'),
  ],
)
def test_what_extends_nothing_is_refused_by_its_name(name, message):
  class Data:
    groups, corpus, tokenizer = '', 'wiki_leads', name

  with pytest.raises(DataError, match=message):
    checks.check_inputs(Data)


def test_only_wordpiece_can_be_extended():
  bpe = vocabulary.train_bpe(GENERAL, 300)
  with pytest.raises(DataError, match='only WordPiece'):
    extension.check_extendable(bpe, 'a.json')


def test_a_run_goes_on_with_a_larger_vocabulary_and_with_no_other(tmp_path):
  text = runs.corpus(tmp_path)
  domain = tmp_path / 'domain.txt'
  domain.write_text('\n\n'.join(f'{line} {n}.\nThe tumour {n}.' for n, line in enumerate(DOMAIN)))
  first = tmp_path / 'first'
  steps = {'steps': 5, 'optimizer.warmup_steps': 1}
  small = steps | {'model.vocab_size': 120}
  assert runs.run(runs.command('bert_tiny', first, text, **small)).returncode == 0
  changes = steps | {
    'init_from': str(first),
    'data.tokenizer': f'extend:{first / "tokenizer.json"}+20',
    'data.validation_share': 0.3,
    'model.vocab_size': 150,
  }
  done = runs.run(runs.command('bert_tiny', tmp_path / 'second', domain, **changes))
  assert done.returncode == 0, done.stderr
  count = len(json.loads((tmp_path / 'second/tokenizer.json').read_text())['model']['vocab'])
  before = len(json.loads((first / 'tokenizer.json').read_text())['model']['vocab'])
  assert count == before + 20
  shorter = f'extend:{first / "tokenizer.json"}+10'
  other = changes | {'init_from': str(tmp_path / 'second'), 'data.tokenizer': shorter}
  refused = runs.run(runs.command('bert_tiny', tmp_path / 'third', domain, **other))
  assert refused.returncode == 3 and 'was not trained with the vocabulary' in refused.stderr
