"""What comes in as text is read as Python and its libraries read it, or refused by name."""

import bz2
from collections import Counter
import csv
import gzip
import io
import json
import lzma
import random
import re
import warnings
import zlib

from matplotlib.figure import Figure
from matplotlib.text import Text
import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from data import lines
from data.corpora import sources, text_files
from data.errors import DataError
from data.tasks import conll2000, sst2, tables
from data.tokens import vocabulary
from data.tokens.tokenizer import Tokenizer
from inference import attention_figure
from inference.attention_maps import AttentionMaps
from inference.attention_maps import page as attention_page
from training import curves


def nothing(*_):
  pass


def documents(path):
  """(documents, what was replaced) of a corpus of the user's own."""
  replaced, dropped = Counter(), Counter()
  corpus = sources.open_corpus(f'text:{path}', path.parent / 'cache')
  return list(corpus.documents(replaced, dropped, nothing)), replaced


def zstd_compress(data: bytes) -> bytes:
  try:
    from compression import zstd
  except ImportError:
    zstd = pytest.importorskip('zstandard')
  return zstd.compress(data)


COMPRESS = {
  '.gz': lambda data: gzip.compress(data, mtime=0),
  '.xz': lzma.compress,
  '.zst': zstd_compress,
  '.bz2': bz2.compress,
}
# Characters at which some rule breaks a line, joins words or sees nothing.
INSIDE = '\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\u00a0\u3000\u200b\u0301'
BLANK = ('', ' ', '\t', '\u00a0', '\u3000', ' \u00a0\u3000', '\x0b', '\x0c', '\ufeff', '\u2028')


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r\r\n'])
@pytest.mark.parametrize('seed', range(12))
def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path, seed, end):
  draw = random.Random(seed)
  made = [
    ''.join(draw.choices('ab ' + INSIDE, k=draw.randrange(12))).rstrip('\r') for _ in range(9)
  ]
  text = ''.join(line + end for line in made)
  (tmp_path / 'a').write_bytes(b'\xef\xbb\xbf' * (seed % 2) + text.encode())
  assert lines.read_lines(tmp_path / 'a') == made
  (tmp_path / 'b').write_bytes(text.removesuffix(end).encode())
  assert lines.read_lines(tmp_path / 'b') == made[: None if made[-1] else -1]


@pytest.mark.parametrize('blank', BLANK, ids=ascii)
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r\r\n', '\r'], ids=ascii)
def test_a_document_ends_at_a_blank_line_of_any_white_space_and_line_ends(tmp_path, blank, end):
  text = f'one{end}still one{end}{blank}{end}{blank}{end}two{end}'
  (tmp_path / 'a.txt').write_bytes(text.encode())
  assert documents(tmp_path / 'a.txt')[0] == ['one\nstill one', 'two']


@pytest.mark.parametrize('ending', COMPRESS)
def test_compressed_text_is_known_by_its_first_bytes_and_read_to_its_end(tmp_path, ending):
  parts = ['one\n\ntwo', ' and more\n\n', 'x' * 300_000]
  data = b''.join(COMPRESS[ending](part.encode()) for part in parts)
  for name in ('a', 'a.txt', f'a.txt{ending}', 'a.txt.gz', f'a.txt{ending.upper()}'):
    (tmp_path / name).write_bytes(data)
    assert documents(tmp_path / name)[0] == ['one', 'two and more', 'x' * 300_000]


@pytest.mark.parametrize('streams', [1, 2])
@pytest.mark.parametrize('ending', COMPRESS)
def test_compressed_text_that_was_cut_short_or_damaged_is_an_error(tmp_path, ending, streams):
  """Cut at every byte; the end of the first of two streams is an end like any other."""
  one = COMPRESS[ending](b'one\n\ntwo\n\n' * 3)
  data, file = one * streams, tmp_path / f'a.txt{ending}'
  for length in range(len(data)):
    if streams == 2 and length == len(one):
      continue
    file.write_bytes(data[:length])
    with pytest.raises(DataError, match='cut short|damaged'):
      list(text_files.read([file], nothing))
  # All four have checksums, or a beginning and an end that are checked.
  for tail in (b'garbage', one[:3] + b'?' + one[4:]):
    file.write_bytes(data + tail)
    with pytest.raises(DataError, match='damaged'):
      list(text_files.read([file], nothing))


