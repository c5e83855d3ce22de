"""Tensors of an output that may be one with others, as transformers 5 ties them (`tie_weights`)."""

from typing import NamedTuple

from interop.families import Family
from interop.files import Tensor, equal


class Tied(NamedTuple):
  """Tensors after the question which of them are one.

  Attributes:
    tensors: by name; none of them is a copy.
    tie: whether the output is the token embedding.
    notes: for people, what was decided where config.json and tensors disagree.
  """

  tensors: dict[str, Tensor]
  tie: bool
  notes: tuple[str, ...]


def resolve(family: Family, tensors: dict[str, Tensor], tie: bool) -> Tied:
  """Returns the tensors without copies.

  Args:
    tensors: as `huggingface.plain_names` returns them.
    tie: `tie_word_embeddings` of config.json.
  """
  tensors, notes = dict(tensors), []
  bias, copy = family.table.get('mlm/bias'), bias_copy(family)
  if copy in tensors:
    # The output adds the copy. Where both are there and differ, they are not tied.
    if tie and bias in tensors and not equal(tensors[bias], tensors[copy]):
      notes.append(f'{copy} and {bias} differ: {copy} is used, as transformers does.')
    tensors[bias] = tensors.pop(copy)
  elif copy and bias in tensors and not tie:
    notes.append(
      f'{copy} is absent: {bias} is used, as transformers 4 does; transformers 5 starts at zero.'
    )
  token = family.table['embeddings/token']
  kernel = output(family)
  if tie and kernel in tensors and token not in tensors:
    tensors[token] = tensors.pop(kernel)
  elif tie and kernel in tensors and equal(tensors[kernel], tensors[token]):
    del tensors[kernel]
  elif tie and kernel in tensors:
    tie = False
    notes.append(
      f'config.json ties {kernel} to {token}, but their values differ: both are used, as '
      'transformers does.'
    )
  return Tied(tensors, tie, tuple(notes))


def output(family: Family) -> str:
  """Returns the name of the kernel that predicts tokens."""
  return family.table.get('mlm/kernel') or family.table['clm/kernel']


def bias_copy(family: Family) -> str | None:
  """Returns the second name of the output's bias, None where the family has one name only."""
  kernel = family.table.get('mlm/kernel', '')
  return kernel.replace('.weight', '.bias') if kernel.endswith('.decoder.weight') else None
