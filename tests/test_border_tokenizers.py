"""A tokenizer folder is read as transformers 5 reads it, or refused by the name of a key."""

import json
import warnings

import numpy as np
import pytest
import tokenizer_folders as folders
import tokenizers

from data.errors import DataError
from data.tokens import pretrained
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
  'ids', [dict(a=5, b=5), dict(a=5, b=-1), dict(a=5, b='6'), dict(a=5, b=6.0)]
)
def test_ids_that_are_shared_or_no_ids_are_refused_by_their_tokens(tmp_path, ids):
  rule = json.loads(folders.wordpiece().to_str())
  rule['model']['vocab'] = {token: index for index, token in enumerate(folders.BERT)} | ids
  folders.write(tmp_path / 'tokenizer.json', rule)
  for reader in (
    pretrained.read,
    lambda folder: tokenizer_lib.load(folder / 'tokenizer.json', True),
  ):
    with pytest.raises(DataError, match="'b'"):
      reader(tmp_path)