def _png() -> bytes:
  chunk = lambda kind, data: (
    len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
  )
  header = b'\0\0\0\x20\0\0\0\x20\x08\0\0\0\0'
  pixels = zlib.compress(random.Random(0).randbytes(33 * 32))
  return (
    b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', pixels) + chunk(b'IEND', b'')
  )


def _zip() -> bytes:
  import zipfile

  with zipfile.ZipFile(file := io.BytesIO(), 'w') as archive:
    archive.writestr('a.txt', 'text ' * 100)
  return file.getvalue()


def _tar() -> bytes:
  import tarfile

  with tarfile.open(fileobj=(file := io.BytesIO()), mode='w') as archive:
    entry = tarfile.TarInfo('a.txt')
    entry.size = 500
    archive.addfile(entry, io.BytesIO(b'text ' * 100))
  return file.getvalue()


GERMAN, RUSSIAN, JAPANESE = 'Größe für Bücher. ' * 9, 'Книга на столе. ' * 9, '本は机の上。' * 9
NO_TEXT = {
  'png': _png(),
  'zip': _zip(),
  'tar': _tar(),
  'tar.gz': gzip.compress(_tar()),
  'random': random.Random(0).randbytes(5_000),
  'zeros': bytes(100),
  'pdf': b'%PDF-1.4\n1 0 obj\n<< >>\nendobj\n',
  'jpeg': b'\xff\xd8\xff\xe0\0\x10JFIF' + random.Random(1).randbytes(500),
  'numpy': b'\x93NUMPY\x01\0' + b'v' * 100,
  'late': b'text\n' * 40_000 + random.Random(2).randbytes(70_000),
  **{f'utf-16 {text[0]}': text.encode('utf-16') for text in (GERMAN, RUSSIAN, JAPANESE)},
  **{f'utf-16-le {text[0]}': text.encode('utf-16-le') for text in (GERMAN, RUSSIAN, JAPANESE)},
  **{f'utf-16-be {text[0]}': text.encode('utf-16-be') for text in (GERMAN, RUSSIAN, JAPANESE)},
  **{f'utf-32 {text[0]}': text.encode('utf-32') for text in (GERMAN, RUSSIAN, JAPANESE)},
  **{f'utf-32-le {text[0]}': text.encode('utf-32-le') for text in (GERMAN, RUSSIAN, JAPANESE)},
  'latin-1': GERMAN.encode('latin-1') * 40,
  'koi8': RUSSIAN.encode('koi8-r'),
  'shift-jis': JAPANESE.encode('shift-jis'),
}


@pytest.mark.parametrize('kind', NO_TEXT)
@pytest.mark.parametrize('name', ['a.txt', 'a', 'a.jsonl', 'a.csv'])
def test_what_is_no_utf8_text_is_refused_by_every_reader(tmp_path, kind, name):
  (tmp_path / name).write_bytes(NO_TEXT[kind])
  with pytest.raises(DataError, match=f'{name}.*(no (UTF-8 )?text|tar archive|not JSON|table)'):
    documents(tmp_path / name)
  with pytest.raises(DataError, match=f'{name}.*(no (UTF-8 )?text|tar archive)'):
    lines.read_lines(tmp_path / name)


TEXTS = (GERMAN, RUSSIAN, JAPANESE, 'emoji 🙂🙂 👩‍👩‍👧 ', 'שלום עולם. مرحبا. ' * 5, 'e\u0301' * 40)


