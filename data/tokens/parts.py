"""Texts that come in parts (sentences, words) and have the tokens of the whole text.

Between two parts a text may be cut if no token can tell. Known rules say where that is:

- BERT's: beside white space, and after punctuation, which is a token of its own.
- `WhitespaceSplit`: beside white space.
- GPT-2's `ByteLevel`: before white space that follows none. A rule that puts a space before each
  text does so unless there is one, so it may be cut before a space only.
- characters: everywhere.

Everything else (Unigram chooses among all cuts, Metaspace marks the start of a text, an added token
may match across a space) is encoded whole, and a token belongs to the part in which it begins.
"""

from collections.abc import Callable, Iterator
from typing import Any
import unicodedata

import numpy as np

# characters that are encoded as one at most: what the library keeps is ~50 times a text
LARGEST = 1 << 22

MayCut = Callable[[str, str], bool]
Encoded = tuple[np.ndarray, np.ndarray]  # ids of one text after another; how many each has


def open_cuts(rule: dict[str, Any]) -> MayCut:
  """Whether (left, right), neither empty, have the tokens of left + right.

  Args:
    rule: the content of a tokenizer.json.
  """
  normalizer, pre_tokenizer = (rule[part] or {} for part in ('normalizer', 'pre_tokenizer'))
  kinds = normalizer.get('type'), pre_tokenizer.get('type')
  model = rule['model']
  plain = not model.get('dropout') and all(token['special'] for token in rule['added_tokens'])
  if plain and kinds == ('BertNormalizer', 'BertPreTokenizer'):
    return lambda left, right: _is_space(right[0]) or unicodedata.category(left[-1])[0] == 'P'
  if plain and kinds == (None, 'WhitespaceSplit'):
    return lambda left, right: _is_space(right[0])
  if plain and kinds == (None, 'ByteLevel') and pre_tokenizer.get('use_regex', True):
    only_space = pre_tokenizer['add_prefix_space']
    return lambda left, right: (
      (right[0] == ' ' or not only_space and _is_space(right[0])) and not left[-1].isspace()
    )
  if plain and kinds == (None, None) and model['type'] == 'BPE':
    alone = not model['merges'] and not model['fuse_unk']
    return lambda left, right: alone
  return lambda left, right: False


def encode(
  texts: list[list[str]],
  may_cut: MayCut,
  alone: Callable[[list[str]], Encoded],
  together: Callable[[list[list[str]]], Iterator[Encoded]],
) -> Encoded:
  """Tokens of texts in parts, and how many begin in each part.

  Args:
    alone: encodes parts, each by itself.
    together: encodes each run of parts as one text.
  """
  runs = [run for parts in texts for run in join(parts, may_cut)]
  if all(len(run) == 1 for run in runs):
    return alone([run[0] for run in runs])
  ids, lengths = alone([run[0] for run in runs if len(run) == 1])
  ready = iter(zip(np.split(ids, np.cumsum(lengths)), lengths[:, None]))
  joined = together([run for run in runs if len(run) > 1])
  encoded = [next(ready if len(run) == 1 else joined) for run in runs]
  ids, lengths = zip(*encoded)
  return np.concatenate(ids), np.concatenate(lengths)


def join(parts: list[str], may_cut: MayCut) -> list[list[str]]:
  """Runs of neighbouring parts that must be encoded as one, in their order."""
  runs, size = [], 0
  last = ''  # the text before this part, as far as it matters
  for part in parts:
    open_run = runs and (not part or not last or not may_cut(last, part))
    if open_run and size + len(part) <= LARGEST:
      runs[-1].append(part)
      size += len(part)
    else:
      runs.append([part])
      size = len(part)
      last = ''
    last = part or last
  return runs


def count(run: list[str], start_T: np.ndarray) -> np.ndarray:
  """How many tokens of a text begin in each of its parts.

  Args:
    start_T: the character at which each token begins.
  """
  end = np.cumsum([len(part) for part in run])
  # what is not in the text, as a space that the rule puts before it, begins with what is there
  part_T = np.searchsorted(end, np.maximum.accumulate(start_T), side='right')
  return np.bincount(np.minimum(part_T, len(run) - 1), minlength=len(run))


def _is_space(character: str) -> bool:
  """White space for every rule: not the control characters that only some call so."""
  return character in ' \t\n\r' or unicodedata.category(character)[0] == 'Z'
