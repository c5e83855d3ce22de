"""Converts weights between our layout and Hugging Face's, without arithmetic on any value."""

import math
from typing import NamedTuple

import numpy as np

from interop import files, ties
from interop.families import Family
from interop.files import Tensor
from runtime.errors import WeightsError

# Ends of names of constants that some files hold and the code recomputes.
_CONSTANTS = ('position_ids', '.attn.bias', '.attn.masked_bias', 'rotary_emb.inv_freq')
_OLD_ENDS = {'LayerNorm.gamma': 'LayerNorm.weight', 'LayerNorm.beta': 'LayerNorm.bias'}
_HEADLESS = ('embeddings', 'trunk', 'pool')  # parameters of a model without a head
# Suffix of a class of transformers for fine-tuning -> our head.
CLASSIFIERS = dict(
  ForSequenceClassification='sequence', ForTokenClassification='tokens', ForQuestionAnswering='span'
)
CHOICES = 'ForMultipleChoice'  # scores each answer with the head of a text
_SHOWN = 12  # names per list in a message


class StoredAs(NamedTuple):
  """How Hugging Face stores one of our parameters.

  Attributes:
    name: of the tensor, without the trunk's prefix; `{}` is the layer's number.
    part: (i, n): the parameter is the i-th of n equal parts of the tensor's output axis.
    kind: 'same': the same array; 'vector': stored with one axis; 'kernel': stored with two.
    input_axes: how many of our kernel's axes, from the first, are inputs.
    conv: a kernel is stored input x output; of GPT-2's layers, not of its heads.
  """

  name: str
  part: tuple[int, int]
  kind: str
  input_axes: int
  conv: bool = False


def stored_as(family: Family, path: str) -> StoredAs:
  """Returns how a family stores the parameter at one of our paths.

  Raises:
    WeightsError: the family has no such parameter.
  """
  module, _, leaf = path.rpartition('/')
  if path in family.table:
    return StoredAs(family.table[path], part=(0, 1), kind='same', input_axes=0)
  if f'{module}/*' not in family.table:
    raise WeightsError(
      f'the {family.prefix.rstrip(".")} layout of Hugging Face has no place for {path}.'
    )
  name, _, part = family.table[f'{module}/*'].partition('@')
  index, _, parts = part.partition('/')
  return StoredAs(
    f'{name}.{"bias" if leaf == "bias" else "weight"}',
    part=(int(index or 0), int(parts or 1)),
    kind='kernel' if leaf == 'kernel' else 'vector',
    input_axes=2 if module.endswith('attention/output') else 1,
    conv=family.conv and path.startswith('trunk/'),
  )


def plain_names(family: Family, tensors: dict[str, Tensor], where: str) -> dict[str, Tensor]:
  """Returns the tensors under current names without the trunk's prefix.

  Old files have TensorFlow's names for a norm's weight and bias, `LayerNorm.gamma` and `.beta`.

  Args:
    where: the directory, for messages.

  Raises:
    WeightsError: two names are those of one tensor, and their values differ.
  """
  named: dict[str, Tensor] = {}
  origin: dict[str, str] = {}
  for name in sorted(tensors):
    prefixes = (family.prefix, *family.prefixes.values())
    prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), '')
    plain = name.removeprefix(prefix)
    for old, new in _OLD_ENDS.items():
      plain = plain.removesuffix(old) + new if plain.endswith(old) else plain
    if plain in named and not files.equal(named[plain], tensors[name]):
      raise WeightsError(
        f'{where} holds one tensor under two names, with different values: {origin[plain]} and '
        f'{name}. Remove the wrong one.'
      )
    named[plain], origin[plain] = tensors[name], name
  return named


def heads_in(
  family: Family, tensors: dict[str, Tensor], architecture: str, tie: bool = True
) -> tuple[str, ...]:
  """Returns the heads whose parameters are among the tensors.

  Heads for fine-tuning share names of tensors, so of these the class name decides.

  Args:
    tensors: as `plain_names` returns them.
    architecture: name of the class in config.json; '' if it has none.
    tie: the output is the token embedding; else a class without a head has no output at all.
  """
  bare = not tie and architecture.endswith('Model') and not architecture.endswith('LMHeadModel')
  suffixes = CLASSIFIERS | ({} if family.choices is None else {CHOICES: 'sequence'})
  tuned = [
    head
    for suffix, head in suffixes.items()
    if architecture.endswith(suffix) and f'{head}/classifier/*' in family.table
  ]
  # a causal model writes, unless its class is one for labels or has no output
  writes = not tuned and not (bare and ties.output(family) not in tensors)
  heads = [
    head
    for head, shown_by in family.heads.items()
    if (writes if shown_by is None else shown_by in tensors)
  ]
  heads += tuned
  # A classifier includes the pooler, which is then no head by itself.
  poolers = {family.table.get(f'{head}/pooler/*') for head in heads}
  if 'pool' in heads and family.table['pool/dense/*'] in poolers:
    heads.remove('pool')
  return tuple(heads)


def classes_in(
  family: Family, tensors: dict[str, Tensor], heads: tuple[str, ...]
) -> dict[str, int]:
  """Returns {'classes': n} of a model with a head for fine-tuning, {} of one without."""
  for head in set(heads) & set(CLASSIFIERS.values()):
    weight = tensors.get(family.table[f'{head}/classifier/*'] + '.weight')
    if weight is not None and weight.shape:
      return dict(classes=weight.shape[0])
  return {}


