"""Small tokenizers of each kind, trained here, and folders of files about them, drawn at random."""

import json
from pathlib import Path
import random

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

SENTENCES = [
  'The dog sleeps in Zoë’s house, and the café is naïve.',
  "It's 12 o'clock; the DOGS don't sleep! 北京 and 東京 are cities.",
  'unable, unbelievable and able [MASK] <s> words  with   spaces',
  'Łódź москва \t tabs\nlines ##ing x##y Ġ ▁ end',
] * 3
TEXTS = [
  *SENTENCES[:4],
  '',
  ' ',
  '  The dog',
  'the dog ',
  'ÀÉÎ õü Ñandú',
  '北京東京 in 東京',
  'MiXeD CaSe ENT2 <ent> new word <new>token',
  "they'll ``quote'' x",
  'a\tb\nc',
  'emoji 😀 e\u0301 \u200d \xa0x',
  '.dog . dog!?',
]
BERT = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')
ROBERTA = ('<s>', '<pad>', '</s>', '<unk>', '<mask>')
ALBERT = ('<pad>', '<unk>', '[CLS]', '[SEP]', '[MASK]')
LLAMA = ('<unk>', '<s>', '</s>')


def wordpiece(lowercase: bool = True, prefix: str = '##') -> tokenizers.Tokenizer:
  made = tokenizers.Tokenizer(models.WordPiece(unk_token='[UNK]', continuing_subword_prefix=prefix))
  made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
  made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  made.decoder = decoders.WordPiece(prefix=prefix)
  trainer = trainers.WordPieceTrainer(
    vocab_size=300,
    special_tokens=list(BERT),
    continuing_subword_prefix=prefix,
    show_progress=False,
  )
  made.train_from_iterator(SENTENCES, trainer)
  return made


def byte_level(specials=('<|endoftext|>',), prefix_space: bool = False) -> tokenizers.Tokenizer:
  made = tokenizers.Tokenizer(models.BPE())
  made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
  made.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=380,
    special_tokens=list(specials),
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  made.train_from_iterator(SENTENCES, trainer)
  return made


def unigram(scheme: str = 'always', split: bool = True) -> tokenizers.Tokenizer:
  made = tokenizers.Tokenizer(models.Unigram())
  made.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase()])
  made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
  made.decoder = decoders.Metaspace(prepend_scheme=scheme)
  trainer = trainers.UnigramTrainer(
    vocab_size=200, special_tokens=list(ALBERT), unk_token='<unk>', show_progress=False
  )
  made.train_from_iterator(SENTENCES, trainer)
  return made


def llama() -> tokenizers.Tokenizer:
  """As published: spaces by the normalizer, bytes for what is not in the vocabulary."""
  made = tokenizers.Tokenizer(models.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True))
  spaces = [normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')]
  made.normalizer = normalizers.Sequence(spaces)
  made.decoder = decoders.Sequence(
    [
      decoders.Replace('▁', ' '),
      decoders.ByteFallback(),
      decoders.Fuse(),
      decoders.Strip(' ', left=1),
    ]
  )
  specials = [*LLAMA, *(f'<0x{byte:02X}>' for byte in range(256))]
  trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=specials, show_progress=False)
  made.pre_tokenizer = pre_tokenizers.Split('▁', 'merged_with_next')  # no token holds two words
  made.train_from_iterator(SENTENCES, trainer)
  rule = json.loads(made.to_str()) | dict(pre_tokenizer=None)
  rule['added_tokens'] = rule['added_tokens'][:3]
  return tokenizers.Tokenizer.from_str(json.dumps(rule))


def suffix() -> tokenizers.Tokenizer:
  """As GPT-1 and CLIP mark words: by their ends."""
  made = tokenizers.Tokenizer(models.BPE(unk_token='<unk>', end_of_word_suffix='</w>'))
  made.normalizer = normalizers.BertNormalizer()
  made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  made.decoder = decoders.BPEDecoder(suffix='</w>')
  trainer = trainers.BpeTrainer(
    vocab_size=300,
    special_tokens=['<unk>', '<s>', '</s>', '<mask>'],
    end_of_word_suffix='</w>',
    show_progress=False,
  )
  made.train_from_iterator(SENTENCES, trainer)
  return made


def write(path: Path, value):
  """Writes a JSON file, or text."""
  path.write_text(value if isinstance(value, str) else json.dumps(value), encoding='utf-8')


def write_vocabulary(folder: Path, made: tokenizers.Tokenizer, files: str):
  """Writes the vocabulary as 'txt', 'json' (tokenizer.json), 'both', or 'merges'."""
  rule = json.loads(made.to_str())
  if files in ('json', 'both'):
    write(folder / 'tokenizer.json', rule)
  if files in ('txt', 'both'):
    ranked = sorted(rule['model']['vocab'], key=rule['model']['vocab'].get)
    write(folder / 'vocab.txt', '\n'.join(ranked) + '\n')
  if files == 'merges':
    merges = [' '.join(pair) for pair in rule['model']['merges']]
    write(folder / 'vocab.json', rule['model']['vocab'])
    write(folder / 'merges.txt', '\n'.join(['#version: 0.2', *merges]) + '\n')


