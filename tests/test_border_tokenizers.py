"""A tokenizer folder is read as transformers 5 reads it, or refused by the name of a key."""

import json
import random
import re
import warnings

import numpy as np
import pytest
import tokenizer_folders as folders
import tokenizers

from data.corpora import sentences
from data.errors import DataError
from data.tokens import pretrained, reading, vocabulary
from data.tokens import tokenizer as tokenizer_lib

COMBINATIONS = 160


def test_each_folder_has_the_ids_of_transformers_or_is_refused_by_a_key(tmp_path):
  transformers = pytest.importorskip('transformers', reason='needs the extra parity')
  drawn = folders.Drawn(seed=0)
  same = refused = 0
  for number in range(COMBINATIONS):
    folder = tmp_path / str(number)
    what = drawn.folder(folder)
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')
      try:
        ours = read(folder)
      except DataError as error:
        assert any(key in str(error) for key in ('tokenizer_class', 'token', '.json')), what
        refused += 1
        continue
      theirs = transformers.AutoTokenizer.from_pretrained(folder)
    compare(ours, theirs, what)
    same += 1
  print(f'{COMBINATIONS} folders x {len(folders.TEXTS)} texts: {same} the same, {refused} refused')
  assert same >= 0.9 * COMBINATIONS


def read(folder):
  config = json.loads((folder / 'config.json').read_text())
  return pretrained.read(folder, config.get('model_type'), config.get('tokenizer_class'))


def compare(ours, theirs, what):
  theirs._tokenizer.encode_special_tokens = True  # in text, a special token is text, as here
  theirs._tokenizer.no_truncation()
  for text in folders.TEXTS:
    expected = theirs._tokenizer.encode(text, add_special_tokens=False).ids
    found = ours._tokenizer.encode(text, add_special_tokens=False).ids
    assert found == expected, (what, text)
  assert ours.size == len(theirs), what
  begin = theirs.bos_token_id if theirs.cls_token is None else theirs.cls_token_id
  end = theirs.eos_token_id if theirs.sep_token is None else theirs.sep_token_id
  ids = dict(bos=begin, eos=end, pad=theirs.pad_token_id, mask=theirs.mask_token_id)
  assert all(getattr(ours, role) == id_ for role, id_ in ids.items() if id_ is not None), what
  assert ours.adds_special_tokens == (theirs.num_special_tokens_to_add() > 0), what


def test_switches_beside_a_vocabulary_are_the_normalizers(tmp_path):
  made = folders.wordpiece(lowercase=False)
  folders.write_vocabulary(tmp_path, made, 'txt')
  for lowercase, accents, chinese in [
    (a, b, c) for a in (0, 1) for b in (None, 0, 1) for c in (0, 1)
  ]:
    switches = dict(do_lower_case=bool(lowercase), tokenize_chinese_chars=bool(chinese))
    switches['strip_accents'] = None if accents is None else bool(accents)
    folders.write(tmp_path / 'tokenizer_config.json', switches)
    made.normalizer = tokenizers.normalizers.BertNormalizer(
      lowercase=bool(lowercase),
      strip_accents=switches['strip_accents'],
      handle_chinese_chars=bool(chinese),
    )
    made.encode_special_tokens = True
    with pytest.warns(UserWarning, match='do_lower_case.*they decide'):
      ours = pretrained.load(tmp_path / 'vocab.txt', lowercase=not lowercase)
    for text, ids in zip(folders.TEXTS, ours.encode(folders.TEXTS)):
      assert ids.tolist() == made.encode(text, add_special_tokens=False).ids, (switches, text)


@pytest.mark.parametrize(
  'settings',
  [
    dict(tokenizer_class='BertJapaneseTokenizer'),
    dict(tokenizer_class=['BertTokenizer']),
    dict(do_lower_case='no'),
    dict(strip_accents=1),
    dict(unk_token=None),
    dict(cls_token=None),
    dict(mask_token=7),
    dict(mask_token=dict(content='[MASK]')),
    dict(auto_map=dict(AutoTokenizer=['a.B', None])),
    dict(fast_tokenizer_files=['tokenizer.4.0.0.json']),
    dict(added_tokens_decoder={'5': 'a'}),
    dict(added_tokens_decoder=['a']),
    dict(extra_special_tokens=[['a']]),
    dict(extra_special_tokens=[None]),
    dict(tokenizer_class='GPT2Tokenizer'),
    dict(tokenizer_class='AlbertTokenizer'),
    dict(tokenizer_class='PreTrainedTokenizerFast'),
  ],
)
def test_what_is_not_known_is_refused_by_its_key(tmp_path, settings):
  folders.write_vocabulary(tmp_path, folders.wordpiece(), 'txt')
  folders.write(tmp_path / 'tokenizer_config.json', settings)
  with pytest.raises(DataError, match='|'.join([*settings, 'special tokens'])):
    pretrained.read(tmp_path, 'bert')


