"""Weights in the layout of Hugging Face, in and out: every number is moved, none is computed."""

import math
from typing import NamedTuple

import numpy as np

from interop.families import Family
from interop.files import Tensor
from runtime.errors import WeightsError

# What files carry beside the parameters: constants that the code makes anew.
_CONSTANTS = ('position_ids', '.attn.bias', '.attn.masked_bias', 'rotary_emb.inv_freq')
# The heads of transformers' classes for fine-tuning.
_HEADLESS = ('embeddings', 'trunk', 'pool')  # what a model without a head has
CLASSIFIERS = dict(
  ForSequenceClassification='sequence', ForTokenClassification='tokens', ForQuestionAnswering='span'
)
_SHOWN = 12  # names in a message


class Place(NamedTuple):
  """Where a parameter of ours lies on their side.

  Attributes:
    name: of the tensor, without the trunk's prefix; `{}` is the layer.
    part: (i, n): it is the i-th of n equal parts of the tensor's outputs.
    kind: 'same' array; 'vector', theirs with one axis; or 'kernel', theirs with two.
    reads: how many of a kernel's axes are inputs.
  """

  name: str
  part: tuple[int, int]
  kind: str
  reads: int


def place(family: Family, path: str) -> Place:
  """Where the parameter at a path of ours lies."""
  module, _, leaf = path.rpartition('/')
  if path in family.table:
    return Place(family.table[path], (0, 1), 'same', 0)
  if f'{module}/*' not in family.table:
    raise WeightsError(
      f'the {family.prefix.rstrip(".")} layout of Hugging Face has no place for {path}.'
    )
  name, _, part = family.table[f'{module}/*'].partition('@')
  index, _, of = part.partition('/')
  return Place(
    f'{name}.{"bias" if leaf == "bias" else "weight"}',
    (int(index or 0), int(of or 1)),
    'kernel' if leaf == 'kernel' else 'vector',
    2 if module.endswith('attention/output') else 1,
  )


