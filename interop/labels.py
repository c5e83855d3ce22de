"""Names of labels in a Hugging Face config.json: id2label and problem_type."""

from typing import Any

from inference.labels import Labels, read
from runtime.errors import WeightsError

# Our kind of label -> what transformers calls the problem.
PROBLEMS = {
  'class': 'single_label_classification',
  'several': 'multi_label_classification',
  'number': 'regression',
}
# `classifier_pooling`, which families.read has checked -> what a classifier of texts reads.
_POOLINGS = dict(cls='first', mean='mean')
# Head -> what has a label. The head of a text that scores answers is `choices` here.
KINDS = dict(sequence='', tokens='words', span='question', choices='choices')
_NAMELESS = dict(span=('span', 2), choices=('choice', 1))  # head -> what its outputs are, how many


def read_labels(theirs: dict[str, Any], head: str, outputs: int, mask: str, where: str) -> Labels:
  """The labels of a published classifier.

  Without a problem_type one output is a number, and several are classes, as the loss of
  transformers has it.

  Args:
    head: one of KINDS.
    outputs: how many the classifier has.
    mask: of the family: a causal model is read at its last token.
    where: the path of config.json, for messages.

  Raises:
    WeightsError: the names are not one for each output.
  """
  pooling = 'last' if mask == 'causal' else _POOLINGS.get(theirs.get('classifier_pooling'), 'first')
  frame = dict(pooling=pooling, max_length=0, framed=False)
  if head in _NAMELESS:  # its outputs are no classes, whatever names a file has for them
    kind, wanted = _NAMELESS[head]
    if outputs != wanted:
      raise WeightsError(f'{where}: the head has {outputs} outputs, and {wanted} are read here.')
    return read(dict(kind=KINDS[head], labels=kind, classes=[]) | frame, where)
  names = theirs.get('id2label')
  if names is None:
    names = {str(index): f'LABEL_{index}' for index in range(outputs)}
  if not isinstance(names, dict) or {*names} != {str(index) for index in range(outputs)}:
    raise WeightsError(
      f'{where} has id2label={str(names)[:80]}, and its classifier {outputs} outputs: each needs a '
      'name, 0 to the last.'
    )
  problem = theirs.get('problem_type')
  kinds = {name: kind for kind, name in PROBLEMS.items()}
  kinds[None] = 'number' if outputs == 1 and head == 'sequence' else 'class'
  if problem not in kinds:
    raise WeightsError(
      f'{where} has problem_type={problem!r}; these are known: {", ".join(PROBLEMS.values())}.'
    )
  kind = 'class' if head == 'tokens' else kinds[problem]
  if kind == 'number' and outputs > 1:
    raise WeightsError(f'{where} is a regression of {outputs} numbers; one is what is read here.')
  return read(
    dict(
      kind=KINDS[head],
      labels=kind,
      classes=[str(names[str(index)]) for index in range(outputs)],
    )
    | frame,
    where,
  )


def write_labels(labels: Labels | None, outputs: int) -> dict[str, Any]:
  """id2label, label2id and problem_type; names that are not known are LABEL_0, LABEL_1, ...

  Nothing of a head whose outputs are no classes.
  """
  if labels is not None and labels.labels in ('span', 'choice'):
    return {}
  names = labels.classes if labels else ()
  if len(names) != outputs:
    names = tuple(f'LABEL_{index}' for index in range(outputs))
  # of a head for words no class reads it
  known = labels is not None and labels.kind != 'words' and labels.labels in PROBLEMS
  problem = dict(problem_type=PROBLEMS[labels.labels]) if known else {}
  return problem | dict(
    id2label={str(index): name for index, name in enumerate(names)},
    label2id={name: index for index, name in enumerate(names)},
  )
