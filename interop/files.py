"""Reads an untrusted Hugging Face directory: JSON and safetensors only, nothing is executed.

Refused: pickles, paths that leave the directory, JSON that is too large or too deep, damaged
safetensors.
"""

from collections.abc import Callable, Iterator
import functools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from runtime import json_file
from runtime.errors import WeightsError

_PICKLES = ('.bin', '.pt', '.pth', '.ckpt', '.pkl', '.pickle', '.npy', '.npz', '.h5', '.msgpack')
_INDEX_BYTES = 64 << 20  # limit; the index of a large model has some hundred thousand names
NAMED = 'transformers_weights'  # key of config.json: the file of weights
_WHOLE, _INDEX_ENDING = 'model.safetensors', '.safetensors.index.json'
_INDEX = f'model{_INDEX_ENDING}'
_DTYPES = ('F64', 'F32', 'F16', 'BF16')


class Tensor(NamedTuple):
  """A tensor of a file that is read on demand.

  Attributes:
    read: returns the array as float32.
  """

  shape: tuple[int, ...]
  read: Callable[[], np.ndarray]


def read_json(path: Path, *, largest: int = json_file.LARGEST) -> dict[str, Any]:
  """Reads a JSON object of at most so many bytes.

  Raises:
    WeightsError: there is no such file, or it is too large, or holds no JSON object.
  """
  if not path.is_file():
    raise WeightsError(f'{path.parent} has no {path.name}.')
  return json_file.read_object(
    path, refuse=WeightsError, todo='Copy it again from where it came from.', largest=largest
  )


def open_tensors(directory: Path, named: str | None = None) -> dict[str, Tensor]:
  """Returns the floating-point tensors of a directory by name, from one safetensors file or many.

  Args:
    named: as `weight_files` takes it.

  Raises:
    WeightsError: there is no safetensors file, or one is damaged or outside the directory.
  """
  tensors: dict[str, Tensor] = {}
  for path in weight_files(directory, named):
    for name, tensor in _open(path):
      if name in tensors:
        raise WeightsError(f'{path} holds {name}, which another file of {directory} holds too.')
      tensors[name] = tensor
  return tensors


def equal(one: Tensor, other: Tensor) -> bool:
  """Whether two tensors have the same shape and values."""
  return one.shape == other.shape and np.array_equal(one.read(), other.read())


def numbers(tensors: dict[str, Tensor]) -> int:
  """Returns how many numbers some tensors hold together."""
  return sum(math.prod(tensor.shape) for tensor in tensors.values())


def save_tensors(tensors: dict[str, np.ndarray], path: Path):
  """Writes a safetensors file, marked as format 'pt', which transformers requires."""
  contiguous = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
  save_file(contiguous, path, metadata=dict(format='pt'))


def weight_files(directory: Path, named: str | None = None) -> list[Path]:
  """Returns the safetensors files of a directory that are read, in the order of transformers 5.

  The file that config.json names, else model.safetensors, else those in the index. Nothing beside
  them is read: no pytorch_model.bin, no other variant (model.fp16.safetensors).

  Args:
    named: `transformers_weights` of config.json.

  Raises:
    WeightsError: there is none, or one is not within the directory.
  """
  if (directory / 'adapter_config.json').exists():
    raise WeightsError(
      f'{directory} has an adapter (adapter_config.json), which is not applied here. Merge it into '
      'the weights with peft (merge_and_unload), or remove the file.'
    )
  if named is not None:
    if not isinstance(named, str) or not named.endswith(('.safetensors', _INDEX_ENDING)):
      raise WeightsError(f'{directory} names transformers_weights={named!r}; it is no safetensors.')
    index = named.endswith(_INDEX_ENDING)
    return _indexed(directory, named) if index else [_contained(directory, named)]
  if (directory / _WHOLE).exists():
    return [_contained(directory, _WHOLE)]
  if (directory / _INDEX).exists():
    return _indexed(directory, _INDEX)
  raise WeightsError(_no_weights(directory))


def _indexed(directory: Path, name: str) -> list[Path]:
  """Returns the files in an index of safetensors files."""
  index = directory / name
  files = read_json(index, largest=_INDEX_BYTES).get('weight_map')
  if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
    raise WeightsError(f'{index} has no weight_map from tensors to files.')
  return [_contained(directory, file) for file in sorted(set(files.values()))]


def _no_weights(directory: Path) -> str:
  """Returns why a directory has no weights that can be read."""
  beside = sorted(path.name for path in directory.iterdir())
  variants = [name for name in beside if name.startswith('model.') and '.safetensors' in name]
  pickles = [name for name in beside if name.endswith(_PICKLES)]
  if variants:
    return (
      f'{directory} has no {_WHOLE}, only a variant of it: {", ".join(variants[:3])}. Rename the '
      f'one you want to {_WHOLE}.'
    )
  if pickles:
    return (
      f'{directory} has no {_WHOLE}, only {", ".join(pickles[:3])}. Such files can run code when '
      'they are opened, so they are not. Where you trust them, save the model anew with '
      'transformers: model.save_pretrained(DIR, safe_serialization=True).'
    )
  return f'{directory} has neither {_WHOLE} nor {_INDEX}.'


def _contained(directory: Path, name: str) -> Path:
  """Returns the path of a file in the directory; raises WeightsError if it lies elsewhere.

  In a cache of the hub, files are links from snapshots/ID, and from its folders, into blobs/ of the
  same repository.
  """
  root = directory.resolve()
  for within in (root, root.parent):
    if within.parent.name == 'snapshots':
      root = within.parent.parent
      break
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
