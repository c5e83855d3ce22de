"""Text to token ids and back: one class over every kind of Hugging Face tokenizer."""

from collections.abc import Iterable
import functools
import hashlib
import itertools
import json
from pathlib import Path
import warnings

from etils import epath
import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from data.errors import DataError
from data.tokens import word_cache

# What published vocabularies call each role, the first that exists is taken.
ROLES = {
  'bos': ('[CLS]', '<s>', '<|endoftext|>', '<|begin_of_text|>', '<bos>'),
  'eos': ('[SEP]', '</s>', '<|endoftext|>', '<|end_of_text|>', '<eos>'),
  'pad': ('[PAD]', '<pad>', '<|pad|>'),
  'mask': ('[MASK]', '<mask>', '<|mask|>'),
  'unknown': ('[UNK]', '<unk>'),
}
WORDPIECE_SPECIALS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')
BPE_SPECIALS = ('<|pad|>', '<|endoftext|>', '<|mask|>')


class Tokenizer:
  """A vocabulary and its rule.

  Text never yields a special id, whatever it says: a literal "[MASK]" is three ordinary tokens.

  Attributes:
    size: number of ids.
    adds_special_tokens: its own rule puts special tokens around a text; `encode` never does.
    bos, eos: ids that frame a document, or a sentence pair.
    pad, mask, unknown: ids, None where the vocabulary has none.
    special_V: ids that stand for no text.
    word_start_V: ids that begin a word (or are special); byte-level tokens do where a space
      precedes them.
    sha256: of the canonical JSON: the same for the same vocabulary and rule.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer):
    tokenizer.encode_special_tokens = True
    self._tokenizer = tokenizer
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    self.size = max(vocabulary.values()) + 1
    self.adds_special_tokens = tokenizer.num_special_tokens_to_add(is_pair=False) > 0
    self.pad, self.mask, self.unknown = (
      _role(vocabulary, role) for role in ('pad', 'mask', 'unknown')
    )
    self.bos, self.eos = (_role(vocabulary, role) for role in ('bos', 'eos'))
    if self.bos is None or self.eos is None:
      raise DataError(
        f'the tokenizer has no token to frame a document with: it needs one of '
        f'{", ".join(ROLES["begin"])} and one of {", ".join(ROLES["end"])}'
      )
    added = tokenizer.get_added_tokens_decoder()
    special = {index for index, token in added.items() if token.special}
    special |= {index for index in (self.pad, self.mask, self.unknown) if index is not None}
    self.special_V = np.zeros(self.size, np.bool_)
    self.special_V[sorted(special | {self.bos, self.eos})] = True
    self.word_start_V = _word_starts(vocabulary, self.size) | self.special_V

  @functools.cached_property
  def sha256(self) -> str:
    return hashlib.sha256(canonical_json(self._tokenizer).encode()).hexdigest()

  @functools.cached_property
  def _words(self) -> word_cache.Words | None:
    return word_cache.open_words(self._tokenizer)

  def encode(self, texts: list[str]) -> list[np.ndarray]:
    """Ids of each text (int32), unframed; the texts are spread over all cores."""
    ids = []
    for batch in word_cache.batches(texts, word_cache.BATCH):
      listed = [
        encoding.ids
        for encoding in self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
      ]
      # once, and not a sentence at a time
      together = np.fromiter(itertools.chain.from_iterable(listed), np.int32)
      pieces = np.split(together, np.cumsum([len(one) for one in listed])[:-1])
      ids += map(self._ordinary, pieces) if self.special_V[together].any() else pieces
    return ids

  def encode_many(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The same of a large part of a corpus: (ids of one text after another, how many each has)."""
    if self._words is not None:
      ids, lengths = self._words.encode(texts)
      if not (self.special_V[ids] & (ids != self.unknown)).any():
        return ids, lengths
    listed = self.encode(texts)
    return np.concatenate(listed), np.array([len(ids) for ids in listed])

  def decode(self, ids: Iterable[int]) -> str:
    return self._tokenizer.decode([int(index) for index in ids], skip_special_tokens=False)

  def token(self, index: int) -> str:
    return self._tokenizer.id_to_token(int(index))

  def encode_with_masks(self, text: str) -> np.ndarray:
    """Ids of one text, unframed, in which the mask token's name means the mask."""
    mask = self._tokenizer.get_added_tokens_decoder().get(self.mask)
    parts = text.split(self.token(self.mask))
    if mask is not None and mask.lstrip:  # as RoBERTa's, which takes the space before it along
      parts = [part.rstrip() for part in parts[:-1]] + parts[-1:]
    ids = []
    for part in self.encode(parts):
      ids += [*part, self.mask]
    return np.array(ids[:-1], np.int32)

  def readable(self, index: int) -> str:
    """A token for people: byte-level ones as the text that they
    stand for, where they are whole characters.
    """
    token = self.token(index)
    if self.special_V[index] or self.wordpiece:
      return token
    text = self._tokenizer.decode([int(index)], skip_special_tokens=False)
    return token if '\ufffd' in text or not text.strip() else text.strip()

  @property
  def wordpiece(self) -> bool:
    return isinstance(self._tokenizer.model, models.WordPiece)

  def plain_json(self) -> str:
    """tokenizer.json, as `save` writes it."""
    return self._tokenizer.to_str(pretty=True)

  def framed_json(self, *, add_eos: bool) -> str:
    """tokenizer.json whose own rule adds bos before each text and, with add_eos, eos after it."""
    begin, end = self.token(self.bos), self.token(self.eos)
    single, specials = f'{begin} $A', {begin: self.bos}
    if add_eos:
      single, specials = f'{single} {end}', specials | {end: self.eos}
    copy = tokenizers.Tokenizer.from_str(self._tokenizer.to_str())
    copy.post_processor = processors.TemplateProcessing(
      single=single,
      pair=f'{single} $B:1 {end}:1' if add_eos else None,
      special_tokens=list(specials.items()),
    )
    return copy.to_str(pretty=True)

  def save(self, path: str | Path):
    epath.Path(path).write_text(self.plain_json())

  def _ordinary(self, ids: np.ndarray) -> np.ndarray:
    """Unigram models match special tokens inside text; there they are unknown text."""
    special = self.special_V[ids]
    if special.any():
      unknown = -1 if self.unknown is None else self.unknown
      special &= ids != unknown
      ids = np.where(special, unknown, ids) if unknown >= 0 else ids[~special]
    return ids


