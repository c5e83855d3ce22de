"""Many texts to token ids, each different word encoded once: text repeats its words.

Only for rules of which it is certain that no token can tell: those that always cut before a space,
and look at nothing on its other side.
"""

from collections import defaultdict
from collections.abc import Iterator
import itertools
import json
import re

import numpy as np
import tokenizers

# characters encoded at once; what the library keeps beside the ids is ~50 times the text
BATCH = 1 << 20
# characters of texts of which a word is encoded once: a bound on memory, however long they are
_TOGETHER = 1 << 23
_STRING = 1 << 10  # words of a string of these: many strings keep all cores busy
_BETWEEN = '\0'  # words; it is in no clean text
# (normalizer, pre-tokenizer) of such rules, and what texts that are not cut have in them. BERT's
# and white space end a token at every space. GPT-2's is `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
# ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`: white space follows nothing else in a match, and only from white
# space does it look ahead. So a match ends before a space, unless there is white space before it.
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
  """None where the rule of this tokenizer is not known to allow it."""
  rule = json.loads(tokenizer.to_str())
  kinds = tuple((rule[part] or {}).get('type') for part in ('normalizer', 'pre_tokenizer'))
  if (
    kinds not in _UNCUT
    or not rule['pre_tokenizer'].get('use_regex', True)
    or rule['model'].get('dropout')
    or not all(token['special'] for token in rule['added_tokens'])
  ):
    return None
  alone = tokenizers.Tokenizer.from_str(
    json.dumps(rule | dict(added_tokens=[], post_processor=None))
  )
  ids = alone.get_vocab().values()
  # An added token is cut out of a text before anything else
  # is done to what stands on either side of it.
  alone.add_tokens([tokenizers.AddedToken(_BETWEEN, normalized=False)])
  between = alone.token_to_id(_BETWEEN)
  return None if between in ids else Words(alone, between, _UNCUT[kinds])


class Words:
  """Encodes texts without NUL.

  Args:
    between: id of a NUL, and of nothing else.
    uncut: found in texts that must stay whole; None where all may be cut.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer, between: int, uncut: re.Pattern | None):
    self._tokenizer, self._between, self._uncut = tokenizer, between, uncut

  def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(ids of one text after another, how many each has); special
    tokens are text, as if nobody had added them.
    """
    ids, lengths = zip(*map(self._encode, batches(texts, _TOGETHER)))
    return np.concatenate(ids), np.concatenate(lengths)

  def _encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    words, word_N, starts = self._cut(texts)
    ids = self._ids(words)
    end_W = np.flatnonzero(ids == self._between)
    assert len(end_W) == len(words), 'a NUL in a text'
    length_W = np.diff(end_W, prepend=-1) - 1
    length_N = length_W[word_N]
    shift_N = (end_W - length_W)[word_N] - (np.cumsum(length_N) - length_N)
    found = ids[np.repeat(shift_N, length_N) + np.arange(length_N.sum())]
    return found, np.add.reduceat(length_N, starts)

  def _cut(self, texts: list[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(the different words W, which of them are the N words of
    all texts, where in N each text begins).
    """
    number_of = defaultdict(itertools.count().__next__)
    words, starts = [], []
    for text in texts:
      starts.append(len(words))
      found = [text] if self._uncut and self._uncut.search(text) else text.split(' ')
      found[0] += ' '  # another word than with a space before it
      words += found
    word_N = np.fromiter(map(number_of.__getitem__, words), np.int64, len(words))
    return (
      [word[:-1] if word.endswith(' ') else ' ' + word for word in number_of],
      word_N,
      np.array(starts),
    )

  def _ids(self, words: list[str]) -> np.ndarray:
    """Of all words, `between` after each."""
    ids = []
    for batch in batches(words, BATCH):
      strings = [
        _BETWEEN.join([*batch[start : start + _STRING], ''])
        for start in range(0, len(batch), _STRING)
      ]
      encoded = self._tokenizer.encode_batch_fast(strings, add_special_tokens=False)
      ids.append(np.fromiter(itertools.chain.from_iterable(one.ids for one in encoded), np.int32))
    return np.concatenate(ids)