@pytest.mark.parametrize('text', TEXTS, ids=lambda text: ascii(text[:4]))
@pytest.mark.parametrize('pad', [0, 65_535, 65_534, 65_533])
def test_text_in_any_script_is_text_wherever_its_bytes_are_cut(tmp_path, text, pad):
  (tmp_path / 'a.txt').write_text('x' * pad + text)
  found, replaced = documents(tmp_path / 'a.txt')
  assert found == [('x' * pad + text).strip()] and not replaced
  assert lines.read_lines(tmp_path / 'a.txt') == ['x' * pad + text]


NASTY = (
  'a',
  'say "no"',
  'a,b;c\td',
  'two\nlines',
  '',
  ' edges ',
  '\u2028é\x0b',
  '日本',
  '\\n',
  "'",
)


@pytest.mark.parametrize('seed', range(12))
def test_tables_are_read_as_the_csv_of_python_writes_them(tmp_path, seed):
  draw = random.Random(seed)
  rows = [[draw.choice(NASTY) for _ in range(3)] for _ in range(8)]
  encoding = 'utf-8-sig' if seed % 3 else 'utf-8'
  with open(tmp_path / 'a.csv', 'w', newline='', encoding=encoding) as stream:
    writer = csv.writer(stream, lineterminator=draw.choice(['\n', '\r\n']))
    writer.writerows([['id', 'text', 'note'], *rows])
  assert list(text_files.read([tmp_path / 'a.csv'], nothing)) == [row[1] for row in rows]


@pytest.mark.parametrize('seed', range(6))
def test_between_tabs_every_character_is_itself(tmp_path, seed):
  draw = random.Random(seed)
  cells = [text for text in NASTY if '\t' not in text and '\n' not in text]
  rows = [[draw.choice(cells) for _ in range(3)] for _ in range(8)]
  text = ''.join('\t'.join(row) + '\n' for row in [['id', 'text', 'note'], *rows])
  (tmp_path / 'a.tsv').write_text('\ufeff' * (seed % 2) + text)
  assert list(text_files.read([tmp_path / 'a.tsv'], nothing)) == [row[1] for row in rows]


@pytest.mark.parametrize('seed', range(6))
def test_json_lines_are_read_as_json_reads_them(tmp_path, seed):
  texts = random.Random(seed).choices([text for text in NASTY if text.strip()], k=6)
  written = [json.dumps(dict(text=text, n=1), ensure_ascii=bool(seed % 2)) for text in texts]
  for name in ('a.jsonl', 'a.ndjson', 'a.json'):
    (tmp_path / name).write_text('\ufeff' * (seed % 3 == 0) + '\r\n\u3000\n'.join(written))
    assert list(text_files.read([tmp_path / name], nothing)) == texts
    assert documents(tmp_path / name)[0] == [text.strip() for text in texts]


def test_a_long_first_line_of_json_is_read_whole(tmp_path):
  (file := tmp_path / 'a.json').write_text(json.dumps(dict(text='x' * 200_000)))
  assert documents(file)[0] == ['x' * 200_000]


WRONG = [
  ('a.jsonl', 'plain text\n', r'line 1: not JSON.*plain text ends in \.txt'),
  ('a.txt', '{"text": "a"}\n{"text": "b"}\n', 'holds JSON lines: name it so, as a.jsonl'),
  ('a.json', '[\n{"text": "a"}\n]\n', 'no object with a string named "text".*jq'),
  ('a.json', '{"name": "package"}\n', 'no object with a string named "text"'),
  ('a.jsonl', '{"text": "a"}\n' + '[' * 100_000, 'line 2: JSON that is nested too deeply'),
  ('a.jsonl', '{"text": "a", "n": ' + '9' * 5_000 + '}', 'line 1: not JSON'),
  ('a.csv', 'id,body\n1,x\n', 'line 1: a table needs a header with one column "text".*id, body'),
  ('a.csv', 'text,text\n1,x\n', 'one column "text"'),
  ('a.csv', 'text,n\nx,1\ny\n', 'line 3: 1 cells where the header has 2'),
  ('a.csv', 'text\n"x', 'line 2: no row of a table'),
  ('a.csv', 'text\n"x"y\n', 'line 2: no row of a table'),
]


