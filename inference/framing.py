"""What stands around the texts that a model with labels reads, and what pads them."""

import warnings

from data.tokens import frames
from data.tokens.frames import Frame
from inference.model import Model


def of(model: Model) -> Frame:
  """The frame of a model with labels: that of training here, or of its tokenizer's own rule.

  Raises:
    DataError: it is not known.
  """
  tokenizer = model.need_tokenizer()
  if not model.labels.framed and tokenizer.adds_special_tokens:
    return frames.own(tokenizer)
  if model.labels.framed or model.mask != 'causal':
    return frames.of_training(tokenizer)
  return frames.NONE


def text(model: Model) -> str:
  """The text of a tokenizer.json with that frame; B has type 1 only where the model has types."""
  frame = of(model)
  frame = frame._replace(type=frame.type if model.config.segment_types > 1 else 0)
  return frames.framed_json(model.need_tokenizer(), frame)


def padding(model: Model) -> int | None:
  """The id that pads texts for the class of transformers that a model is exported to.

  Causal classes read the last token of a row that is no padding. So nothing that ends a text can be
  padding; without padding they read one text at a time, which is said.
  """
  pad = model.need_tokenizer().pad
  if model.mask != 'causal' or 'sequence' not in model.heads:
    return pad
  if pad is None or pad in (*of(model).after, *of(model).last):
    warnings.warn(
      'the tokenizer has no token that only pads: the exported class reads one text at a time.',
      stacklevel=3,
    )
    return None
  return pad
