"""A WordPiece vocabulary with new entries behind its own: `data.tokenizer=extend:PATH+N`.

The entries of the old vocabulary keep their ids, so that a model that was trained with it goes on;
the new ones are those that a vocabulary trained on the new corpus has first and the old one has
not. In a warm start their embeddings are the means of the pieces that they were before
(`training/new_entries.py`).
"""

import json
from pathlib import Path
import re
from typing import NamedTuple

import tokenizers

from data.errors import DataError
from data.tokens import tokenizer as tokenizer_lib
from data.tokens import vocabulary

_INSIDE = '##'


class Extension(NamedTuple):
  """What `extend:PATH+N` asks for: the old vocabulary, and how many entries are added to it."""

  path: Path
  count: int


def parse(name: str) -> Extension | None:
  """The extension that `data.tokenizer` asks for; None where it asks for something else.

  Raises:
    DataError: it begins with `extend:` and has another form.
  """
  kind, colon, argument = name.partition(':')
  if kind != 'extend' or not colon:
    return None
  found = re.fullmatch(r'(.+)\+(\d+)', argument)
  if not found or not int(found[2]):
    raise DataError(
      f'data.tokenizer={name!r}: expected extend:PATH+N, a vocabulary and how many entries are '
      'added, as in extend:runs/bert_tiny/tokenizer.json+500'
    )
  return Extension(Path(found[1]).expanduser(), int(found[2]))


def check_extendable(old: tokenizer_lib.Tokenizer, path: Path):
  """Refuses a vocabulary of another kind: its pieces follow no such rule."""
  if not old.wordpiece:
    raise DataError(
      f'data.tokenizer=extend:{path}: only WordPiece vocabularies can be extended; '
      'data.tokenizer=wordpiece trains one'
    )


def extend(old: tokenizer_lib.Tokenizer, texts: list[str], count: int) -> tokenizer_lib.Tokenizer:
  """The old vocabulary with `count` new entries, trained on these texts, or as many as there are.

  Raises:
    DataError: the texts have no entry that is new.
  """
  rule = json.loads(old.plain_json())
  entries = rule['model']['vocab']
  lowercase = bool((rule['normalizer'] or {}).get('lowercase'))
  trained = vocabulary.train_wordpiece(texts, old.size + count, lowercase)
  candidates = [trained.token(index) for index in range(trained.size)]
  new = [token for token in candidates if token not in entries][:count]
  if not new:
    raise DataError('data.tokenizer=extend: the corpus has no entry that the vocabulary lacks')
  first = max(entries.values()) + 1
  rule['model']['vocab'] = entries | {token: first + index for index, token in enumerate(new)}
  return tokenizer_lib.Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(rule)), old.names)


def extends(new: tokenizer_lib.Tokenizer, old: tokenizer_lib.Tokenizer) -> bool:
  """Whether a vocabulary is an old one with entries behind it, under the same rule."""
  rules = [json.loads(each.plain_json()) for each in (new, old)]
  ours, theirs = (rule['model'].pop('vocab') for rule in rules)
  same_ids = isinstance(theirs, dict) and all(ours.get(token) == i for token, i in theirs.items())
  return new.wordpiece and same_ids and rules[0] == rules[1] and new.names == old.names


def pieces(old: tokenizer_lib.Tokenizer, token: str) -> list[int]:
  """What a new entry was in the old vocabulary: the longest entries from the left.

  [] where a part of it is unknown there.
  """
  entries = json.loads(old.plain_json())['model']['vocab']
  inside, rest, found = token.startswith(_INSIDE), token.removeprefix(_INSIDE), []
  while rest:
    mark = _INSIDE if inside else ''
    ends = range(len(rest), 0, -1)
    end = next((end for end in ends if mark + rest[:end] in entries), None)
    if end is None:
      return []
    found.append(entries[mark + rest[:end]])
    rest, inside = rest[end:], True
  return found