@pytest.mark.parametrize('name, content, message', WRONG, ids=lambda value: ascii(value)[:24])
def test_a_format_that_its_ending_does_not_say_is_an_error_with_a_line(
  tmp_path, name, content, message
):
  (tmp_path / name).write_text(content)
  with pytest.raises(DataError, match=message):
    documents(tmp_path / name)


def test_rows_of_a_task_that_are_nested_too_deeply_are_an_error_with_a_line(tmp_path):
  (file := tmp_path / 'train.jsonl').write_text('{"text": "a", "label": 1}\n' + '[' * 100_000)
  with pytest.raises(DataError, match='train.jsonl, line 2: not JSON'):
    tables.read('jsonl', file, '', labelled=True)


def test_a_folder_says_what_it_leaves_out_and_refuses_text_that_is_none(tmp_path):
  folder = tmp_path / 'folder'
  (folder / '.git').mkdir(parents=True)
  for name, content in {
    'a.txt': b'one\n',
    'b.jsonl.bz2': bz2.compress(b'{"text": "two"}'),
    'c.csv': b'text\nthree\n',
    'numbers.csv': b'a,b\n1,2\n',
    'package.json': b'{"name": "x"}',
    'program': NO_TEXT['random'],
    'picture.png': NO_TEXT['png'],
    'more.tar.gz': NO_TEXT['tar.gz'],
    '.git/config': b'[core]\n',
  }.items():
    (folder / name).write_bytes(content)
  assert documents(folder)[0] == ['one', 'two', 'three']
  corpus = sources.open_corpus(f'text:{folder}', tmp_path / 'cache')
  assert corpus.left_out == {
    'hidden': ['.git/config'],
    'named .tar': ['more.tar.gz'],
    'named .csv, without "text"': ['numbers.csv'],
    'named .json, without "text"': ['package.json'],
    'named .png': ['picture.png'],
    'without text': ['program'],
  }
  (folder / 'd.txt').write_bytes(NO_TEXT['png'])
  with pytest.raises(DataError, match='d.txt is a PNG picture'):
    documents(folder)


def test_lines_of_carriage_returns_alone_are_refused(tmp_path):
  (tmp_path / 'a').write_bytes(b'one\rtwo\r')
  with pytest.raises(DataError, match=r"carriage returns alone.*tr '\\r' '\\n'"):
    lines.read_lines(tmp_path / 'a')


def test_tasks_keep_what_stands_inside_a_line(tmp_path):
  word = 'a\u2028b\u00a0c\x85'
  (file := tmp_path / 'train.txt.gz').write_bytes(
    gzip.compress(f'{word} NN B-NP\r\nx\tNN\tO\n\u3000\ny NN O\n'.encode())
  )
  assert [example.texts for example in conll2000.read(file)] == [(word, 'x'), ('y',)]
  (file := tmp_path / 'dev.txt').write_bytes(f'\ufeff1 {word}\n0 {word}\r\n'.encode())
  assert [(one.label, one.texts) for one in sst2.read(file)] == [(1, (word,)), (0, (word,))]
  file.write_text('1 a\n0 \u3000\n')
  with pytest.raises(DataError, match='line 2'):
    list(sst2.read(file))


KNOWN, STRANGE = 'the quick brown fox', ('\u65e5', '\u672c', '\U0001f642', '\u0434', '@')


def characters_lost(text: str) -> str:
  return ''.join(char for char in text if char not in KNOWN)


def words_lost(text: str) -> str:
  return ''.join(word for word in text.split() if word not in KNOWN.split())


