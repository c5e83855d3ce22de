"""The tokens around the one or two texts of a row."""

import itertools
from typing import NamedTuple

import numpy as np
import tokenizers
from tokenizers import processors

from data.errors import DataError
from data.tokens.tokenizer import Tokenizer


class Frame(NamedTuple):
  """Ids around texts: before A after; of two texts first A between B last.

  Attributes:
    type: of the tokens of B and of what comes after; those before have 0.
  """

  before: tuple[int, ...]
  after: tuple[int, ...]
  first: tuple[int, ...]
  between: tuple[int, ...]
  last: tuple[int, ...]
  type: int

  def size(self, texts: int) -> int:
    """Tokens of the frame itself, around one text or two."""
    alone = len(self.before) + len(self.after)
    return alone if texts == 1 else len(self.first) + len(self.between) + len(self.last)

  def lay(self, parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(ids, types) of a row with one text or two."""
    if len(parts) == 1:
      ids = np.array([*self.before, *parts[0], *self.after], np.int32)
      return ids, np.zeros_like(ids)
    first = [*self.first, *parts[0], *self.between]
    second = [*parts[1], *self.last]
    types = [0] * len(first) + [self.type] * len(second)
    return np.array([*first, *second], np.int32), np.array(types, np.int32)


NONE = Frame((), (), (), (), (), 0)


def of_training(tokenizer: Tokenizer) -> Frame:
  """bos A eos [B eos], as rows are laid in training here."""
  bos, eos = (tokenizer.bos,), (tokenizer.eos,)
  return Frame(bos, eos, bos, eos, eos, 1)


def own(tokenizer: Tokenizer) -> Frame:
  """What the rule of a published tokenizer puts around texts; nothing where it puts nothing.

  Raises:
    DataError: it yields no token for a letter.
  """
  rule = tokenizers.Tokenizer.from_str(tokenizer.plain_json())
  texts = ('a', '.', '1', tokenizer.decode([int(tokenizer.named_V.argmax())]))
  text = next((text for text in texts if rule.encode(text, add_special_tokens=False).ids), texts[0])
  alone, pair = rule.encode(text), rule.encode(text, text)
  of_alone, of_a, of_b = (
    [place for place, of in enumerate(encoding.sequence_ids) if of == number]
    for encoding, number in ((alone, 0), (pair, 0), (pair, 1))
  )
  if not (of_alone and of_a and of_b):
    raise DataError('the tokenizer yields no token for a letter: how it frames texts is not known')
  return Frame(
    tuple(alone.ids[: of_alone[0]]),
    tuple(alone.ids[of_alone[-1] + 1 :]),
    tuple(pair.ids[: of_a[0]]),
    tuple(pair.ids[of_a[-1] + 1 : of_b[0]]),
    tuple(pair.ids[of_b[-1] + 1 :]),
    pair.type_ids[of_b[0]],
  )


def framed_json(tokenizer: Tokenizer, frame: Frame) -> str:
  """The text of a tokenizer.json whose rule is that frame."""
  copy = tokenizers.Tokenizer.from_str(tokenizer.plain_json())
  named = [[tokenizer.token(index) for index in part] for part in frame[:5]]
  before, after, first, between, last = named
  kind = frame.type
  copy.post_processor = processors.TemplateProcessing(
    single=[*before, '$A', *after],
    pair=[*first, '$A', *between, f'$B:{kind}', *(f'{name}:{kind}' for name in last)],
    special_tokens=[(name, copy.token_to_id(name)) for name in {*itertools.chain(*named)}],
  )
  return copy.to_str(pretty=True)
