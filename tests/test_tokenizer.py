import json
import os
from pathlib import Path
import random
import subprocess
import sys

import numpy as np
import pytest
import tokenizers

from data.errors import DataError
from data.tokens import reading, vocabulary
from data.tokens import tokenizer as tokenizer_lib
from inference.fill_mask import shown_tokens

WORDS = 'the of and to in is was for on as with by from at an are were which this'.split()
WORDS += 'Zoë naïve Łódź 北京 москва'.split()


def corpus(seed=0, documents=200):
  rng = random.Random(seed)
  return [' '.join(rng.choices(WORDS, k=30)) + '.' for _ in range(documents)]


def invented(words=3_000):
  """Sentences of words of a few syllables, rare and frequent ones, and characters of many kinds."""
  rng = random.Random(0)
  syllables = [a + b for a in 'bcdfghklmnprst' for b in ('a', 'e', 'ion', 'ou', 'y')]
  known = [''.join(rng.choices(syllables, k=rng.randrange(1, 5))) for _ in range(words)]
  known += [chr(code) for code in range(0x4E00, 0x4E80)]
  shares = [1 / (1 + rank) for rank in range(len(known))]
  return [' '.join(rng.choices(known, shares, k=20)) + '.' for _ in range(1_500)]


TRAIN = dict(
  wordpiece=lambda: vocabulary.train_wordpiece(corpus(), 200, lowercase=True),
  bpe=lambda: vocabulary.train_bpe(corpus(), 320),
  roberta_bpe=lambda: vocabulary.train_roberta_bpe(corpus(), 320),
  unigram=lambda: vocabulary.train_unigram(corpus(), 120, lowercase=True),
)


@pytest.fixture(scope='module', params=TRAIN)
def trained(request):
  return TRAIN[request.param]()


def test_candidates_are_shown_as_text_and_no_two_alike():
  tokenizer = vocabulary.train_bpe(corpus(), 320)
  every = [dict(id=index, token=tokenizer.token(index)) for index in range(tokenizer.size)]
  shown = shown_tokens(tokenizer, every)
  assert len({*shown}) == len(every)
  alone = [shown_tokens(tokenizer, [one])[0] for one in every]
  spaced = [name for name, one in zip(alone, every) if len(one['token'].lstrip('Ġ')) > 1]
  assert spaced and not any(name.startswith('Ġ') for name in spaced)


def test_no_text_becomes_a_special_token(trained):
  rng = random.Random(0)
  nasty = [
    *tokenizer_lib.WORDPIECE_SPECIALS,
    *tokenizer_lib.BPE_SPECIALS,
    *tokenizer_lib.ROBERTA_SPECIALS,
    '##',
    '[',
    ']',
    '|>',
    '<|',
  ]
  nasty += [' ', 'a', '\n', '\u200d', '\ufffd', '\0', '🙂', 'é']
  texts = [''.join(rng.choices(nasty, k=rng.randrange(1, 8))) for _ in range(2_000)]
  texts += [token + ' ' + token.lower() for token in nasty]
  for text, ids in zip(texts, trained.encode(texts), strict=True):
    special = trained.special_V[ids]
    if trained.unknown is not None:
      special &= ids != trained.unknown
    assert not special.any(), text


def test_only_the_real_specials_are_special(trained):
  specials = [trained.token(index) for index in np.flatnonzero(trained.special_V)]
  assert tuple(specials) in (
    tokenizer_lib.WORDPIECE_SPECIALS,
    tokenizer_lib.BPE_SPECIALS,
    tokenizer_lib.ROBERTA_SPECIALS,
    tokenizer_lib.UNIGRAM_SPECIALS,
  )
  assert len(trained.special_V) == len(trained.words.start_V) == trained.size


def test_word_starts_are_the_words(trained):
  text = ' ' + ' '.join(WORDS[:10])
  (ids,) = trained.encode([text])
  assert trained.words.starts(ids).sum() == 10


def test_decoding_gives_the_text_back(trained):
  text = 'the naive of this'
  (ids,) = trained.encode([text])
  assert trained.decode(ids) == text