def pieces_lost(text: str) -> str:
  """BERT: a word is cut at punctuation and at ideographs, and unknown if a letter of it is."""
  words = re.findall(r'[\u65e5\u672c@]|[^\s\u65e5\u672c@]+', text)
  return ''.join(word for word in words if characters_lost(word))


def nothing_lost(_: str) -> str:
  return ''


TRAINED = {
  'characters': (lambda texts: vocabulary.train_characters(texts, 40), characters_lost),
  'words': (lambda texts: vocabulary.train_words(texts, 40), words_lost),
  'wordpiece': (lambda texts: vocabulary.train_wordpiece(texts, 80, True), pieces_lost),
  'bpe': (lambda texts: vocabulary.train_bpe(texts, 300), nothing_lost),
  'roberta_bpe': (lambda texts: vocabulary.train_roberta_bpe(texts, 300), nothing_lost),
  'unigram': (lambda texts: vocabulary.train_unigram(texts, 80, True), characters_lost),
}


@pytest.mark.parametrize('kind', TRAINED)
@pytest.mark.parametrize('seed', range(8))
def test_every_byte_that_no_token_stands_for_is_counted(kind, seed):
  train, lost = TRAINED[kind]
  tokenizer, draw = train([KNOWN]), random.Random(seed)
  texts = [
    ' '.join(
      draw.choice(KNOWN.split()) + ''.join(draw.choices(STRANGE, k=draw.randrange(3)))
      for _ in range(6)
    )
    for _ in range(20)
  ]
  for text in texts:
    assert tokenizer.lost_bytes([text]) == len(lost(text).encode()), text
  assert tokenizer.lost_bytes(texts) == sum(len(lost(text).encode()) for text in texts)


@pytest.mark.parametrize('space', [char for char in map(chr, range(0x3001)) if char.isspace()])
def test_words_are_cut_for_the_vocabulary_where_the_library_cuts_them(space):
  text = f'a{space}b{space}{space}c'
  tokenizer = vocabulary.train_words([text], 40)
  assert tokenizer.unknown not in tokenizer.encode([text])[0]


def test_a_tokenizer_that_drops_what_it_does_not_know_loses_it_too():
  """Without an unknown token, the library leaves such characters out, and says nothing."""
  model = models.BPE({'<s>': 0, '</s>': 1, 'a': 2, 'b': 3}, [])
  tokenizer = Tokenizer(tokenizers.Tokenizer(model))
  assert tokenizer.encode(['a\u65e5b'])[0].tolist() == [2, 3]
  assert tokenizer.lost_bytes(['a\u65e5b']) == 3


@pytest.mark.parametrize('name', ['[UNK]', '<unknown>'])
def test_the_unknown_token_of_a_model_is_known_whatever_its_name(name):
  vocabulary_of = {'<s>': 0, '</s>': 1, name: 2, 'a': 3}
  pieces = [('<s>', 0.0), ('</s>', 0.0), (name, 0.0), ('a', -1.0)]
  for model in (
    models.BPE(vocabulary_of, [], unk_token=name),
    models.WordLevel(vocabulary_of, unk_token=name),
    models.Unigram(pieces, unk_id=2),
  ):
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert Tokenizer(tokenizer).lost_bytes(['a \u65e5 a']) == 3


@pytest.mark.parametrize(
  'normalizer, words',
  [
    (None, []),
    (normalizers.Lowercase(), ['in lower case']),
    (normalizers.BertNormalizer(lowercase=True), ['in lower case', 'without accents']),
    (normalizers.BertNormalizer(lowercase=False), []),
    (normalizers.NFKC(), ['with compatibility forms replaced']),
    (normalizers.NFC(), []),
    (
      normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
      ['without accents'],
    ),
  ],
)
def test_what_a_normalizer_does_to_letters_is_said(normalizer, words):
  tokenizer = tokenizers.Tokenizer(models.BPE({'<s>': 0, '</s>': 1}, []))
  if normalizer is not None:
    tokenizer.normalizer = normalizer
  assert Tokenizer(tokenizer).normalised == words


