import random

import pytest

from data.corpora import sentences


@pytest.mark.parametrize(
  'text, expected',
  [
    ('One. Two! Three?', ['One.', ' Two!', ' Three?']),
    ('Dr. Who met J. R. R. Tolkien in the U.S. Army. He left.', None),
    ('He said "Stop." Then he left.', ['He said "Stop."', ' Then he left.']),
    ('It costs 3.5 dollars, e.g. in Rome.', ['It costs 3.5 dollars, e.g. in Rome.']),
    ('a line\nanother line\n\nlast', ['a line', '\nanother line', '\n\nlast']),
    ('a line \t\n \n another', ['a line', ' \t\n \n another']),
    ('Line 3.\u2009“Here?”\tYes.', ['Line 3.', '\u2009“Here?”', '\tYes.']),
    ('Who? “he,” I said.', ['Who? “he,” I said.']),
    ('你好。再见。', ['你好。', '再见。']),
    ('what? no.', ['what? no.']),
    ('', ['']),
  ],
)
def test_rules_find_the_sentences(text, expected):
  if expected is None:
    expected = ['Dr. Who met J. R. R. Tolkien in the U.S. Army.', ' He left.']
  assert sentences.split(text) == expected


def test_joining_the_sentences_gives_the_text_back():
  rng = random.Random(0)
  alphabet = ['a', 'B', ' ', '.', '\n', '!', '"', '。', '\t', '9', ' Mr. ', '\u200d', '  ']
  for _ in range(2_000):
    text = ''.join(rng.choices(alphabet, k=rng.randrange(60)))
    found = sentences.split(text)
    assert ''.join(found) == text
    assert all(sentence.strip() for sentence in found) or not text.strip()


def test_a_line_without_sentence_ends_is_cut_and_none_of_it_lost():
  for text in ('x' * 50_000, 'word ' * 20_000, 'a' * 7_999 + ' ' * 9_000 + 'b'):
    found = sentences.split(text)
    assert ''.join(found) == text
    assert max(map(len, found)) <= sentences.LONGEST
  first, *later = sentences.split('word  and ' * 20_001)
  assert later and all(
    sentence.startswith('  and') or sentence.startswith(' word') for sentence in later
  )