def test_saving_and_loading_changes_nothing(trained, tmp_path):
  trained.save(tmp_path / 'tokenizer.json')
  loaded = reading.load(tmp_path / 'tokenizer.json', lowercase=True)
  assert loaded.sha256 == trained.sha256
  texts = [*corpus(1), '[MASK] <|endoftext|>']
  for left, right in zip(loaded.encode(texts), trained.encode(texts)):
    np.testing.assert_array_equal(left, right)
  for role in tokenizer_lib.ROLES:
    assert getattr(loaded, role) == getattr(trained, role)


def test_bytes_are_never_unknown():
  tokenizer = vocabulary.train_bpe(corpus(), 320)
  text = 'اردو 日本語 🙂\x7f'
  (ids,) = tokenizer.encode([text])
  assert tokenizer.unknown is None and tokenizer.decode(ids) == text


@pytest.mark.parametrize('kind', ['wordpiece', 'bpe', 'unigram'])
def test_training_twice_gives_the_same_bytes(kind, tmp_path):
  """In other processes, since the order of a hash table differs between processes."""
  train = {
    'bpe': 'v.train_bpe(t.corpus(), 400)',
    'wordpiece': 'v.train_wordpiece(t.corpus(), 300, True)',
    'unigram': 'v.train_unigram(t.invented(), 700, True)',
  }
  script = (
    'import sys; sys.path.insert(0, "tests"); import test_tokenizer as t; from data.tokens '
    f'import vocabulary as v;{train[kind]}.save(sys.argv[1])'
  )
  root = Path(__file__).parents[1]
  files = [tmp_path / f'{number}.json' for number in range(3)]
  running = [
    subprocess.Popen(
      [sys.executable, '-c', script, str(file)],
      cwd=root,
      env=os.environ | {'PYTHONPATH': str(root)},
    )
    for file in files
  ]
  assert [process.wait() for process in running] == [0, 0, 0]
  assert len({file.read_bytes() for file in files}) == 1


def test_the_order_of_the_documents_does_not_matter():
  texts = corpus()
  shuffled = random.Random(1).sample(texts, len(texts))
  assert vocabulary.sample(texts) == vocabulary.sample(shuffled)


def test_a_large_corpus_is_sampled_within_the_limit():
  texts = corpus()
  picked = vocabulary.sample(texts, limit=5_000)
  assert set(picked) < set(texts) and 3_000 < sum(len(text.encode()) for text in picked) <= 5_000


def test_a_vocabulary_too_small_for_the_characters_says_how_many_it_takes():
  with pytest.raises(DataError, match='at least'):
    vocabulary.train_wordpiece(corpus(), 20, lowercase=True)
  with pytest.raises(DataError, match='at least 259'):
    vocabulary.train_bpe(corpus(), 20)


def test_rare_characters_of_a_large_alphabet_are_left_out():
  texts = ['aaaa bbbb cccc dddd eeee x'] * 5
  tokenizer = vocabulary.train_wordpiece(texts, 60, lowercase=True, alphabet=5)
  (ids,) = tokenizer.encode(['aa x'])
  assert tokenizer.token(ids[-1]) == '[UNK]'


def test_published_vocabulary_files_are_read(tmp_path):
  tokens = '[PAD] [unused0] [UNK] [CLS] [SEP] [MASK] un ##able able [ mask ]'.split()
  (tmp_path / 'vocab.txt').write_text('\r\n'.join(tokens) + '\r\n')
  tokenizer = reading.load(tmp_path / 'vocab.txt', lowercase=True)
  assert tokenizer.size == len(tokens)
  assert (tokenizer.pad, tokenizer.bos, tokenizer.eos, tokenizer.mask, tokenizer.unknown) == (
    0,
    3,
    4,
    5,
    2,
  )
  found = [ids.tolist() for ids in tokenizer.encode(['Unable able', '[MASK]', 'x'])]
  assert found == [[6, 7, 8], [9, 10, 11], [2]]
  assert not tokenizer.words.start_V[7]
  (tmp_path / 'vocab.txt').write_text('[PAD]\n[UNK]\nun\n')
  with pytest.raises(DataError, match='lacks .CLS.'):
    reading.load(tmp_path / 'vocab.txt', lowercase=True)