class Drawn:
  """Folders drawn from a seed: a vocabulary, its class, switches, and files of special tokens."""

  def __init__(self, seed: int):
    self._rng = random.Random(seed)
    self._made = dict(
      lower=wordpiece(),
      cased=wordpiece(lowercase=False),
      gpt2=byte_level(),
      roberta=byte_level(ROBERTA),
      prefixed=byte_level(ROBERTA, prefix_space=True),
      albert=unigram(),
      llama=llama(),
    )

  def folder(self, path: Path) -> dict:
    """Writes one folder; returns what was drawn, for people."""
    rng = self._rng
    path.mkdir(parents=True)
    key = rng.choice(list(self._made))
    made = self._made[key]
    family = dict(lower='bert', cased='bert', prefixed='roberta').get(key, key)
    files = dict(bert=['txt', 'json', 'both'], gpt2=['json', 'merges'], roberta=['json', 'merges'])
    chosen = rng.choice(files.get(family, ['json']))
    write_vocabulary(path, made, chosen)
    model_type = rng.choice([family, family, 'distilbert' if family == 'bert' else family])
    write(path / 'config.json', dict(model_type=model_type))
    settings = self._settings(family, made)
    if settings is not None:
      write(path / 'tokenizer_config.json', settings)
    special = self._special(family) if rng.random() < 0.4 else None
    if special is not None:
      for token in special.values():
        if isinstance(token, dict):
          del token['__type']
      write(path / 'special_tokens_map.json', special)
    added = None
    if rng.random() < 0.3:
      size = made.get_vocab_size()
      added = {name: size + index for index, name in enumerate(rng.sample(['<ent>', 'CaSe'], 2))}
      write(path / 'added_tokens.json', added)
    return dict(key=key, files=chosen, settings=settings, special=special, added=added)

  def _settings(self, family: str, made) -> dict | None:
    rng = self._rng
    if rng.random() < 0.15:
      return None
    classes = dict(
      bert=['BertTokenizer', 'BertTokenizerFast', 'DistilBertTokenizer'],
      gpt2=['GPT2Tokenizer', 'GPT2TokenizerFast'],
      roberta=['RobertaTokenizer', 'RobertaTokenizerFast'],
      albert=['AlbertTokenizer', 'AlbertTokenizerFast'],
      llama=['LlamaTokenizer', 'LlamaTokenizerFast'],
    )
    settings = {}
    if rng.random() < 0.75:
      settings['tokenizer_class'] = rng.choice([*classes[family], 'PreTrainedTokenizerFast'])
    choices = dict(
      do_lower_case=[True, False],
      strip_accents=[None, True, False],
      tokenize_chinese_chars=[True, False],
      do_basic_tokenize=[True, False],
      never_split=[None, ['CaSe']],
      keep_accents=[True, False],
      add_prefix_space=[True, False],
      legacy=[True, False],
      add_bos_token=[True, False],
      model_max_length=[20, 512],
      clean_up_tokenization_spaces=[True, False],
      use_fast=[True],
      extra_special_tokens=[['<ent>'], dict(image_token='<new>')],
      additional_special_tokens=[['<ent>', '<new>']],
      image_token=['<new>'],
    )
    for name, values in choices.items():
      if rng.random() < 0.3:
        settings[name] = rng.choice(values)
    if rng.random() < 0.3:
      settings |= self._special(family)
    if rng.random() < 0.3:
      settings['added_tokens_decoder'] = self._decoder(made)
    return settings

  def _special(self, family: str) -> dict:
    """Names of special tokens: usual, other, or with flags."""
    rng = self._rng
    usual = dict(bert='[MASK]', roberta='<mask>', albert='[MASK]', gpt2='<|endoftext|>')
    content = usual.get(family, '</s>')
    flags = dict(content=content, lstrip=True, rstrip=False, normalized=False, single_word=False)
    key = 'eos_token' if family in ('gpt2', 'llama') else 'mask_token'
    pads = dict(bert=['[PAD]', '[SEP]'], roberta=['<pad>'], albert=['<pad>'])
    return {
      key: rng.choice([content, flags | {'__type': 'AddedToken'}]),
      'pad_token': rng.choice([*pads.get(family, [content]), '<extra pad>']),
    }

  def _decoder(self, made) -> dict:
    """The added tokens of the file, and one more."""
    listed = {}
    for index, token in made.get_added_tokens_decoder().items():
      listed[str(index)] = dict(content=token.content, special=token.special)
    flags = dict(special=False, normalized=self._rng.random() < 0.5, lstrip=True)
    return listed | {str(made.get_vocab_size()): dict(content='<ent>', **flags)}
