"""What of a text its tokens do not say: characters without a token, and what is normalised.

A unit that no tokenizer can flatter has to count it: a model that never says which character an
unknown token was has predicted less text.
"""

from collections import Counter
from collections.abc import Iterable
import json

import numpy as np
import tokenizers

from data.tokens import word_cache

# of a normalizer: what it is said to do, and a text that shows it
_NORMALISED = {
  'in lower case': ('A', 'a'),
  'without accents': ('\u00e9', 'e'),
  'with compatibility forms replaced': ('\ufb01', 'fi'),
}


def total(
  texts: list[str], tokenizer: tokenizers.Tokenizer, special_V: np.ndarray, unknown: int | None
) -> int:
  """UTF-8 bytes of all these texts that no token stands for, or an unknown one."""
  rule = json.loads(tokenizer.to_str())
  unknowns = {unknown, _unknown_of(tokenizer, rule['model'])} - {None}
  if not unknowns:
    return dropped_bytes(texts, tokenizer)
  without_text_V = special_V.copy()
  without_text_V[list(unknowns)] = True
  lost = 0
  for batch in word_cache.batches(texts, word_cache.BATCH):
    encodings = tokenizer.encode_batch(batch, add_special_tokens=False)
    for text, encoding in zip(batch, encodings):
      lost += lost_bytes(text, encoding, without_text_V)
  return lost


def lost_bytes(text: str, encoding: tokenizers.Encoding, without_text_V: np.ndarray) -> int:
  """UTF-8 bytes of the characters that only unknown tokens stand for, or no token.

  White space between tokens is not counted: tokens without spaces imply it.

  Args:
    encoding: of the text, with offsets and without special tokens around it.
    without_text_V: special and unknown tokens of the vocabulary.
  """
  known_N, unknown_N = (np.zeros(len(text) + 1, np.int64) for _ in range(2))  # of characters
  ids = np.array(encoding.ids, np.int64)
  span_Tx2 = np.array(encoding.offsets, np.int64).reshape(-1, 2)
  for count_N, chosen_T in ((known_N, ~without_text_V[ids]), (unknown_N, without_text_V[ids])):
    np.add.at(count_N, span_Tx2[chosen_T, 0], 1)
    np.add.at(count_N, span_Tx2[chosen_T, 1], -1)
  known_N, unknown_N = known_N.cumsum()[:-1] > 0, unknown_N.cumsum()[:-1] > 0
  if known_N.all():
    return 0
  lost = [
    text[index]
    for index in np.flatnonzero(~known_N)
    if unknown_N[index] or not text[index].isspace()
  ]
  return len(''.join(lost).encode())


def _unknown_of(tokenizer: tokenizers.Tokenizer, model: dict) -> int | None:
  """The token that a model gives for what it does not know, whatever its name.

  Args:
    model: of its JSON.
  """
  if model.get('unk_id') is not None:  # Unigram
    return model['unk_id']
  name = model.get('unk_token')
  return None if name is None else tokenizer.token_to_id(name)


def dropped_bytes(texts: Iterable[str], tokenizer: tokenizers.Tokenizer) -> int:
  """UTF-8 bytes of the characters that a tokenizer without an unknown token leaves out.

  Its offsets cannot say so: the library moves them over what was left out.
  """
  frequency = Counter()
  for text in texts:
    frequency.update(text)
  characters = [char for char in frequency if not char.isspace()]
  alone = tokenizer.encode_batch_fast(characters, add_special_tokens=False)
  dropped = [char for char, encoding in zip(characters, alone) if not encoding.ids]
  return sum(frequency[char] * len(char.encode()) for char in dropped)


def normalised(normalizer: tokenizers.normalizers.Normalizer | None) -> Iterable[str]:
  """What a normalizer does to letters, in words: 'in lower case', ..."""
  if normalizer is None:
    return []
  return [
    words
    for words, (before, after) in _NORMALISED.items()
    if normalizer.normalize_str(before) == after
  ]