def test_case_is_kept_when_asked(tmp_path):
  (tmp_path / 'vocab.txt').write_text(
    '\n'.join([*tokenizer_lib.WORDPIECE_SPECIALS, 'rome', 'Rome'])
  )
  for lowercase, expected in ((True, [5, 5]), (False, [6, 5])):
    assert (
      reading.load(tmp_path / 'vocab.txt', lowercase).encode(['Rome rome'])[0].tolist() == expected
    )


def test_truncation_and_padding_are_switched_off(tmp_path):
  trained = vocabulary.train_bpe(corpus(), 320)
  raw = tokenizers.Tokenizer.from_str(tokenizer_lib.canonical_json(trained._tokenizer))
  raw.enable_truncation(4)
  raw.enable_padding(length=16)
  raw.save(str(tmp_path / 'tokenizer.json'))
  with pytest.warns(UserWarning, match='asks for (truncation|padding)'):
    loaded = reading.load(tmp_path / 'tokenizer.json', lowercase=True)
  texts = corpus(2, 3)
  assert [len(ids) for ids in loaded.encode(texts)] == [len(ids) for ids in trained.encode(texts)]
  assert loaded.sha256 == trained.sha256


def test_special_tokens_that_a_file_forgot_to_mark_are_special(tmp_path):
  trained = vocabulary.train_bpe(corpus(), 320)
  description = json.loads(tokenizer_lib.canonical_json(trained._tokenizer))
  for token in description['added_tokens']:
    token['special'] = False
  (tmp_path / 'tokenizer.json').write_text(json.dumps(description))
  loaded = reading.load(tmp_path / 'tokenizer.json', lowercase=True)
  (ids,) = loaded.encode(['<|endoftext|>'])
  assert not loaded.special_V[ids].any() and loaded.decode(ids) == '<|endoftext|>'


def test_unigram_models_cannot_smuggle_a_special_token_in(tmp_path):
  pieces = [
    ('<unk>', 0.0),
    ('<s>', 0.0),
    ('</s>', 0.0),
    ('<', -9.0),
    ('s', -9.0),
    ('>', -9.0),
    ('a', -2.0),
  ]
  raw = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=0))
  raw.add_special_tokens(['<s>', '</s>'])
  loaded = tokenizer_lib.Tokenizer(raw)
  (ids,) = loaded.encode(['a<s>a'])
  assert loaded.bos not in ids


@pytest.mark.parametrize('content', ['', '{}', '[]', 'text'])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, content):
  (tmp_path / 'tokenizer.json').write_text(content)
  with pytest.raises(DataError, match='tokenizer.json'):
    reading.load(tmp_path / 'tokenizer.json', lowercase=True)
  with pytest.raises(DataError, match='no such file.*wordpiece'):
    reading.load(tmp_path / 'wordpeice', lowercase=True)


def test_a_vocabulary_without_tokens_to_frame_a_document_is_refused_with_their_names():
  bare = tokenizer_lib.tokenizers.Tokenizer(tokenizer_lib.models.WordLevel({'a': 0}, unk_token='a'))
  with pytest.raises(DataError, match=r'needs one of \[CLS\], <s>.* and one of \[SEP\], </s>'):
    tokenizer_lib.Tokenizer(bare)


def test_unigram_pieces_are_those_of_the_library():
  texts = [text.replace('Zoë', 'Zoe').lower() for text in corpus()]
  rule = tokenizers.Tokenizer(tokenizers.models.Unigram())
  rule.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace('▁', prepend_scheme='always')
  trainer = tokenizers.trainers.UnigramTrainer(
    vocab_size=120,
    special_tokens=list(tokenizer_lib.UNIGRAM_SPECIALS),
    unk_token='<unk>',
    show_progress=False,
  )
  rule.train_from_iterator(texts, trainer)
  theirs = dict(json.loads(rule.to_str())['model']['vocab'])
  ours = vocabulary.train_unigram(texts, 120, lowercase=False)
  ours = dict(json.loads(ours.plain_json())['model']['vocab'])
  assert ours.keys() == theirs.keys() and len(ours) > 60
  for piece, score in ours.items():
    # characters without a score of their own have theirs in the order of a hash table
    assert score == pytest.approx(theirs[piece], abs=1e-2 if len(piece) == 1 else 1e-6)