def import_parameters(
  family: Family, shapes: dict[str, tuple[int, ...]], tensors: dict[str, Tensor], where: str
) -> dict[str, np.ndarray]:
  """Returns our parameters by path, float32.

  Args:
    shapes: shape of every parameter of the network, by path; those of blocks begin with L unless
      layers are shared.
    tensors: as `ties.resolve` returns them.
    where: the directory, for messages.

  Raises:
    WeightsError: tensors are missing, left over or of another shape; the message lists them.
  """
  missing, misshapen = [], []
  wanted: dict[str, list[str]] = {}  # path -> name of the tensor of each layer
  for path, shape in shapes.items():
    stored = stored_as(family, path)
    layers = _numbers(path, shape, shapes) if '{}' in stored.name else (0,)
    wanted[path] = [stored.name.format(layer) for layer in layers]
    expected = _stored_shape(stored, shape[1:] if '{}' in stored.name else shape)
    for name in wanted[path]:
      if name not in tensors:
        missing.append(f'{name} {expected}, our {path}')
      elif tensors[name].shape != expected:
        misshapen.append(f'{name} {tensors[name].shape}, expected {expected}, our {path}')
  used = {name for names in wanted.values() for name in names}
  left = [name for name in tensors.keys() - used if not name.endswith(_CONSTANTS)]
  params: dict[str, np.ndarray] = {}
  if not missing and not misshapen:
    for path, names in wanted.items():
      stored = stored_as(family, path)
      if '{}' in stored.name:
        layers = [_ours(stored, tensors[name].read(), shapes[path][1:]) for name in names]
        params[path] = np.stack(layers)
      else:
        params[path] = _ours(stored, tensors[names[0]].read(), shapes[path])
  if missing or misshapen or left:
    raise WeightsError(
      '\n'.join(
        [
          f'{where} does not hold the model that its config.json describes:',
          *_listed('missing', missing),
          *_listed('of another shape', misshapen),
          *_listed('left over', [f'{name} {tensors[name].shape}' for name in sorted(left)]),
        ]
      )
    )
  return params


def export_parameters(
  family: Family, params: dict[str, np.ndarray], heads: tuple[str, ...]
) -> dict[str, np.ndarray]:
  """Returns their tensors by name: the inverse of `import_parameters`, bit for bit.

  The trunk's names have the family's prefix if the model has a head.

  Args:
    heads: of the model; one that is tied has no parameters of its own.

  Raises:
    WeightsError: the family has no such parameter.
  """
  found: dict[str, list[tuple[StoredAs, np.ndarray]]] = {}  # name -> the parts of the tensor
  other = next((family.prefixes[head] for head in heads if head in family.prefixes), None)
  prefix = (other or family.prefix) if set(heads) - set(_HEADLESS) else ''
  shapes = {path: x.shape for path, x in params.items()}
  for path, x in params.items():
    stored = stored_as(family, path)
    of_head = path.split('/')[0] not in _HEADLESS and not stored.name.startswith('pooler')
    stacked = '{}' in stored.name
    numbers = _numbers(path, x.shape, shapes) if stacked else (0,)
    for layer, part in zip(numbers, x if stacked else [x], strict=True):
      name = ('' if of_head else prefix) + stored.name.format(layer)
      found.setdefault(name, []).append((stored, part))
  theirs = {name: _theirs(parts) for name, parts in found.items()}
  copy = ties.bias_copy(family)
  if copy and 'mlm/kernel' in params:  # an output of its own reads the copy
    theirs[copy] = theirs[family.table['mlm/bias']]
  return theirs


def _numbers(path: str, shape: tuple[int, ...], shapes: dict[str, tuple[int, ...]]) -> range:
  """The layers that a stacked array has a row of: a first layer may lack its norm."""
  L = shapes['trunk/blocks/attention/query/kernel'][0]
  return range(L - shape[0], L)


def _has(params: dict[str, np.ndarray], head: str) -> bool:
  return any(path.startswith(f'{head}/') for path in params)


def _stored_shape(stored: StoredAs, shape: tuple[int, ...]) -> tuple[int, ...]:
  """Returns the shape of their tensor, from that of one layer of our parameter."""
  parts = stored.part[1]
  if stored.kind == 'same':
    return shape
  if stored.kind == 'vector':
    return (math.prod(shape) * parts,)
  inputs = math.prod(shape[: stored.input_axes])
  outputs = math.prod(shape[stored.input_axes :]) * parts
  return (inputs, outputs) if stored.conv else (outputs, inputs)


def _ours(stored: StoredAs, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """Returns one layer of our parameter from their tensor."""
  x = x.T if stored.kind == 'kernel' and not stored.conv else x
  index, parts = stored.part
  x = np.split(x, parts, axis=-1)[index] if parts > 1 else x
  return np.ascontiguousarray(x).reshape(shape)


def _theirs(parts: list[tuple[StoredAs, np.ndarray]]) -> np.ndarray:
  """Returns their tensor from all of its parts, which may come in any order."""
  flat = []
  for stored, x in sorted(parts, key=lambda pair: pair[0].part):
    if stored.kind == 'kernel':
      x = x.reshape(math.prod(x.shape[: stored.input_axes]), -1)
    flat.append(x.reshape(-1) if stored.kind == 'vector' else x)
  x = np.concatenate(flat, axis=-1)
  return np.ascontiguousarray(x.T if parts[0][0].kind == 'kernel' and not parts[0][0].conv else x)


def _listed(title: str, lines: list[str]) -> list[str]:
  """Returns a titled list for a message, at most _SHOWN lines of it."""
  if not lines:
    return []
  more = [f'    and {len(lines) - _SHOWN} more'] if len(lines) > _SHOWN else []
  return [f'  {title}:', *(f'    {line}' for line in lines[:_SHOWN]), *more]