WORDS = (
  '$x_1^2$ and $',
  'a_b_c',
  '<b>bold</b> &amp;',
  '\\frac{a}{b} \\alpha',
  '100% ^2 {x} # ~',
  '\u05e9\u05dc\u05d5\u05dd',
  '\u0645\u0631\u062d\u0628\u0627',
  'e\u0301a\u0308',
  '\u65e5\u672c',
  '\U0001f642\U0001f469\u200d\U0001f467',
  '</script>',
  'a\u2028b\nc\x07',
  '\u200d',
  ' ',
)


def drawn(monkeypatch, draw) -> list[str]:
  """The words of the figures that `draw` saves; a formula or a box in place of a letter fails."""
  found = []

  def savefig(self, *arguments, _save=Figure.savefig, **options):
    with warnings.catch_warnings():
      warnings.filterwarnings('error', message='.*[Gg]lyph.*')
      _save(self, *arguments, **options)
    for text in self.findobj(Text):
      assert not text.get_parse_math() and not text.get_usetex()
      found.append(text.get_text())

  monkeypatch.setattr(Figure, 'savefig', savefig)
  draw()
  return found


def is_written(word: str, shown: str) -> bool:
  """Whether a figure shows a word as it is, but for escapes of what no font draws."""
  if word == ' ':
    return shown == '\u2423'
  escape = r'\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt])'
  back = re.sub(escape, lambda found: found[0].encode().decode('unicode_escape'), shown)
  return back == word and shown.isprintable() or shown == word


@pytest.mark.parametrize('folder', [WORDS[0], WORDS[3], WORDS[9]], ids=ascii)
def test_an_attention_figure_shows_tokens_and_folders_as_they_are(tmp_path, monkeypatch, folder):
  folder = folder.replace('/', '')
  T = len(WORDS)
  seen_TxT = np.tril(np.ones((T, T), bool))
  weight_LxHxTxT = np.broadcast_to(seen_TxT / seen_TxT.sum(-1, keepdims=True), (1, 1, T, T))
  maps = AttentionMaps(
    title=f'runs/{folder}, step 1,200',
    tokens=[*WORDS],
    word_T=[*range(T)],
    mask='causal',
    weight_LxHxTxT=weight_LxHxTxT,
    special_T=np.zeros(T, bool),
    visible_TxT=seen_TxT,
  )
  out = tmp_path / 'map.png'
  draw = lambda: attention_figure.draw([maps], out, layer=None, head=None, grid=False)
  found = drawn(monkeypatch, draw)
  for word in WORDS:
    assert sum(is_written(word, text) for text in found) >= 2, word  # along both axes
  [title] = [text for text in found if text.endswith(', causal mask')]
  assert is_written(folder, title.removesuffix(', causal mask'))
  page = attention_page([maps], ' '.join(WORDS))
  assert page.count('</script>') == 1
  data = json.loads(re.search(r'const data = (.*);\n', page)[1])
  assert [text for text in data['models'][0]['tokens'] if text not in WORDS] == [
    '\\u200d',
    '\u2423',
  ]
  assert data['text'] == ' '.join(WORDS) and data['models'][0]['title'] == maps.title


@pytest.mark.parametrize('name', [WORDS[0], WORDS[3], WORDS[5]], ids=ascii)
def test_curves_show_the_name_of_a_config_as_it_is(tmp_path, monkeypatch, name):
  rows = [
    {'tokens': n, 'train/clm_loss': 5.0, 'learning_rate': 1e-3, 'gradient_norm': 1.0}
    for n in range(1, 9)
  ]
  draw = lambda: curves.draw(tmp_path, rows, title=name, unigram_entropy=5.0)
  assert any(is_written(name, text) for text in drawn(monkeypatch, draw))
