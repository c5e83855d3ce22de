"""The tokens around the one or two texts of a row."""

import itertools
from typing import NamedTuple

import numpy as np
import tokenizers
from tokenizers import processors

from data.errors import DataError
from data.tokens.tokenizer import Tokenizer


class Frame(NamedTuple):
  """Ids before, between and after texts: `before` A `after`, `before` A `between` B `after`.

  Attributes:
    type: of the tokens of B and of what comes after; those before have 0.
  """

  before: tuple[int, ...]
  between: tuple[int, ...]
  after: tuple[int, ...]
  type: int

  def size(self, texts: int) -> int:
    """Tokens of the frame itself, around one text or two."""
    return len(self.before) + len(self.after) + (len(self.between) if texts == 2 else 0)

  def lay(self, parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(ids, types) of a row with one text or two."""
    if len(parts) == 1:
      ids = np.array([*self.before, *parts[0], *self.after], np.int32)
      return ids, np.zeros_like(ids)
    first = [*self.before, *parts[0], *self.between]
    second = [*parts[1], *self.after]
    types = [0] * len(first) + [self.type] * len(second)
    return np.array([*first, *second], np.int32), np.array(types, np.int32)


def of_training(tokenizer: Tokenizer) -> Frame:
  """bos A eos [B eos], as rows are laid in training here."""
  return Frame((tokenizer.bos,), (tokenizer.eos,), (tokenizer.eos,), 1)


def own(tokenizer: Tokenizer) -> Frame:
  """What the rule of a published tokenizer puts around texts; nothing where it puts nothing.

  Raises:
    DataError: it frames a text alone otherwise than one of two.
  """
  rule = tokenizers.Tokenizer.from_str(tokenizer.plain_json())
  texts = ('a', '.', '1', tokenizer.decode([int(tokenizer.named_V.argmax())]))
  text = next((text for text in texts if rule.encode(text, add_special_tokens=False).ids), texts[0])
  pair = rule.encode(text, text)
  of_a, of_b = ([i for i, of in enumerate(pair.sequence_ids) if of == text] for text in (0, 1))
  if not of_a or not of_b:
    raise DataError('the tokenizer yields no token for a letter: how it frames texts is not known')
  before, between = pair.ids[: of_a[0]], pair.ids[of_a[-1] + 1 : of_b[0]]
  frame = Frame(
    tuple(before), tuple(between), tuple(pair.ids[of_b[-1] + 1 :]), pair.type_ids[of_b[0]]
  )
  alone = rule.encode(text, add_special_tokens=False).ids
  if rule.encode(text).ids != [*frame.before, *alone, *frame.after]:
    raise DataError('the tokenizer frames a text alone otherwise than one of two')
  return frame


def framed_json(tokenizer: Tokenizer, frame: Frame) -> str:
  """The text of a tokenizer.json whose rule is that frame."""
  copy = tokenizers.Tokenizer.from_str(tokenizer.plain_json())
  before, between, after = ([tokenizer.token(index) for index in part] for part in frame[:3])
  names = dict.fromkeys(itertools.chain(before, between, after))
  kind = frame.type
  copy.post_processor = processors.TemplateProcessing(
    single=[*before, '$A', *after],
    pair=[*before, '$A', *between, f'$B:{kind}', *(f'{name}:{kind}' for name in after)],
    special_tokens=[(name, copy.token_to_id(name)) for name in names],
  )
  return copy.to_str(pretty=True)
