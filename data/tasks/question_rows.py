"""Questions with windows of their context: bos question eos window eos, as many as the text needs.

Devlin et al. 2019, 4.2; windows overlap, so that each answer is whole in one of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.errors import DataError
from data.tasks.rows import Framed
from data.tokens.tokenizer import Tokenizer

_LONGEST_QUESTION = 64  # tokens, as in BERT's run_squad.py; never more than half a row


class Window(NamedTuple):
  """A question with a part of its context.

  Attributes:
    owner: number of the question.
    texts: question and whole context.
    label: (first, last) token of the answer, counted from the window's bos; (0, 0), which is bos,
      where the answer is not in this part; None where no answer is known.
    first: where its part of the context begins, counted from bos.
    span_Tx2: the characters of each token of the part, (start, stop).
  """

  owner: int
  texts: tuple[str, str]
  label: tuple[int, int] | None
  first: int
  span_Tx2: np.ndarray


def frame(
  questions: Sequence, tokenizer: Tokenizer, *, max_length: int, stride: int
) -> tuple[list[Window], Framed]:
  """(windows of the questions in their order, their tokens).

  Args:
    questions: each has `texts`, (question, context), and `label`, as data.tasks.squad.Question.
    max_length: tokens of a window with its question.
    stride: tokens that a window shares with the one before.

  Raises:
    DataError: `max_length` has no room.
  """
  if max_length < 16:
    raise DataError(f'windows of {max_length} tokens have no room for a question and a text')
  asked = tokenizer.encode([each.texts[0] for each in questions])
  different = list(dict.fromkeys(each.texts[1] for each in questions))
  contexts = dict(zip(different, tokenizer.encode_with_spans(different)))
  windows, parts, cut = [], [], 0
  for owner, (question, ids) in enumerate(zip(questions, asked)):
    context, span_Nx2 = contexts[question.texts[1]]
    kept = ids[: min(_LONGEST_QUESTION, max_length // 2 - 2)]
    cut += len(kept) < len(ids)
    room = max_length - len(kept) - 3
    step = room - min(stride, room // 2)
    answer = _answer(question, span_Nx2)
    for start in range(0, max(1, len(context) - room + step), step):
      part = context[start : start + room]
      label = answer and _inside(answer, start, len(part), len(kept) + 2)
      span = span_Nx2[start : start + room]
      windows.append(Window(owner, question.texts, label, len(kept) + 2, span))
      parts.append([kept, part])
  return windows, Framed(parts, cut, None)


def _answer(question, span_Nx2: np.ndarray) -> tuple[int, int] | None:
  """(first, last) token of the answer in the context; (-1, -1): there is none; None: not known."""
  if question.label is None:
    return None
  if not question.label.texts:
    return (-1, -1)
  start = question.label.start
  stop = start + len(question.label.texts[0])
  inside = np.flatnonzero((span_Nx2[:, 1] > start) & (span_Nx2[:, 0] < stop))
  return (int(inside[0]), int(inside[-1])) if len(inside) else (-1, -1)


def _inside(answer: tuple[int, int], start: int, size: int, first: int) -> tuple[int, int]:
  """Where an answer stands in a window of the context; (0, 0) where it does not, or not whole."""
  if answer[0] < start or answer[1] >= start + size:
    return (0, 0)
  return (first + answer[0] - start, first + answer[1] - start)
