"""Which tokens begin a word, by the model of a tokenizer and never by the looks of a token.

WordPiece marks what continues a word, byte-level BPE and sentencepiece what follows a space, and
BPE with an end-of-word suffix what ends a word. A rule that marks nothing (words, characters) makes
every token a word.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

# white space as byte-level BPE writes it: byte b, which is not printed, as the character 256 + b
_BYTES = tuple(chr(256 + byte) for byte in b'\t\n\x0b\x0c\r ')


class WordMarks(NamedTuple):
  """What the tokens of a vocabulary say about words.

  Attributes:
    start_V: ids that begin a word wherever they stand.
    end_V: ids after which a word begins; None where the rule marks no ends.
    special_V: ids that are no part of a word; they count as words by themselves.
  """

  start_V: np.ndarray
  end_V: np.ndarray | None
  special_V: np.ndarray

  def starts(self, token_T: np.ndarray) -> np.ndarray:
    """Which tokens of a row begin a word (T booleans); the first one does not by itself."""
    end_V = self.special_V if self.end_V is None else self.end_V
    start_T = self.start_V[token_T]
    start_T[1:] |= end_V[token_T[:-1]]
    return start_T

  @property
  def whole_V(self) -> np.ndarray:
    """Ids that can be a word by themselves, after a space."""
    return self.start_V if self.end_V is None else self.end_V


def find(
  rule: dict[str, Any], vocabulary: dict[str, int], size: int, special_V: np.ndarray
) -> WordMarks:
  """The marks of a rule.

  Args:
    rule: the content of its tokenizer.json; `vocab` of the model is not looked at.
    vocabulary: ids of all tokens.
    size: number of ids.
    special_V: ids before and after which words begin, whatever they are called.
  """
  model = rule['model']
  suffix, prefix = model.get('end_of_word_suffix'), model.get('continuing_subword_prefix')
  space = tuple(_spaces(rule))
  start_V, end_V = np.zeros(size, np.bool_), None
  if suffix:
    end_V = np.zeros(size, np.bool_)
  for token, index in vocabulary.items():
    if suffix:
      end_V[index] = token.endswith(suffix)
    elif prefix:
      # the prefix alone is text: what continues a word has more than that
      start_V[index] = not token.startswith(prefix) or token == prefix
    else:
      start_V[index] = not space or token.startswith(space)
  return WordMarks(start_V | special_V, None if end_V is None else end_V | special_V, special_V)


def _spaces(rule: dict[str, Any]) -> set[str]:
  """How the rule writes white space in tokens; empty where it leaves none in them."""
  found = set()
  for part in _components(rule):
    kind = part['type']
    if kind == 'ByteLevel':
      found.update(_BYTES)
    elif kind == 'Metaspace':
      found.add(part.get('replacement', '▁'))
    elif kind == 'Prepend':
      found.add(part['prepend'])
    elif kind == 'Replace' and part.get('pattern') == {'String': ' '} and part['content']:
      found.add(part['content'])
  return found


def _components(rule: dict[str, Any]) -> Iterator[dict[str, Any]]:
  """Normalizers and pre-tokenizers, also those inside of sequences."""
  waiting = [rule.get('normalizer'), rule.get('pre_tokenizer')]
  while waiting:
    part = waiting.pop()
    if isinstance(part, dict) and 'type' in part:
      yield part
      waiting += [*part.get('normalizers', ()), *part.get('pretokenizers', ())]
