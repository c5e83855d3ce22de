"""Reads an untrusted Hugging Face directory: JSON and safetensors only, nothing is executed.

Refused: pickles, paths that leave the directory, JSON that is too large or too deep, damaged
safetensors.
"""

from collections.abc import Callable, Iterator
import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from runtime.errors import WeightsError

_PICKLES = ('.bin', '.pt', '.pth', '.ckpt', '.pkl', '.pickle', '.npy', '.npz', '.h5', '.msgpack')
_JSON_BYTES = 64 << 20  # limit; the index of a large model has some hundred thousand names
_DTYPES = ('F64', 'F32', 'F16', 'BF16')


class Tensor(NamedTuple):
  """A tensor of a file that is read on demand.

  Attributes:
    read: returns the array as float32.
  """

  shape: tuple[int, ...]
  read: Callable[[], np.ndarray]


def read_json(path: Path) -> dict[str, Any]:
  """Reads a JSON object.

  Raises:
    WeightsError: there is no such file, or it is too large, or holds no JSON object.
  """
  if not path.is_file():
    raise WeightsError(f'{path.parent} has no {path.name}.')
  # `length` is of an etils path, `st_size` of a pathlib path.
  size = getattr(path.stat(), 'length', None) or path.stat().st_size
  if size > _JSON_BYTES:
    raise WeightsError(f'{path} has {size:,} bytes; a {path.name} is small.')
  try:
    value = json.loads(path.read_text(encoding='utf-8'))
  except (ValueError, RecursionError) as error:
    raise WeightsError(f'{path} is no JSON: {str(error)[:200] or type(error).__name__}.') from error
  if not isinstance(value, dict):
    raise WeightsError(f'{path} holds no JSON object.')
  return value


def open_tensors(directory: Path) -> dict[str, Tensor]:
  """Returns the floating-point tensors of a directory by name, from one safetensors file or many.

  Raises:
    WeightsError: there is no safetensors file, or one is damaged or outside the directory.
  """
  tensors: dict[str, Tensor] = {}
  for path in _files(directory):
    for name, tensor in _open(path):
      if name in tensors:
        raise WeightsError(f'{path} holds {name}, which another file of {directory} holds too.')
      tensors[name] = tensor
  return tensors


def save_tensors(tensors: dict[str, np.ndarray], path: Path):
  """Writes a safetensors file, marked as format 'pt', which transformers requires."""
  contiguous = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
  save_file(contiguous, path, metadata=dict(format='pt'))


def _files(directory: Path) -> list[Path]:
  """Returns the safetensors files of a directory: those in its index, or the only one."""
  whole, index = directory / 'model.safetensors', directory / 'model.safetensors.index.json'
  if index.exists():
    names = read_json(index).get('weight_map')
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
      raise WeightsError(f'{index} has no weight_map from tensors to files.')
    return [_contained(directory, name) for name in sorted(set(names.values()))]
  if whole.exists():
    return [_contained(directory, whole.name)]
  pickles = sorted(path.name for path in directory.iterdir() if path.suffix in _PICKLES)
  if pickles:
    raise WeightsError(
      f'{directory} has no model.safetensors, only {", ".join(pickles[:3])}. Such files can run '
      'code when they are opened, so they are not. Where you trust them, save the model anew with '
      'transformers: model.save_pretrained(DIR, safe_serialization=True).'
    )
  raise WeightsError(f'{directory} has neither model.safetensors nor model.safetensors.index.json.')


def _contained(directory: Path, name: str) -> Path:
  """Returns the path of a file in the directory; raises WeightsError if it lies elsewhere.

  In a cache of the hub, files are links from snapshots/ID into blobs/ of the same repository.
  """
  root = directory.resolve()
  if root.parent.name == 'snapshots':
    root = root.parent.parent
  path = (directory / name).resolve()
  if Path(name).name != name or not path.is_relative_to(root) or not name.endswith('.safetensors'):
    raise WeightsError(
      f'{directory} names {name!r} as a file of weights; it must be a .safetensors file within it.'
    )
  if not path.is_file():
    raise WeightsError(f'{directory} lacks {name}, which its index names.')
  return path


def _open(path: Path) -> Iterator[tuple[str, Tensor]]:
  """Yields (name, tensor) of each floating-point tensor of a safetensors file."""
  try:
    file = safe_open(path, framework='numpy')

    def read(name: str) -> np.ndarray:
      return file.get_tensor(name).astype(np.float32)

    for name in file.keys():
      part = file.get_slice(name)
      if part.get_dtype() in _DTYPES:
        yield name, Tensor(tuple(part.get_shape()), functools.partial(read, name))
  except (SafetensorError, OSError, ValueError) as error:
    raise WeightsError(f'{path} is damaged: {error}.') from error
