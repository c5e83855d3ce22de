"""The tokenizer classes of transformers 5: what each makes of a vocabulary and of switches.

A class is a line of `KINDS`; it is built as its `__init__` in transformers builds it.
"""

import base64
from collections.abc import Callable
from typing import Any, NamedTuple

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

_BERT_NAMES = dict(
  unk_token='[UNK]', sep_token='[SEP]', pad_token='[PAD]', cls_token='[CLS]', mask_token='[MASK]'
)
_ROBERTA_NAMES = dict(
  bos_token='<s>',
  eos_token='</s>',
  sep_token='</s>',
  cls_token='<s>',
  unk_token='<unk>',
  pad_token='<pad>',
  mask_token='<mask>',
)
_ALBERT_NAMES = dict(bos_token='[CLS]', eos_token='[SEP]', unk_token='<unk>', sep_token='[SEP]')
_ALBERT_NAMES |= dict(pad_token='<pad>', cls_token='[CLS]', mask_token='[MASK]')
_GPT2_NAMES = dict.fromkeys(('unk_token', 'bos_token', 'eos_token'), '<|endoftext|>')


class Parts(NamedTuple):
  """What a class makes a tokenizer of.

  Attributes:
    vocabulary: tokens to ids; of Unigram, pieces and scores in the order of their ids.
    names: of all special tokens, as text.
    rule: the content of tokenizer.json, or {}.
  """

  vocabulary: Any
  merges: list[tuple[str, str]]
  switches: dict[str, Any]
  names: dict[str, str | None]
  rule: dict[str, Any]


def _bert(parts: Parts) -> tokenizers.Tokenizer:
  made = tokenizers.Tokenizer(
    models.WordPiece(parts.vocabulary, unk_token=parts.names['unk_token'])
  )
  made.normalizer = normalizers.BertNormalizer(
    clean_text=True,
    handle_chinese_chars=parts.switches['tokenize_chinese_chars'],
    strip_accents=parts.switches['strip_accents'],
    lowercase=parts.switches['do_lower_case'],
  )
  made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  made.decoder = decoders.WordPiece(prefix='##')
  return made


def _byte_level(parts: Parts) -> tokenizers.Tokenizer:
  """The rule of GPT-2 and RoBERTa."""
  model = models.BPE(
    vocab=parts.vocabulary,
    merges=parts.merges,
    continuing_subword_prefix='',
    end_of_word_suffix='',
    fuse_unk=False,
  )
  made = tokenizers.Tokenizer(model)
  made.pre_tokenizer = pre_tokenizers.ByteLevel(
    add_prefix_space=bool(parts.switches['add_prefix_space'])
  )
  made.decoder = decoders.ByteLevel()
  return made


def _albert(parts: Parts) -> tokenizers.Tokenizer:
  made = tokenizers.Tokenizer(models.Unigram(parts.vocabulary, unk_id=1, byte_fallback=False))
  steps = [normalizers.Replace('``', '"'), normalizers.Replace("''", '"')]
  if not parts.switches['keep_accents']:
    steps += [normalizers.NFKD(), normalizers.StripAccents()]
  if parts.switches['do_lower_case']:
    steps.append(normalizers.Lowercase())
  steps += [normalizers.Precompiled(charsmap) for charsmap in _charsmaps(parts.rule)[:1]]
  made.normalizer = normalizers.Sequence(steps)
  scheme = 'always' if parts.switches['add_prefix_space'] else 'never'
  made.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace('▁', prepend_scheme=scheme)]
  )
  made.decoder = decoders.Metaspace('▁', prepend_scheme=scheme)
  return made


def _llama(parts: Parts) -> tokenizers.Tokenizer:
  made = tokenizers.Tokenizer(
    models.BPE(vocab=parts.vocabulary, merges=parts.merges, fuse_unk=True, byte_fallback=True)
  )
  prefix = parts.switches['add_prefix_space'] in (None, True)
  scheme = ('always' if parts.switches['legacy'] else 'first') if prefix else 'never'
  made.pre_tokenizer = pre_tokenizers.Metaspace('▁', prepend_scheme=scheme, split=False)
  steps = [decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse()]
  made.decoder = decoders.Sequence(steps + [decoders.Strip(' ', left=1)] * prefix)
  return made


def _template(begin: tuple[str, int], end: tuple[str, int], switches: dict):
  del switches
  single = f'{begin[0]}:0 $A:0 {end[0]}:0'
  return processors.TemplateProcessing(
    single=single, pair=f'{single} $B:1 {end[0]}:1', special_tokens=[begin, end]
  )


def _roberta(begin: tuple[str, int], end: tuple[str, int], switches: dict):
  prefix = bool(switches['add_prefix_space'])
  return processors.RobertaProcessing(end, begin, add_prefix_space=prefix)


def _charsmaps(rule: dict[str, Any]) -> list[bytes]:
  """The sentencepiece tables in the normalizer of a tokenizer.json."""
  normalizer = rule.get('normalizer') or {}
  steps = normalizer.get('normalizers', [normalizer])
  found = [step.get('precompiled_charsmap') for step in steps if step.get('type') == 'Precompiled']
  return [base64.b64decode(charsmap) for charsmap in found if charsmap]


class Kind(NamedTuple):
  """A class of transformers.

  Attributes:
    model: the type that `model` of its tokenizer.json has.
    files: its vocabulary where there is no tokenizer.json.
    names: its special tokens where no file names them.
    switches: keys of tokenizer_config.json that it obeys, and what holds where they are absent.
    frame: how `cls_token` and `sep_token` are put around a text; None: they are not.
  """

  make: Callable[[Parts], tokenizers.Tokenizer]
  model: str
  files: tuple[str, ...]
  names: dict[str, str]
  switches: dict[str, Any]
  frame: Callable[..., Any] | None


_BERT = Kind(
  _bert,
  'WordPiece',
  ('vocab.txt',),
  _BERT_NAMES,
  dict(do_lower_case=True, tokenize_chinese_chars=True, strip_accents=None),
  _template,
)
_BPE_FILES, _PREFIX = ('vocab.json', 'merges.txt'), dict(add_prefix_space=False)
_GPT2 = Kind(_byte_level, 'BPE', _BPE_FILES, _GPT2_NAMES, _PREFIX, None)
KINDS = dict(
  BertTokenizer=_BERT,
  DistilBertTokenizer=_BERT,
  ElectraTokenizer=_BERT,
  RobertaTokenizer=Kind(_byte_level, 'BPE', _BPE_FILES, _ROBERTA_NAMES, _PREFIX, _roberta),
  GPT2Tokenizer=_GPT2,
  AlbertTokenizer=Kind(
    _albert,
    'Unigram',
    (),
    _ALBERT_NAMES,
    dict(do_lower_case=True, keep_accents=False, add_prefix_space=True),
    _template,
  ),
  LlamaTokenizer=Kind(
    _llama,
    'BPE',
    (),
    dict(unk_token='<unk>', bos_token='<s>', eos_token='</s>'),
    dict(add_prefix_space=None, legacy=False),
    None,
  ),
)