def load(path: str | Path, lowercase: bool) -> Tokenizer:
  """A tokenizer from BERT's `vocab.txt` or a
  `tokenizer.json`, which has its own rule about case.
  """
  path = epath.Path(path).expanduser()
  if not path.exists():
    raise DataError(
      f'data.tokenizer={str(path)!r}: no such file; it is wordpiece, bpe, words or characters, '
      'trained on the corpus, or the path of a vocab.txt or tokenizer.json'
    )
  try:
    text = path.read_text()
    if path.suffix == '.json':
      return from_json(text, str(path))
    return from_vocabulary(text.rstrip('\n').split('\n'), lowercase)
  except DataError:
    raise
  except Exception as error:  # the library raises bare Exception for whatever it cannot parse
    raise DataError(f'{path} is not a tokenizer this can read: {error}') from error


def from_json(text: str, name: str) -> Tokenizer:
  description = json.loads(text)
  for setting in ('truncation', 'padding'):
    if description.get(setting) is not None:
      message = f'{name} has {setting} baked in: switched off, rows are cut and padded here'
      warnings.warn(message, stacklevel=2)
      description[setting] = None
  roles = {name for names in ROLES.values() for name in names}
  for token in description.get('added_tokens', ()):
    token['special'] = token['special'] or token['content'] in roles
  return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(description)))


def from_vocabulary(tokens: Iterable[str], lowercase: bool) -> Tokenizer:
  """WordPiece as BERT has it, over these tokens."""
  vocabulary = {token.rstrip('\r'): index for index, token in enumerate(tokens)}
  tokenizer = tokenizers.Tokenizer(
    models.WordPiece(vocabulary, unk_token='[UNK]', max_input_chars_per_word=100)
  )
  tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
  tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  tokenizer.decoder = decoders.WordPiece()
  missing = [token for token in WORDPIECE_SPECIALS if token not in vocabulary]
  if missing:
    raise DataError(f'the vocabulary lacks {", ".join(missing)}')
  tokenizer.add_special_tokens(list(WORDPIECE_SPECIALS))
  return Tokenizer(tokenizer)


def canonical_json(tokenizer: tokenizers.Tokenizer) -> str:
  return json.dumps(
    json.loads(tokenizer.to_str()), sort_keys=True, ensure_ascii=False, separators=(',', ':')
  )


def _role(vocabulary: dict[str, int], role: str) -> int | None:
  return next((vocabulary[name] for name in ROLES[role] if name in vocabulary), None)


def _word_starts(vocabulary: dict[str, int], size: int) -> np.ndarray:
  starts = np.zeros(size, np.bool_)
  # A WordPiece vocabulary may hold these characters as text, so its own mark is looked for first.
  marks = None
  if not any(token.startswith('##') for token in vocabulary):
    styles = ('Ġ', 'Ċ'), ('▁',)
    marks = next(
      (style for style in styles if any(token.startswith(style) for token in vocabulary)), None
    )
  for token, index in vocabulary.items():
    starts[index] = token.startswith(marks) if marks else not token.startswith('##')
  return starts
