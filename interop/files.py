"""A Hugging Face directory, opened without trust: JSON and
safetensors are read, nothing is ever executed.

Faults that are refused here: pickles, paths that leave the directory, JSON that is too large or too
deep, damaged safetensors.
"""

from collections.abc import Callable, Iterator
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from runtime.errors import WeightsError

_PICKLES = ('.bin', '.pt', '.pth', '.ckpt', '.pkl', '.pickle', '.npy', '.npz', '.h5', '.msgpack')
_JSON_BYTES = 64 << 20  # the index of a large model has some hundred thousand names
_DTYPES = ('F64', 'F32', 'F16', 'BF16')


class Tensor(NamedTuple):
  """A tensor of a file, not read yet."""

  shape: tuple[int, ...]
  read: Callable[[], np.ndarray]  # as float32


def read_json(path: Path) -> dict[str, Any]:
  """A JSON object.

  Raises:
    WeightsError: there is none, or it is none.
  """
  if not path.is_file():
    raise WeightsError(f'{path.parent} has no {path.name}.')
  # of a path on a store, of one here
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
  """Every tensor of a directory's safetensors files by name; sharded or in one file.

  Raises:
    WeightsError: there are none, or they are damaged, or a name leaves the directory.
  """
  tensors: dict[str, Tensor] = {}
  for path in _files(directory):
    for name, tensor in _open(path):
      if name in tensors:
        raise WeightsError(f'{path} holds {name}, which another file of {directory} holds too.')
      tensors[name] = tensor
  return tensors


def save_tensors(tensors: dict[str, np.ndarray], path: Path):
  """Writes a safetensors file that says, as readers of other
  kinds ask for, that torch may read it too.
  """
  save_file(
    {name: np.ascontiguousarray(x) for name, x in tensors.items()}, path, metadata=dict(format='pt')
  )


def _files(directory: Path) -> list[Path]:
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
  """The file of that name, if it lies in the directory: a hub cache
  links from snapshots/ID into its own blobs.
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
  try:
    file = safe_open(path, framework='numpy')
    for name in file.keys():
      part = file.get_slice(name)
      if part.get_dtype() in _DTYPES:
        yield (
          name,
          Tensor(
            tuple(part.get_shape()), lambda name=name: file.get_tensor(name).astype(np.float32)
          ),
        )
  except (SafetensorError, OSError, ValueError) as error:
    raise WeightsError(f'{path} is damaged: {error}.') from error
