"""What the outputs of a head for labels mean: what a prediction and an export need to know."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.errors import WeightsError

# Kind -> head.
HEADS = dict(
  text='sequence',
  pair='sequence',
  words='tokens',
  question='span',
  choices='sequence',
  ranked='sequence',
)
_CHOICES = dict(
  kind=('', *HEADS),
  labels=('class', 'several', 'number', 'span', 'choice'),
  pooling=('first', 'last', 'mean'),
)


class Labels(NamedTuple):
  """The labels of a model.

  Attributes:
    kind: text | pair | words | question | choices | ranked, what has a label; '' of published
      classifiers, which may read one text or two.
    labels: class | several | number | span | choice, as `data.tasks.labelled.Task` has them.
    classes: their names, by index; one name where labels are numbers.
    pooling: which token states stand for a text.
    max_length: tokens that a row had in training, at most; 0 = as many as the model reads.
    framed: texts stand in bos A eos [B eos], as training here has them; else as the
      tokenizer's own rule has them.
    null_threshold: of questions: by how much no answer must lead to be said; None: never.
  """

  kind: str
  labels: str
  classes: tuple[str, ...]
  pooling: str
  max_length: int
  framed: bool
  null_threshold: float | None = None


def read(record: Mapping[str, Any], where: str) -> Labels:
  """Labels as a file has them.

  Args:
    record: the fields, and maybe others.
    where: the path of the file, for messages.

  Raises:
    WeightsError: a field is missing, or is not one that can be.
  """
  if not isinstance(record, Mapping):
    raise WeightsError(f'{where}: the labels are {str(record)[:40]}, which is no object.')
  for name, known in _CHOICES.items():
    if record.get(name) not in known:
      raise WeightsError(f'{where}: {name} is {record.get(name)!r}, none of {", ".join(known)}.')
  classes, length = record.get('classes'), record.get('max_length')
  if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
    raise WeightsError(f'{where}: classes is no list of names.')
  if twice := sorted({name for name in classes if classes.count(name) > 1}):
    raise WeightsError(f'{where}: two labels have one name, {twice[0]!r}. Name them apart.')
  if not isinstance(length, int) or isinstance(length, bool) or length < 0:
    raise WeightsError(f'{where}: max_length is {length!r}, which is no number of tokens.')
  null = record.get('null_threshold')
  if null is not None and type(null) not in (int, float):
    raise WeightsError(f'{where}: null_threshold is {null!r}, which is no number.')
  return Labels(
    record['kind'],
    record['labels'],
    tuple(classes),
    record['pooling'],
    length,
    bool(record.get('framed', True)),
    null,
  )
