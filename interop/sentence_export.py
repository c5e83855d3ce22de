"""Writes what sentence-transformers needs around a Transformer, in its layout from 5.4 on."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from inference.model import Model
from interop import files, sentence_folders, sentence_modules, sentence_texts
from models.pooling import blind
from runtime.errors import WeightsError

_BASE, _SENTENCES = (
  'sentence_transformers.base.modules',
  'sentence_transformers.sentence_transformer',
)
_TYPES = dict(
  Transformer=f'{_BASE}.transformer.Transformer',
  Pooling=f'{_SENTENCES}.modules.pooling.Pooling',
  Dense=f'{_BASE}.dense.Dense',
  Normalize=f'{_BASE}.normalize.Normalize',
)
_POOLINGS = {ours: theirs for theirs, ours in sentence_modules.POOLINGS.items()}
_ACTIVATIONS = {
  ours: f'torch.nn.modules.{"linear" if name == "Identity" else "activation"}.{name}'
  for name, ours in sentence_modules.ACTIVATIONS.items()
}
_NAMES = dict(module_input_name='sentence_embedding', module_output_name='sentence_embedding')


def problem(fields: dict[str, Any], mask: str) -> str | None:
  """Why sentence-transformers has no such vectors; None where it has them.

  Args:
    fields: of the ModelConfig.
  """
  if blind(mask, fields['pooling']):
    return (
      f"pooling 'first' under a {mask} mask: the first token sees nothing of the text that it "
      'would stand for'
    )
  if fields['projection'] and fields['projection_activation'] not in _ACTIVATIONS:
    return f'no class of torch.nn is the activation {fields["projection_activation"]}'
  return None


def check(model: Model):
  """Raises WeightsError where sentence-transformers has no such vectors."""
  if reason := problem(vars(model.config), model.mask):
    raise WeightsError(f'{model.source} is not exported for sentence-transformers: {reason}.')
  model.need_projection()


def write(model: Model, to: Path):
  """Writes modules.json and the folder of each module after the Transformer.

  A model of which nothing says how its vectors are compared gets a Normalize, as tools.embed does
  by default.
  """
  config, of_vectors = model.config, {'vector', 'pair'} & set(model.heads)
  modules: list[tuple[str, dict[str, Any] | None]] = [('Transformer', None)]
  pooling = dict(
    embedding_dimension=config.width,
    pooling_mode=_POOLINGS[config.pooling],
    include_prompt=True,
  )
  modules.append(('Pooling', pooling))
  if config.projection:
    modules.append(('Dense', _dense(model)))
  if config.unit_vectors or not of_vectors and model.sentences is None:
    modules.append(('Normalize', _NAMES))
  lines = []
  for index, (kind, settings) in enumerate(modules):
    path = f'{index}_{kind}' if index else ''
    lines.append(dict(idx=index, name=str(index), path=path, type=_TYPES[kind]))
    if settings is not None:
      (to / path).mkdir()
      _json(to / path / 'config.json', settings)
    if kind == 'Dense':
      files.save_tensors(_projection(model), to / path / 'model.safetensors')
  _json(to / sentence_folders.MODULES, lines)
  _json(to / sentence_texts.TRANSFORMER, sentence_modules.PLAIN)
  _json(to / sentence_folders.SETTINGS, _settings(model))


def _dense(model: Model) -> dict[str, Any]:
  """The config.json of a projection."""
  config = model.config
  sizes = dict(in_features=config.width, out_features=config.projection, bias=config.bias)
  return sizes | dict(activation_function=_ACTIVATIONS[config.projection_activation]) | _NAMES


def _projection(model: Model) -> dict[str, np.ndarray]:
  """The tensors of a projection by their names."""
  names = dict(kernel='linear.weight', bias='linear.bias')
  return {names[name]: np.asarray(x).T for name, x in model.params['vector']['projection'].items()}


def _settings(model: Model) -> dict[str, Any]:
  """The content of config_sentence_transformers.json; 5.4 is the first version with this layout."""
  known = model.sentences
  return dict(
    __version__=dict(sentence_transformers='5.4.0'),
    model_type='SentenceTransformer',
    prompts=known.prompts if known else dict(query='', document=''),
    default_prompt_name=known.default_prompt if known else None,
    similarity_fn_name=known.similarity if known else 'cosine',
    **(dict(truncate_dim=model.truncate_dim) if model.truncate_dim else {}),
  )


def _json(path: Path, value: Any):
  path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