@pytest.mark.parametrize('name', ['tokenizer_config.json', 'special_tokens_map.json', 'vocab.txt'])
@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'\xff\xfe', b'[' * 100_000])
def test_a_damaged_file_is_named(tmp_path, name, content):
  folders.write_vocabulary(tmp_path, folders.wordpiece(), 'txt')
  (tmp_path / name).write_bytes(content)
  if name == 'vocab.txt' and content != b'\xff\xfe':
    return  # text is a vocabulary
  with pytest.raises(DataError, match=name):
    pretrained.read(tmp_path, 'bert')


def test_a_folder_is_a_tokenizer_too(tmp_path):
  with pytest.raises(DataError, match='holds none of tokenizer.json'):
    pretrained.load(tmp_path, lowercase=True)
  folders.write_vocabulary(tmp_path, folders.byte_level(), 'merges')
  with pytest.raises(DataError, match='tokenizer_class'):
    pretrained.load(tmp_path, lowercase=True)
  folders.write(tmp_path / 'tokenizer_config.json', dict(tokenizer_class='GPT2Tokenizer'))
  whole, named = (pretrained.load(path, True) for path in (tmp_path, tmp_path / 'vocab.json'))
  assert whole.sha256 == named.sha256 and whole.token(whole.eos) == '<|endoftext|>'


def test_a_model_for_sentences_may_ask_for_lower_case(tmp_path):
  made = folders.byte_level()
  folders.write_vocabulary(tmp_path, made, 'json')
  folders.write(tmp_path / 'sentence_bert_config.json', dict(do_lower_case=True))
  with pytest.warns(UserWarning, match='sentence-transformers'):
    ours = pretrained.read(tmp_path)
  expected = [made.encode(text.lower()).ids for text in folders.TEXTS]
  assert [ids.tolist() for ids in ours.encode(folders.TEXTS)] == expected


def test_what_has_no_effect_is_said(tmp_path):
  folders.write_vocabulary(tmp_path, folders.wordpiece(lowercase=False, prefix='@@'), 'json')
  switches = dict(never_split=['a'], do_basic_tokenize=False, tokenizer_class='BertTokenizer')
  folders.write(tmp_path / 'tokenizer_config.json', switches)
  with pytest.warns(UserWarning) as found:
    pretrained.read(tmp_path)
  said = ' '.join(str(warning.message) for warning in found)
  for key in ('never_split', 'do_basic_tokenize', 'normalizer', 'continuing_subword_prefix'):
    assert key in said


def test_a_model_that_cannot_encode_unknown_text_is_refused_on_reading(tmp_path):
  folders.write(tmp_path / 'vocab.txt', '\n'.join([*folders.BERT, 'a']))
  folders.write(tmp_path / 'tokenizer_config.json', dict(unk_token='<none>'))
  with pytest.raises(DataError, match="unk_token '<none>'"):
    pretrained.read(tmp_path, 'bert')
  rule = json.loads(folders.unigram().to_str())
  rule['model']['unk_id'] = None
  folders.write(tmp_path / 'tokenizer.json', rule)
  with pytest.raises(DataError, match='unk_id'):
    reading.load(tmp_path / 'tokenizer.json', lowercase=True)


@pytest.mark.parametrize('second', ['[PAD]\n[UNK]\n', '\ufeff[PAD]', None])
def test_a_second_vocabulary_that_says_something_else_is_named(tmp_path, second, recwarn):
  made = folders.wordpiece()
  folders.write_vocabulary(tmp_path, made, 'both')
  if second:
    folders.write(tmp_path / 'vocab.txt', second)
  ours = pretrained.read(tmp_path, 'bert')
  assert ours.size == made.get_vocab_size()
  assert ['vocab.txt' in str(warning.message) for warning in recwarn] == [True] * bool(second)


