"""Text to token ids and back: one class over every kind of Hugging Face tokenizer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import functools
import hashlib
import itertools
import json
import os
from pathlib import Path

from etils import epath
import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from data.errors import DataError
from data.tokens import losses, vocabulary_files, word_cache, word_marks
from data.tokens import parts as parts_lib

# What published vocabularies call each role; the first that exists is taken.
ROLES = {
  'bos': ('[CLS]', '<s>', '<|endoftext|>', '<|begin_of_text|>', '<bos>'),
  'eos': ('[SEP]', '</s>', '<|endoftext|>', '<|end_of_text|>', '<eos>'),
  'pad': ('[PAD]', '<pad>', '<|pad|>'),
  'mask': ('[MASK]', '<mask>', '<|mask|>'),
  'unknown': ('[UNK]', '<unk>'),
}
# and what the files beside a vocabulary call it
_KEYS = dict(
  bos='bos_token', eos='eos_token', pad='pad_token', mask='mask_token', unknown='unk_token'
)
_CONTEXT = 8  # tokens after which the text of the next ones is known
WORDPIECE_SPECIALS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')
BPE_SPECIALS = ('<|pad|>', '<|endoftext|>', '<|mask|>')
# in the order that the stock classes of RoBERTa and ALBERT count on
ROBERTA_SPECIALS = ('<s>', '<pad>', '</s>', '<unk>', '<mask>')
UNIGRAM_SPECIALS = ('<pad>', '<unk>', '[CLS]', '[SEP]', '[MASK]')


class Tokenizer:
  """A vocabulary and its rule: text to ids (int32) and back.

  Text never yields a special id, whatever it says: a literal "[MASK]" is three ordinary tokens.

  Attributes:
    size: number of ids.
    adds_special_tokens: its own rule puts special tokens around a text; `encode` never does.
    bos, eos: ids that frame a document, or a sentence pair.
    pad, mask, unknown: ids, None where the vocabulary has none.
    special_V: ids that stand for no text: special tokens, and numbers that no token has.
    named_V: ids that a token has.
    words: which tokens begin or end a word; special ones do both.
    sha256: of the canonical JSON: the same for the same vocabulary and rule.

  Args:
    names: the token of each of `ROLES`, or None; of those that are not in it, the first name of
      `ROLES` that exists.

  Raises:
    DataError: the vocabulary has no token to frame a document with, or none for unknown text.
  """

  def __init__(
    self, tokenizer: tokenizers.Tokenizer, names: Mapping[str, str | None] | None = None
  ):
    tokenizer.encode_special_tokens = True
    self._tokenizer = tokenizer
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    self.size = max(vocabulary.values()) + 1
    self.adds_special_tokens = tokenizer.num_special_tokens_to_add(is_pair=False) > 0
    added = tokenizer.get_added_tokens_decoder()
    marked = {token.content for token in added.values() if token.special}
    usual = {role: _usual(vocabulary, marked, role) for role in ROLES}
    self.names = usual | dict(names or {})
    self._usual = self.names == usual
    self.bos, self.eos, self.pad, self.mask, self.unknown = (
      vocabulary.get(self.names[role]) for role in ROLES
    )
    if self.bos is None or self.eos is None:
      raise DataError(
        f'the tokenizer has no token to frame a document with: it needs one of '
        f'{", ".join(ROLES["bos"])} and one of {", ".join(ROLES["eos"])}'
      )
    if problem := vocabulary_files.unwritable(self._rule['model']):
      raise DataError(problem)
    special = {index for index, token in added.items() if token.special}
    special |= {self.bos, self.eos, self.pad, self.mask, self.unknown} - {None}
    self.named_V = np.zeros(self.size, np.bool_)
    self.named_V[list(vocabulary.values())] = True
    self.special_V = ~self.named_V
    self.special_V[sorted(special)] = True
    self.words = word_marks.find(self._rule, vocabulary, self.size, self.special_V)

  @functools.cached_property
  def sha256(self) -> str:
    """Of the vocabulary and rule, in hex; see the attributes."""
    names = '' if self._usual else json.dumps(self.names, sort_keys=True)
    return hashlib.sha256((canonical_json(self._tokenizer) + names).encode()).hexdigest()

  @functools.cached_property
  def _rule(self) -> dict:
    return json.loads(self._tokenizer.to_str())

  @functools.cached_property
  def _words(self) -> word_cache.Words | None:
    return word_cache.open_words(self._tokenizer)

  def encode(self, texts: list[str]) -> list[np.ndarray]:
    """Ids of each text (int32), unframed; the texts are spread over all cores."""
    ids = []
    for batch in word_cache.batches(texts, word_cache.BATCH):
      encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
      listed = [encoding.ids for encoding in encodings]
      # to numpy and compared once, not a sentence at a time
      together = np.fromiter(itertools.chain.from_iterable(listed), np.int32)
      ends = np.cumsum([len(one) for one in listed])
      split = np.split(together, ends[:-1])
      ids += map(self._ordinary, split) if self.special_V[together].any() else split
    return ids

  def encode_many(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """`encode` of a large part of a corpus, each different word encoded once where that is right.

    Returns:
      Ids of one text after another (int32), and how many each text has.
    """
    if self._words is not None and texts:
      ids, lengths = self._words.encode(texts)
      if not (self.special_V[ids] & (ids != self.unknown)).any():
        return ids, lengths
    listed = self.encode(texts)
    return _joined(listed), np.array([len(ids) for ids in listed], np.int64)

  def encode_with_spans(self, texts: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ids, spans) of each text, unframed: a span is (start, stop), the characters of an id."""
    found = []
    for batch in word_cache.batches(texts, word_cache.BATCH):
      for encoding in self._tokenizer.encode_batch(batch, add_special_tokens=False):
        ids = np.array(encoding.ids, np.int32)
        span_Nx2 = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        found.append((self._ordinary(ids), span_Nx2[self._kept(ids)]))
    return found

  def encode_parts(self, texts: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of texts that come in parts, where each text has the tokens of its joined parts.

    Parts are encoded alone where no token can tell (data/tokens/parts.py), and as one otherwise. A
    text of more than `parts.LARGEST` characters is encoded in several runs of parts.

    Returns:
      Ids of one part after another (int32), and how many begin in each part.
    """
    return parts_lib.encode(texts, self._may_cut, self.encode_many, self._encode_runs)

  def _encode_runs(self, runs: list[list[str]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(ids, how many begin in each part) of runs of parts, each encoded as one text."""
    waiting = iter(runs)
    for batch in word_cache.batches(list(map(''.join, runs)), word_cache.BATCH):
      for encoding in self._tokenizer.encode_batch(batch, add_special_tokens=False):
        ids = np.array(encoding.ids, np.int32)
        start_T = np.array([start for start, _ in encoding.offsets], np.int64)
        yield self._ordinary(ids), parts_lib.count(next(waiting), start_T[self._kept(ids)])

  @functools.cached_property
  def _may_cut(self) -> parts_lib.MayCut:
    return parts_lib.open_cuts(self._rule)

  def lost_bytes(self, texts: list[str]) -> int:
    """UTF-8 bytes of these texts that no token but the unknown one stands for (`losses`)."""
    return losses.total(texts, self._tokenizer, self.special_V, self.unknown)

  @functools.cached_property
  def normalised(self) -> list[str]:
    """What its rule does to letters before any token is chosen, in words."""
    return losses.normalised(self._tokenizer.normalizer)

  def spans(self, text: str) -> list[tuple[int, int]]:
    """Which characters of a text each of its tokens stands for: from, up to but not including."""
    return self._tokenizer.encode(text, add_special_tokens=False).offsets

  def decode(self, ids: Iterable[int]) -> str:
    """The text of these ids, special tokens by their names."""
    return self._tokenizer.decode([int(index) for index in ids], skip_special_tokens=False)

  def token(self, index: int) -> str:
    """The name of a token in the vocabulary, as '##ing' or 'Ġthe'; also of a number without one."""
    name = self._tokenizer.id_to_token(int(index))
    return f'[no token {int(index)}]' if name is None else name

  def decode_after(self, before: Sequence[int], ids: Iterable[int]) -> str:
    """The text that tokens add to a text that ends with the tokens `before`, its space included."""
    context = [index for index in before if index not in (self.bos, self.eos)][-_CONTEXT:]
    alone, joined = self.decode(context), self.decode([*context, *ids])
    return joined[len(os.path.commonprefix([alone, joined])) :]

  def encode_with_masks(self, text: str) -> np.ndarray:
    """Ids of one text (int32), unframed, in which the name of the mask token is the mask's id."""
    ids = np.array(self._masking.encode(text, add_special_tokens=False).ids, np.int32)
    parts = np.split(ids, np.flatnonzero(np.diff(ids == self.mask)) + 1)
    return _joined([part if self.mask in part else self._ordinary(part) for part in parts])

  @functools.cached_property
  def _masking(self) -> tokenizers.Tokenizer:
    """The rule in which the mask token is found in text, with the space that it takes along."""
    rule, name = json.loads(self._tokenizer.to_str()), self.token(self.mask)
    for token in rule['added_tokens']:
      token['special'] &= token['content'] != name
    found = tokenizers.Tokenizer.from_str(json.dumps(rule))
    found.add_tokens([tokenizers.AddedToken(name, normalized=False)])  # unless it is there
    found.encode_special_tokens = True
    return found

  def readable(self, index: int) -> str:
    """A token for people: a byte-level one as its text, if that is whole visible characters."""
    token = self.token(index)
    if self.special_V[index] or self.wordpiece:
      return token
    text = self._tokenizer.decode([int(index)], skip_special_tokens=False)
    return token if '\ufffd' in text or not text.strip() else text.strip()

  @property
  def wordpiece(self) -> bool:
    """Whether it is WordPiece, whose sub-words begin with ## inside a word."""
    return isinstance(self._tokenizer.model, models.WordPiece)

  def plain_json(self) -> str:
    """The text of its tokenizer.json, as `save` writes it."""
    return self._tokenizer.to_str(pretty=True)

  @property
  def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that its own rule puts before and after a text; `encode` never does.

    Raises:
      DataError: the rule gives a text the type of a second sentence.
    """
    encoding = self._tokenizer.encode('a', add_special_tokens=True)
    if any(encoding.type_ids):
      raise DataError('its rule gives a single text the type of a second sentence')
    own = [index for index, added in enumerate(encoding.special_tokens_mask) if not added]
    first, last = (own[0], own[-1]) if own else (len(encoding.ids), len(encoding.ids))
    return tuple(encoding.ids[:first]), tuple(encoding.ids[last + 1 :])

  def framed_json(self, begin: Sequence[int], end: Sequence[int]) -> str:
    """The text of a tokenizer.json that puts these ids before and after each text."""
    first, last = ([self.token(index) for index in ids] for ids in (begin, end))
    copy = tokenizers.Tokenizer.from_str(self._tokenizer.to_str())
    copy.post_processor = processors.TemplateProcessing(
      single=[*first, '$A', *last],
      pair=[*first, '$A', *last, '$B:1', *(f'{token}:1' for token in last)] if last else None,
      special_tokens=list(dict(zip([*first, *last], [*begin, *end])).items()),
    )
    return copy.to_str(pretty=True)

  def save(self, path: str | Path):
    """Writes `plain_json` to a file, which may be on an object store.

    Names that `ROLES` would not find are in a special_tokens_map.json beside it.
    """
    epath.Path(path).write_text(self.plain_json())
    if not self._usual:
      names = {_KEYS[role]: name for role, name in self.names.items()}
      beside = epath.Path(path).parent / 'special_tokens_map.json'
      beside.write_text(json.dumps(names, indent=1) + '\n')

  def _ordinary(self, ids: np.ndarray) -> np.ndarray:
    """Ids without the special ones that Unigram matches inside text: there they are unknown."""
    special = self.special_V[ids]
    if special.any():
      special &= ids != self.unknown
      ids = ids[~special] if self.unknown is None else np.where(special, self.unknown, ids)
    return ids.astype(np.int32)

  def _kept(self, ids: np.ndarray) -> np.ndarray:
    """Which ids `_ordinary` keeps, or puts another one in place of."""
    return np.full(len(ids), True) if self.unknown is not None else ~self.special_V[ids]


def from_vocabulary(tokens: Iterable[str], lowercase: bool) -> Tokenizer:
  """WordPiece as BERT has it (Devlin et al. 2019), over these tokens in the order of their ids.

  Raises:
    DataError: a special token of BERT is missing.
  """
  vocabulary = {token: index for index, token in enumerate(tokens)}
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
  """A tokenizer as JSON with sorted keys and no white space: equal for equal tokenizers."""
  return json.dumps(
    json.loads(tokenizer.to_str()), sort_keys=True, ensure_ascii=False, separators=(',', ':')
  )


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
  return np.concatenate([np.zeros(0, np.int32), *arrays])


def _usual(vocabulary: dict[str, int], marked: set[str], role: str) -> str | None:
  """The first name of a role that is marked as special, else that is in the vocabulary.

  Where other tokens are marked, an ordinary <pad> or <mask> is a word.
  """
  found = [name for name in ROLES[role] if name in vocabulary]
  ordinary = [] if marked and role in ('pad', 'mask') else found
  return next((name for name in found if name in marked), next(iter(ordinary), None))
