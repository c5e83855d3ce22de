"""Reads pooling, projection and normalisation of a sentence encoder, and names what is not done.

Each key is read, or must have the one value that is computed here; any other one is refused.
"""

from pathlib import Path
from typing import Any

import numpy as np

from interop import files
from interop.files import Tensor
from models.config import ModelConfig
from runtime import storage
from runtime.errors import WeightsError

# Their name of a pooling -> ours.
POOLINGS = dict(
  cls='first',
  max='max',
  mean='mean',
  mean_sqrt_len_tokens='mean_sqrt_len_tokens',
  weightedmean='weighted_mean',
  lasttoken='last',
)
# Keys of before 5.4, in the order in which they are concatenated.
_OLD_POOLINGS = dict(
  pooling_mode_cls_token='cls',
  pooling_mode_max_tokens='max',
  pooling_mode_mean_tokens='mean',
  pooling_mode_mean_sqrt_len_tokens='mean_sqrt_len_tokens',
  pooling_mode_weightedmean_tokens='weightedmean',
  pooling_mode_lasttoken='lasttoken',
)
# Class of torch.nn -> activation of a projection.
ACTIVATIONS = dict(Tanh='tanh', Identity='identity', ReLU='relu', GELU='gelu', SiLU='silu')
_TORCH = ('torch.nn.', 'torch.nn.modules.activation.', 'torch.nn.modules.linear.')
# Of sentence_bert_config.json: the last layer of a stock class, of text alone.
PLAIN = dict(
  transformer_task='feature-extraction',
  modality_config=dict(text=dict(method='forward', method_output_name='last_hidden_state')),
  module_output_name='token_embeddings',
)
# Key -> the values with which it changes nothing; it may also be absent.
_POOLING_MUST: dict[str, tuple] = dict(include_prompt=(True,))
_DENSE_MUST: dict[str, tuple] = dict(
  use_residual=(False,),
  module_input_name=('sentence_embedding',),
  module_output_name=('sentence_embedding', None),
)
_NORMALIZE_MUST = {key: _DENSE_MUST[key] for key in ('module_input_name', 'module_output_name')}


def pooling(path: Path) -> str:
  """Our name of the pooling in its config.json."""
  found = files.read_json(path)
  read = ('pooling_mode', 'embedding_dimension', 'word_embedding_dimension', *_OLD_POOLINGS)
  check(found, path, read=read, must=_POOLING_MUST)
  old = [mode for key, mode in _OLD_POOLINGS.items() if found.get(key)] or ['mean']
  modes = found.get('pooling_mode', old)
  modes = modes if isinstance(modes, list) else [modes]
  if len(modes) != 1:
    raise WeightsError(
      f'{path} has several poolings side by side, pooling_mode={modes}; one is computed here.'
    )
  if not isinstance(modes[0], str) or modes[0] not in POOLINGS:
    raise WeightsError(
      f'{path} has pooling_mode={modes[0]!r}; these are known: {", ".join(POOLINGS)}.'
    )
  return POOLINGS[modes[0]]


def dense(folder: Path, config: ModelConfig) -> tuple[dict[str, Any], dict[str, Tensor]]:
  """(fields, parameters) of a projection."""
  path = folder / 'config.json'
  found = files.read_json(path)
  read = ('in_features', 'out_features', 'bias', 'activation_function')
  check(found, path, read=read, must=_DENSE_MUST)
  name = found.get('activation_function', 'torch.nn.modules.activation.Tanh')
  package, _, kind = str(name).rpartition('.')
  if f'{package}.' not in _TORCH or kind not in ACTIVATIONS:
    raise WeightsError(
      f'{path} has activation_function={name!r}; these of torch.nn are known: '
      f'{", ".join(ACTIVATIONS)}.'
    )
  bias, size = found.get('bias', True), found.get('out_features')
  if not isinstance(bias, bool) or type(size) is not int or not 0 < size <= 1 << 24:
    raise WeightsError(f'{path} has bias={bias!r} and out_features={size!r}.')
  if bias and not config.bias:
    raise WeightsError(
      f'{path} has bias=True; the linear maps of this network have none, its projection neither.'
    )
  tensors = files.open_tensors(storage.local(folder))
  expected = {'linear.weight': (size, config.width)} | ({'linear.bias': (size,)} if bias else {})
  shapes = {name: tensor.shape for name, tensor in tensors.items()}
  if shapes != expected:
    raise WeightsError(f'{folder} holds {shapes}; expected are {expected}.')
  kernel = tensors['linear.weight']
  parameters = {
    'vector/projection/kernel': Tensor((config.width, size), lambda: kernel.read().T.copy())
  }
  if config.bias:
    zeros = Tensor((size,), lambda: np.zeros(size, np.float32))
    parameters['vector/projection/bias'] = tensors['linear.bias'] if bias else zeros
  return dict(projection=size, projection_activation=ACTIVATIONS[kind]), parameters


def normalize(folder: Path):
  """Checks the config.json of a normalisation, which old folders do not have."""
  path = folder / 'config.json'
  check(optional(path), path, read=(), must=_NORMALIZE_MUST)


def optional(path: Path) -> dict[str, Any]:
  """The JSON object in a file; {} where there is none."""
  return files.read_json(path) if path.exists() else {}


def check(found: dict[str, Any], where: Any, *, read: tuple, must: dict[str, tuple]):
  """Raises WeightsError for a key that is not known, or a value that is not computed here."""
  for key, value in found.items():
    if key not in read and key not in must:
      raise WeightsError(
        f'{where} has the key {key!r}, which is not known here. It may change the vectors, so it '
        'is not ignored. Remove it if you know that it does not.'
      )
    values = must.get(key, (value,))
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in values):
      raise WeightsError(
        f'{where} has {key}={value!r}, which changes the vectors; computed here is {values[0]!r}.'
      )