def test_names_that_nobody_knows_survive_saving(tmp_path):
  made = folders.wordpiece()
  (tmp_path / 'theirs').mkdir()
  (tmp_path / 'ours').mkdir()
  folders.write_vocabulary(tmp_path / 'theirs', made, 'txt')
  names = dict(cls_token='dog', sep_token='able', pad_token='the', mask_token='it')
  folders.write(tmp_path / 'theirs' / 'tokenizer_config.json', names)
  first = pretrained.read(tmp_path / 'theirs', 'bert')
  assert [first.token(i) for i in (first.bos, first.eos, first.pad, first.mask)] == [
    *names.values()
  ]
  first.save(tmp_path / 'ours' / 'tokenizer.json')
  again = pretrained.load(tmp_path / 'ours' / 'tokenizer.json', lowercase=True)
  assert again.names == first.names and again.sha256 == first.sha256
  np.testing.assert_array_equal(again.special_V, first.special_V)
  ids = again.encode(['the dog sleeps'])[0]
  assert not (again.special_V[ids] & (ids != again.unknown)).any()


KINDS = dict(
  wordpiece=folders.wordpiece,
  other_prefix=lambda: folders.wordpiece(prefix='@@'),
  byte_level=folders.byte_level,
  metaspace=folders.unigram,
  llama=folders.llama,
  suffix=folders.suffix,
)


@pytest.mark.parametrize('kind', KINDS)
def test_words_begin_where_the_model_says(kind):
  made = KINDS[kind]()
  specials = ['<s>', '</s>']
  made.add_special_tokens(specials)
  # ordinary tokens that look like the marks of other models
  made.add_tokens(['##', '##ing', 'Ġx', '▁y', 'z</w>'])
  tokenizer = tokenizer_lib.Tokenizer(made)
  words = 'the dog sleeps unable unbelievable house tabs unbelievable'.split()
  row_T = np.array([tokenizer.bos, *tokenizer.encode([' '.join(words)])[0], tokenizer.eos])
  word_T = np.cumsum(tokenizer.words.starts(row_T))
  spelled = [tokenizer.decode(row_T[word_T == word]).strip() for word in range(1, word_T.max() + 1)]
  joined = [text.replace('##', '').replace('@@', '') for text in spelled]
  assert joined[1:-1] == words


def test_a_repeated_entry_leaves_a_number_without_a_token(tmp_path):
  entries = [*folders.BERT, 'a', 'b', 'a', 'c']
  folders.write(tmp_path / 'vocab.txt', '\n'.join(entries))
  tokenizer = pretrained.read(tmp_path)
  assert tokenizer.encode(['a b c'])[0].tolist() == [7, 6, 8]
  assert tokenizer.token(5) == tokenizer.readable(5) == '[no token 5]' and tokenizer.token(7) == 'a'
  # it is never drawn in place of a masked token, and never offered for one
  assert tokenizer.special_V[5] and not tokenizer.named_V[5] and tokenizer.named_V.sum() == 8


@pytest.mark.parametrize(
  'ids',
  [dict(a=5, b=5), dict(a=5, b=-1), dict(a=5, b='6'), dict(a=5, b=6.0), dict(a=5, b=4_000_000_000)],
)
def test_ids_that_are_shared_or_no_ids_are_refused_by_their_tokens(tmp_path, ids):
  rule = json.loads(folders.wordpiece().to_str())
  rule['model']['vocab'] = {token: index for index, token in enumerate(folders.BERT)} | ids
  folders.write(tmp_path / 'tokenizer.json', rule)
  for reader in (
    pretrained.read,
    lambda folder: reading.load(folder / 'tokenizer.json', True),
  ):
    with pytest.raises(DataError, match="'b'"):
      reader(tmp_path)


# rules that say where a text may be cut, and rules that are encoded whole
RULES = KINDS | dict(
  words=lambda: vocabulary.train_words(folders.SENTENCES, 60)._tokenizer,
  characters=lambda: vocabulary.train_characters(folders.SENTENCES, 200)._tokenizer,
  space_before=lambda: folders.byte_level(prefix_space=True),
  metaspace_first=lambda: folders.unigram('first'),
  metaspace_never=lambda: folders.unigram('never'),
  metaspace_joined=lambda: folders.unigram(split=False),
  cased=lambda: folders.wordpiece(lowercase=False),
  added=lambda: added_across_a_space(),
)


