"""Words that are encoded once make the tokens of texts that are
encoded whole, or texts are encoded whole.
"""

import itertools
import json
import random
import sys
import unicodedata

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from data.tokens import tokenizer as tokenizer_lib
from data.tokens import vocabulary, word_cache

TRAINED_ON = [
  "The house, the garden.\n\n  A  house is “there”; it's 12 houses, they'll say. " * 3,
  '中文。 नमस्ते ΑΣ e\u0301 é [MASK]',
]
PARTS = [
  'a',
  'B',
  'house',
  'the',
  '.',
  '"',
  '。',
  "'s",
  "'ll",
  '12',
  '中',
  'नमस्ते',
  'e\u0301',
  '\u0301',
  'ΑΣ',
  'İ',
  'ﬁ',
  '##a',
  'Ġ',
  '[MASK]',
  '<|endoftext|>',
  'x' * 120,
  '😀',
  '\u200d',
  '\x07',
  '\x1c',
  '\xad',
  '\ufffd',
  '\n',
  '\t',
  '\r',
  '\x85',
  '\xa0',
  '\u2003',
  '\u2028',
  '\u3000',
  '  ',
  '   ',
  *[' '] * 12,
]
# categories of characters that are no letters, or join one
ODD = ('Zs', 'Zl', 'Zp', 'Cc', 'Cf', 'Mn')


def whitespace_word(vocabulary: list[str]) -> tokenizers.Tokenizer:
  made = tokenizers.Tokenizer(
    models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token='[UNK]')
  )
  made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
  return made


@pytest.fixture(scope='module')
def kinds() -> dict[str, tokenizer_lib.Tokenizer]:
  return dict(
    lower=vocabulary.train_wordpiece(TRAINED_ON, 400, True),
    cased=vocabulary.train_wordpiece(TRAINED_ON, 400, False),
    bpe=vocabulary.train_bpe(TRAINED_ON, 300),
    words=vocabulary.train_words(TRAINED_ON, 20),
    characters=vocabulary.train_characters(TRAINED_ON, 400),
  )


def assert_same(tokenizer: tokenizer_lib.Tokenizer, texts: list[str]):
  ids, lengths = tokenizer.encode_many(texts)
  whole = tokenizer.encode(texts)
  assert lengths.tolist() == [len(each) for each in whole]
  np.testing.assert_array_equal(ids, np.concatenate(whole))


@pytest.mark.parametrize('kind', ['lower', 'cased', 'bpe', 'words', 'characters'])
def test_no_token_of_any_text_changes(kinds, kind, monkeypatch):
  rng = random.Random(0)
  texts = [''.join(rng.choices(PARTS, k=rng.randrange(40))) for _ in range(4_000)]
  assert_same(kinds[kind], texts)
  assert_same(kinds[kind], [''])
  for bound in ('_TOGETHER', 'BATCH', '_STRING'):  # reached many times
    monkeypatch.setattr(word_cache, bound, 50)
    assert_same(kinds[kind], texts[:400])


@pytest.mark.parametrize('kind', ['lower', 'cased', 'bpe', 'words'])
def test_no_character_beside_a_space_changes_a_token(kinds, kind):
  odd = [c for c in map(chr, range(1, sys.maxunicode + 1)) if unicodedata.category(c) in ODD]
  assert {' ', '\x1c', '\u180e', '\u2028'} < set(odd)
  assert_same(kinds[kind], [f'a{c} b {c}c  {c}{c} d{c}' for c in odd])


def test_a_word_is_encoded_once(kinds):
  for kind in ('lower', 'bpe', 'words'):
    texts = ['a house, a house', ' a house', 'a\na a']
    different, word_N, starts = word_cache.open_words(kinds[kind]._tokenizer)._cut(texts)
    assert different == ['a', ' house,', ' a', ' house', '', 'a\na']
    assert word_N.tolist() == [0, 1, 2, 3, 4, 2, 3, 5, 2] and starts.tolist() == [0, 4, 7]
  two = word_cache.open_words(kinds['bpe']._tokenizer)._cut(['a house  here', 'a house'])
  assert two[0] == ['a house  here', 'a', ' house']  # the first of two spaces is a token of its own


def test_rules_that_see_past_a_space_are_left_alone(kinds):
  def changed(kind: str, change) -> word_cache.Words | None:
    rule = json.loads(kinds[kind].plain_json())
    change(rule)
    return word_cache.open_words(tokenizers.Tokenizer.from_str(json.dumps(rule)))

  assert word_cache.open_words(kinds['characters']._tokenizer) is None
  assert changed('lower', lambda rule: None) and changed('bpe', lambda rule: None)
  assert not changed('lower', lambda rule: rule.update(pre_tokenizer=None))
  assert not changed('lower', lambda rule: rule.update(normalizer=dict(type='NFKC')))
  assert not changed('bpe', lambda rule: rule['pre_tokenizer'].update(use_regex=False))
  assert not changed('bpe', lambda rule: rule['model'].update(dropout=0.1))
  added = dict(
    id=300,
    content='the house',
    special=False,
    single_word=False,
    lstrip=False,
    rstrip=False,
    normalized=True,
  )
  assert not changed('bpe', lambda rule: rule['added_tokens'].append(added))


def test_an_id_that_a_word_has_does_not_stand_between_words():
  """A new token gets the number of tokens as its id, which a
  vocabulary with a gap has given away.
  """
  names = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'b']
  assert word_cache.open_words(whitespace_word(names))
  made = whitespace_word(names)
  rule = json.loads(made.to_str())
  rule['model']['vocab'] = {name: index + (index > 5) for index, name in enumerate(names)}
  gap = tokenizers.Tokenizer.from_str(json.dumps(rule))
  assert word_cache.open_words(gap) is None
  assert_same(tokenizer_lib.Tokenizer(gap), ['a b a', 'b c', ''])


def test_a_special_token_in_a_text_is_unknown_there_too(kinds):
  texts = ['the house', 'a [MASK] house', '[CLS]']
  ids, lengths = kinds['words'].encode_many(texts)
  assert lengths.tolist() == [2, 3, 1] and ids[3] == ids[5] == kinds['words'].unknown
  for kind, text in itertools.product(kinds, texts):
    assert_same(kinds[kind], [text])


def test_a_rule_that_was_wrongly_trusted_is_noticed():
  spaces_merge = vocabulary.train_bpe(['a    house'] * 9, 300)
  trusted = word_cache.open_words(spaces_merge._tokenizer)
  trusted._uncut = None  # as if no text of this rule had to stay whole
  trusted.encode(['a house'] * 20)
  with pytest.raises(AssertionError, match='other tokens by words than as a whole'):
    trusted.encode(['a    house'] * 20)