def plain_names(family: Family, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
  """Tensors by today's names without the trunk's prefix:
  TensorFlow called weight gamma and bias beta.
  """

  def plain(name: str) -> str:
    name = name.removeprefix(family.prefix)
    for old, new in (('.gamma', '.weight'), ('.beta', '.bias')):
      name = name.removesuffix(old) + new if name.endswith(old) else name
    return name

  named = {plain(name): tensor for name, tensor in tensors.items()}
  for name in [name for name in named if name.endswith('.decoder.bias')]:
    # the one in use; the other is its copy, or idle
    named[name.replace('.decoder.bias', '.bias')] = named.pop(name)
  return named


def heads_in(family: Family, tensors: dict[str, Tensor], architecture: str) -> tuple[str, ...]:
  """The heads whose parameters are there; of those for
  fine-tuning, which share names, the one of the class.
  """
  heads = [
    head for head, shown_by in family.heads.items() if shown_by is None or shown_by in tensors
  ]
  heads += [
    head
    for suffix, head in CLASSIFIERS.items()
    if architecture.endswith(suffix) and f'{head}/classifier/*' in family.table
  ]
  # a classifier brings its pooler along
  brought = {family.table.get(f'{head}/pooler/*') for head in heads}
  return tuple(
    head for head in heads if head != 'pool' or family.table['pool/dense/*'] not in brought
  )


def classes_in(
  family: Family, tensors: dict[str, Tensor], heads: tuple[str, ...]
) -> dict[str, int]:
  """The field `classes` of a model with a head for fine-tuning; none of one without."""
  for head in set(heads) & set(CLASSIFIERS.values()):
    weight = tensors.get(family.table[f'{head}/classifier/*'] + '.weight')
    if weight is not None and weight.shape:
      return dict(classes=weight.shape[0])
  return {}


def import_parameters(
  family: Family, shapes: dict[str, tuple[int, ...]], tensors: dict[str, Tensor], where: str
) -> dict[str, np.ndarray]:
  """Our parameters by path, float32, from tensors by plain names.

  Args:
    shapes: of every parameter of the network, by path; those of
      blocks begin with L unless layers are shared.

  Raises:
    WeightsError: tensors are missing, left over or of another shape; both sides are listed.
  """
  missing, misshapen = [], []
  wanted: dict[str, list[str]] = {}  # path -> names of its layers
  for path, shape in shapes.items():
    spot = place(family, path)
    layers = shape[0] if '{}' in spot.name else 1
    wanted[path] = [spot.name.format(layer) for layer in range(layers)]
    stored = _stored_shape(family, spot, shape[1:] if '{}' in spot.name else shape)
    for name in wanted[path]:
      if name not in tensors:
        missing.append(f'{name} {stored}, our {path}')
      elif tensors[name].shape != stored:
        misshapen.append(f'{name} {tensors[name].shape}, expected {stored}, our {path}')
  used = {name for names in wanted.values() for name in names}
  left = [name for name in tensors.keys() - used if not name.endswith(_CONSTANTS)]
  params: dict[str, np.ndarray] = {}
  if not missing and not misshapen:
    for path, names in wanted.items():
      spot = place(family, path)
      if '{}' in spot.name:
        params[path] = np.stack(
          [_ours(family, spot, tensors[name].read(), shapes[path][1:]) for name in names]
        )
      else:
        params[path] = _ours(family, spot, tensors[names[0]].read(), shapes[path])
    # A tied output is stored twice by some: a true copy is no more than that.
    originals = [params[path] for path in ('embeddings/token', 'mlm/bias') if path in params]
    left = [
      name
      for name in left
      if not any(
        tensors[name].shape == x.shape and np.array_equal(tensors[name].read(), x)
        for x in originals
      )
    ]
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


def export_parameters(family: Family, params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Their tensors from our parameters: `import_parameters` backwards, bit for bit.

  In a model with a head for tokens or sentence pairs the trunk's names have its prefix.

  Raises:
    WeightsError: a parameter has no place in the family's layout.
  """
  found: dict[str, list[tuple[Place, np.ndarray]]] = {}
  # A tied head of a causal model has no parameters of its
  # own, and such a model always has the head.
  headed = family.mask == 'causal' or any(path.split('/')[0] not in _HEADLESS for path in params)
  prefix = family.prefix if headed else ''
  for path, x in params.items():
    spot = place(family, path)
    head = path.split('/')[0] not in _HEADLESS and not spot.name.startswith('pooler')
    for layer, one in enumerate(x if '{}' in spot.name else [x]):
      found.setdefault(('' if head else prefix) + spot.name.format(layer), []).append((spot, one))
  return {name: _theirs(family, parts) for name, parts in found.items()}


def _stored_shape(family: Family, spot: Place, shape: tuple[int, ...]) -> tuple[int, ...]:
  if spot.kind == 'same':
    return shape
  if spot.kind == 'vector':
    return (math.prod(shape) * spot.part[1],)
  inputs, outputs = math.prod(shape[: spot.reads]), math.prod(shape[spot.reads :]) * spot.part[1]
  return (inputs, outputs) if family.conv else (outputs, inputs)


def _ours(family: Family, spot: Place, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  x = x.T if spot.kind == 'kernel' and not family.conv else x
  index, of = spot.part
  x = np.split(x, of, axis=-1)[index] if of > 1 else x
  return np.ascontiguousarray(x).reshape(shape)


def _theirs(family: Family, parts: list[tuple[Place, np.ndarray]]) -> np.ndarray:
  flat = []
  for spot, x in sorted(parts, key=lambda part: part[0].part):
    if spot.kind == 'kernel':
      x = x.reshape(math.prod(x.shape[: spot.reads]), -1)
    flat.append(x.reshape(-1) if spot.kind == 'vector' else x)
  x = np.concatenate(flat, axis=-1)
  return np.ascontiguousarray(x.T if parts[0][0].kind == 'kernel' and not family.conv else x)


def _listed(title: str, lines: list[str]) -> list[str]:
  if not lines:
    return []
  more = [f'    and {len(lines) - _SHOWN} more'] if len(lines) > _SHOWN else []
  return [f'  {title}:', *(f'    {line}' for line in lines[:_SHOWN]), *more]
