r"""Many texts to token ids, each different word encoded once: text repeats its words.

It is right only where no token can tell whether its word was encoded alone. So it is for rules that
always cut before a space and look at nothing on its other side. `_UNCUT` lists them:

- `WhitespaceSplit`: white space ends every word.
- BERT's: the pre-tokenizer ends a word at white space and at punctuation, and the normalizer moves
  nothing across a space.
- GPT-2's `ByteLevel`: its regular expression is `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
  ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`. In a match, white space follows nothing else, and only from
  white space does it look ahead. So a match ends before a space unless there is white space before
  that space. A text with such a place is encoded whole.

No other rule is known to allow it: Unigram chooses among all cuts of a text, BPE with dropout draws
one, an added token may match across a space. `open_words` then returns None. Of every chunk of
texts, a few are also encoded whole and compared.

Axes of the arrays here: N, the words of all texts, one after another; W, the different words; U,
the tokens of the different words, with a separator after each word.
"""

from collections import defaultdict
from collections.abc import Iterator
import itertools
import json
import re
from typing import NamedTuple

import numpy as np
import tokenizers

# characters encoded at once; what the library keeps beside the ids is ~50 times the text
BATCH = 1 << 20
# characters of texts of which a word is encoded once: a bound on memory, however long they are
_TOGETHER = 1 << 23
_STRING = 1 << 10  # words of a string of these: many strings keep all cores busy
_BETWEEN = '\0'  # words; it is in no clean text
# texts of a chunk that are also encoded whole, if they are no longer than so many characters:
# 2 ms for 15 million characters, which take 1.5 s
_CHECKED, _CHECKED_CHARACTERS = 8, 1 << 14
# (normalizer, pre-tokenizer): what a text has in it that must stay whole
_UNCUT = {
  ('BertNormalizer', 'BertPreTokenizer'): None,
  (None, 'WhitespaceSplit'): None,
  (None, 'ByteLevel'): re.compile(r' (?<=\s )'),
}


def batches(texts: list[str], characters: int) -> Iterator[list[str]]:
  """Runs of texts, each of at least so many characters but the last."""
  start = size = 0
  for index, text in enumerate(texts):
    size += len(text)
    if size >= characters:
      yield texts[start : index + 1]
      start, size = index + 1, 0
  if start < len(texts):
    yield texts[start:]


def open_words(tokenizer: tokenizers.Tokenizer) -> 'Words | None':
  """An encoder with the rule of this tokenizer; None where it is not known to be right."""
  rule = json.loads(tokenizer.to_str())
  kinds = tuple((rule[part] or {}).get('type') for part in ('normalizer', 'pre_tokenizer'))
  if (
    kinds not in _UNCUT
    or not rule['pre_tokenizer'].get('use_regex', True)
    or rule['model'].get('dropout')
    or not all(token['special'] for token in rule['added_tokens'])
  ):
    return None
  bare = rule | dict(added_tokens=[], post_processor=None)
  alone = tokenizers.Tokenizer.from_str(json.dumps(bare))
  ids = alone.get_vocab().values()
  # An added token is cut out of a text before anything else
  # is done to what stands on either side of it.
  alone.add_tokens([tokenizers.AddedToken(_BETWEEN, normalized=False)])
  between = alone.token_to_id(_BETWEEN)
  # the new token gets the number of tokens as its id: in a vocabulary with a gap, a word has it
  if between in ids:
    return None
  return Words(alone, between, _UNCUT[kinds])


class Cut(NamedTuple):
  """Texts cut into words.

  Attributes:
    words: the W different words, as they are to be encoded.
    word_N: which of them each word of the texts is.
    first: where in N each text begins.
  """

  words: list[str]
  word_N: np.ndarray
  first: np.ndarray


class EncodedWords(NamedTuple):
  """Tokens of the different words: those of word w are length_W[w] of id_U from start_W[w] on."""

  id_U: np.ndarray
  start_W: np.ndarray
  length_W: np.ndarray


class Words:
  """Encodes texts without NUL.

  Args:
    between: id of a NUL, and of nothing else.
    uncut: found in texts that must stay whole; None where all may be cut.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer, between: int, uncut: re.Pattern | None):
    self._tokenizer, self._between, self._uncut = tokenizer, between, uncut

  def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(ids of one text after another, how many each has), both of all texts.

    Special tokens are text, as if nobody had added them.

    Raises:
      AssertionError: a text has a NUL, or other tokens than when it is encoded whole.
    """
    ids, lengths = zip(*map(self._encode, batches(texts, _TOGETHER)))
    return np.concatenate(ids), np.concatenate(lengths)

  def _encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    cut = self._cut(texts)
    encoded = self._encode_words(cut.words)
    ids, length_N = _copy_words(encoded, cut.word_N)
    lengths = np.add.reduceat(length_N, cut.first)
    self._check(texts, ids, lengths)
    return ids, lengths

  def _cut(self, texts: list[str]) -> Cut:
    """Cuts before every space. The first word of a text is another one than after a space."""
    number_of = defaultdict(itertools.count().__next__)  # word: its number, given when first seen
    keys, first = [], []
    for text in texts:
      first.append(len(keys))
      found = [text] if self._uncut and self._uncut.search(text) else text.split(' ')
      found[0] += ' '  # marks the first one; no other key has a space at its end
      keys += found
    word_N = np.fromiter(map(number_of.__getitem__, keys), np.int64, len(keys))
    return Cut([_spell(key) for key in number_of], word_N, np.array(first))

  def _encode_words(self, words: list[str]) -> EncodedWords:
    id_U = np.concatenate([self._ids(batch) for batch in batches(words, BATCH)])
    end_W = np.flatnonzero(id_U == self._between)
    assert len(end_W) == len(words), 'a NUL in a text'
    length_W = np.diff(end_W, prepend=-1) - 1
    return EncodedWords(id_U, end_W - length_W, length_W)

  def _ids(self, words: list[str]) -> np.ndarray:
    """Ids of these words, `between` after each; encoded as a few strings, on all cores."""
    runs = [words[start : start + _STRING] for start in range(0, len(words), _STRING)]
    strings = [_BETWEEN.join([*run, '']) for run in runs]
    encoded = self._tokenizer.encode_batch_fast(strings, add_special_tokens=False)
    return np.fromiter(itertools.chain.from_iterable(one.ids for one in encoded), np.int32)

  def _check(self, texts: list[str], ids: np.ndarray, lengths: np.ndarray):
    """Compares texts at even distances with their encoding as a whole."""
    stops = np.cumsum(lengths)
    for index in range(0, len(texts), -(-len(texts) // _CHECKED)):
      if len(texts[index]) <= _CHECKED_CHARACTERS:
        whole = self._tokenizer.encode(texts[index], add_special_tokens=False).ids
        found = ids[stops[index] - lengths[index] : stops[index]].tolist()
        assert found == whole, f'other tokens by words than as a whole: {texts[index][:200]!r}'


def _spell(key: str) -> str:
  """What is encoded for a key of `_cut`: a first word as it is, any other one after a space."""
  return key[:-1] if key.endswith(' ') else ' ' + key


def _copy_words(encoded: EncodedWords, word_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """(tokens of all words of the texts, one after another; how many each word has: N)."""
  length_N = encoded.length_W[word_N]
  first_N = np.cumsum(length_N) - length_N  # where the tokens of each word go
  shift_N = encoded.start_W[word_N] - first_N  # and how far away they come from
  source = np.arange(length_N.sum()) + np.repeat(shift_N, length_N)
  return encoded.id_U[source], length_N