def added_across_a_space():
  made = folders.byte_level()
  made.add_tokens(['dog sleeps', '. The'])
  return made


def framed(kind: str) -> tokenizer_lib.Tokenizer:
  made = RULES[kind]()
  made.add_special_tokens(['<s>', '</s>', '<mask>'])
  return tokenizer_lib.Tokenizer(made, dict(bos='<s>', eos='</s>', mask='<mask>'))


PIECES = [
  'The dog sleeps',
  '.',
  '. ',
  '。',
  '」',
  '《',
  '\n',
  ' \n',
  '  ',
  ' ',
  "'s",
  '12',
  '北京',
  'é',
]
PIECES += [
  '\u0301',
  '\x1c',
  '\x85',
  '\u3000',
  '\t',
  '▁',
  'Ġ',
  '</w>',
  '##a',
  'A',
  '"',
  '$',
  'x' * 30,
]


@pytest.mark.parametrize('kind', RULES)
def test_a_text_has_the_same_tokens_whole_and_in_sentences_and_words(kind, monkeypatch):
  tokenizer = framed(kind)
  rng = random.Random(1)
  monkeypatch.setattr(sentences, 'LONGEST', 25)  # texts are cut inside of words, too
  texts = [''.join(rng.choices(PIECES, k=rng.randrange(1, 25))) for _ in range(300)]
  whole = tokenizer.encode(texts)
  for cut in (sentences.split, lambda text: re.findall(r'\s*\S*', text), list):
    parts = [list(cut(text)) or [''] for text in texts]
    ids, lengths = tokenizer.encode_parts(parts)
    assert len(lengths) == sum(map(len, parts))
    stops = np.cumsum([len(each) for each in parts])
    for text, found, expected in zip(texts, np.split(lengths, stops[:-1]), whole, strict=True):
      own, ids = np.split(ids, [found.sum()])
      assert own.tolist() == expected.tolist(), (text, cut(text))


def test_a_token_belongs_to_the_part_in_which_it_begins():
  tokenizer = framed('added')
  ids, lengths = tokenizer.encode_parts([['the dog', ' sleeps', '. The', ' end'], ['', 'x', '']])
  assert 'dog sleeps' in [tokenizer.token(index) for index in ids]
  assert lengths[1] == 0 and lengths[0] >= 2 and lengths[4:].tolist() == [0, 1, 0]
  ids, lengths = framed('metaspace').encode_parts([['the', ' dog', ' sleeps']])
  assert (lengths > 0).all()


@pytest.mark.parametrize('kind', RULES)
def test_what_is_written_goes_on_from_what_was_there(kind):
  tokenizer = framed(kind)
  for text in ['the dog sleeps', 'the café, and "unbelievable"', 'able 北京 words']:
    ids = tokenizer.encode([text])[0].tolist()
    for cut in range(len(ids) + 1):
      if '\ufffd' in tokenizer.decode(ids[:cut]):
        continue  # within a character, where no prompt ends
      joined = tokenizer.decode(ids[:cut]) + tokenizer.decode_after(ids[:cut], ids[cut:])
      assert joined == tokenizer.decode(ids), (text, cut)
    framed_ids = [tokenizer.bos, *ids[:2]]
    assert tokenizer.decode_after(framed_ids, ids[2:]) == tokenizer.decode_after(ids[:2], ids[2:])


@pytest.mark.parametrize('kind', RULES)
def test_a_mask_in_a_text_leaves_the_tokens_around_it_as_the_library_has_them(kind):
  tokenizer = framed(kind)
  library = tokenizers.Tokenizer.from_str(tokenizer.plain_json())
  for text in [
    'The <mask> sleeps.',
    '<mask>dog',
    'the dog<mask>',
    'a <mask><mask> b',
    'a  <mask>  b',
  ]:
    expected = library.encode(text, add_special_tokens=False).ids
    assert tokenizer.encode_with_masks(text).tolist() == expected, text
  for text in ('<s> <mask>', '</s><mask>'):  # other special tokens are text
    ids = tokenizer.encode_with_masks(text)
    assert ids[-1] == tokenizer.mask and not {tokenizer.bos, tokenizer.eos} & set(ids.tolist())
