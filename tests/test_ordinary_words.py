"""What looks like a special token and is not marked as one is a word, and stays in texts."""

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from data.tokens.tokenizer import ROLES, Tokenizer

NAMES = sorted({name for names in ROLES.values() for name in names} - {'<|endoftext|>'})


def rule(special: list[str]) -> tokenizers.Tokenizer:
  """Words between spaces, every name of `ROLES` among them."""
  words = ['<|endoftext|>', *NAMES, 'the', 'boat', 'unknown']
  vocabulary = {word: index for index, word in enumerate(words)}
  made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token='unknown'))
  made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
  made.add_special_tokens(special)
  return made


@pytest.mark.parametrize('word', [name for name in NAMES if name not in ROLES['unknown']])
def test_a_name_that_is_not_marked_is_a_word(word):
  mine = Tokenizer(rule(['<|endoftext|>']))
  theirs = rule(['<|endoftext|>']).encode(f'the {word} boat')
  assert mine.encode([f'the {word} boat'])[0].tolist() == theirs.ids
  assert word in mine.decode(theirs.ids) and not mine.special_V[theirs.ids].any()
  assert mine.bos == mine.eos == 0 and mine.pad is None and mine.mask is None


@pytest.mark.parametrize('role', ['bos', 'eos', 'pad', 'mask'])
def test_a_name_that_is_marked_goes_before_an_earlier_one(role):
  *_, last = ROLES[role]
  mine = Tokenizer(rule(['<|endoftext|>', last]))
  marked = {'<|endoftext|>', last}
  expected = next(name for name in ROLES[role] if name in marked)
  assert mine.token(getattr(mine, role)) == expected


def test_where_nothing_is_marked_the_first_name_counts():
  mine = Tokenizer(rule([]))
  assert [mine.token(getattr(mine, role)) for role in ROLES] == [
    names[0] for names in ROLES.values()
  ]
