"""Reads what sentence-transformers puts around a Transformer: pooling, projection, length, prompts.

Each key of its files is read, or must have the one value that is computed here, or changes no
vector; any other one is refused by name. Source: sentence-transformers 6.2.
"""

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from inference.sentences import Sentences
from interop import sentence_modules
from interop.files import Tensor
from interop.sentence_modules import check, optional
from interop.sentence_texts import max_length
from models.config import ModelConfig
from runtime import json_file
from runtime.errors import WeightsError

MODULES = 'modules.json'
SETTINGS = 'config_sentence_transformers.json'
_OTHERS = ('CrossEncoder', 'SparseEncoder', 'MultiVectorEncoder')
_KNOWN = ('Transformer', 'Pooling', 'Dense', 'Normalize', 'Dropout')  # dropout: in training only


class Module(NamedTuple):
  """A line of modules.json: the name of its class, with its package if not known; its folder."""

  kind: str
  folder: Path


class Found(NamedTuple):
  """What a folder says besides its Transformer.

  Attributes:
    fields: of the ModelConfig.
    projection: its parameters by our paths.
    sentences: without what the tokenizer puts around a text; None: it is no sentence encoder.
    notes: what its user should know.
  """

  fields: dict[str, Any]
  projection: dict[str, Tensor]
  sentences: Sentences | None
  notes: tuple[str, ...]


def trunk(directory: Path) -> Path:
  """Where config.json, weights and tokenizer of a folder lie: in the folder of its Transformer.

  Raises:
    WeightsError: modules.json cannot be read, or begins with another module.
  """
  modules = _modules(directory)
  if not modules or _other(directory) and modules[0].kind != 'Transformer':
    return directory
  _check_known(directory / MODULES, modules[:1])
  if modules[0].kind != 'Transformer':
    raise WeightsError(
      f'{directory / MODULES} begins with {modules[0].kind}; what is read begins with Transformer.'
    )
  return modules[0].folder


def read(directory: Path, config: ModelConfig, model_type: str) -> Found:
  """What the files of sentence-transformers say; nothing where there are none.

  Args:
    config: of the Transformer.

  Raises:
    WeightsError: a module, a key or a value changes the vectors in a way that is not computed here.
  """
  modules = _modules(directory)
  if not modules:
    return Found({}, {}, None, ())
  if other := _other(directory):
    note = f'{SETTINGS} says {other}: its modules are not read, as if it were a Transformer alone.'
    return Found({}, {}, None, (note,))
  settings = optional(directory / SETTINGS)
  _check_known(directory / MODULES, modules)
  _check_order(directory / MODULES, modules)
  sentences = _sentences(settings, directory / SETTINGS)
  length = max_length(modules[0].folder, config, model_type)
  fields: dict[str, Any] = dict(pooling=sentence_modules.pooling(modules[1].folder / 'config.json'))
  projection = {}
  for module in modules[2:]:
    if module.kind == 'Dense':
      more, projection = sentence_modules.dense(module.folder, config)
      fields |= more
    elif module.kind == 'Normalize':
      sentence_modules.normalize(module.folder)
      fields['unit_vectors'] = True
  return Found(fields, projection, sentences._replace(max_length=length), ())


def _other(directory: Path) -> str | None:
  """Which other model of the library a folder holds; None: a sentence encoder.

  Raises:
    WeightsError: it is none that is known.
  """
  kind = optional(directory / SETTINGS).get('model_type', 'SentenceTransformer')
  if kind not in ('SentenceTransformer', *_OTHERS):
    raise WeightsError(f'{directory / SETTINGS} has model_type={kind!r}, which is not known here.')
  return None if kind == 'SentenceTransformer' else kind


def _modules(directory: Path) -> list[Module]:
  """The lines of modules.json; [] where there is none."""
  path = directory / MODULES
  if not path.exists():
    return []
  lines = json_file.read_list(path, refuse=WeightsError, todo='Copy it again.')
  modules = [_module(line, directory) for line in lines]
  if not modules:
    raise WeightsError(f'{path} names no module.')
  names = [line.get('name') for line in lines]
  if len(set(map(str, names))) < len(names):
    raise WeightsError(f'{path} has two modules of one name: {names}. Give each its own.')
  return modules


def _module(line: Any, directory: Path) -> Module:
  path = directory / MODULES
  if not isinstance(line, dict) or not all(
    isinstance(line.get(key), str) for key in ('type', 'path')
  ):
    raise WeightsError(f'{path} has a line without type and path: {line!r:.100}.')
  if line.get('kwargs'):
    raise WeightsError(f'{path} has kwargs={line["kwargs"]!r:.100} of a module; none are passed.')
  inside = PurePosixPath(line['path'])
  if inside.is_absolute() or '..' in inside.parts or '\\' in line['path'] or '\0' in line['path']:
    raise WeightsError(f'{path} names {line["path"]!r}, which is not within the folder.')
  package, _, kind = line['type'].rpartition('.')
  ours = package.startswith('sentence_transformers.') and kind in _KNOWN
  folder = directory / line['path'] if line['path'] else directory
  return Module(kind if ours else line['type'], folder)


def _check_known(path: Path, modules: list[Module]):
  """Raises WeightsError, with its type, for a module that is not computed here."""
  for module in modules:
    if module.kind not in _KNOWN:
      raise WeightsError(
        f'{path} has a module of type {module.kind!r}, which is not computed here; known are '
        f'{", ".join(_KNOWN)} of sentence_transformers.'
      )


def _check_order(path: Path, modules: list[Module]):
  """Raises WeightsError unless it is Transformer, Pooling, Dense or not, Normalize or not."""
  kinds = [module.kind for module in modules if module.kind != 'Dropout']
  allowed = (['Dense'], [])
  rest = kinds[2:]
  while rest and rest[-1] == 'Normalize':  # twice is once
    rest.pop()
  if kinds[1:2] != ['Pooling'] or modules[1].kind != 'Pooling' or rest not in allowed:
    raise WeightsError(
      f'{path} has the modules {", ".join(module.kind for module in modules)}; computed here are '
      'Transformer, Pooling, then at most one Dense, then Normalize or not.'
    )


def _sentences(settings: dict[str, Any], path: Path) -> Sentences:
  """Prompts, dimensions and similarity; the length of texts is not known yet."""
  inert = ('model_type', '__version__', 'requirements')
  read = ('prompts', 'default_prompt_name', 'similarity_fn_name', 'truncate_dim')
  check(settings, path, read=(*inert, *read), must={})
  prompts = settings.get('prompts', {})
  if not isinstance(prompts, dict) or not all(
    isinstance(text, str | None) for text in prompts.values()
  ):
    raise WeightsError(f'{path} has prompts={prompts!r:.100}; they must be texts by name.')
  prompts = dict(query='', document='') | {name: text or '' for name, text in prompts.items()}
  default = settings.get('default_prompt_name')
  if default is not None and (not isinstance(default, str) or default not in prompts):
    raise WeightsError(
      f'{path} has default_prompt_name={default!r}, and prompts of the names {", ".join(prompts)}.'
    )
  size = settings.get('truncate_dim')
  if size is not None and (type(size) is not int or size < 1):
    raise WeightsError(f'{path} has truncate_dim={size!r}, which is no number of dimensions.')
  similarity = settings.get('similarity_fn_name')
  known = ('cosine', 'dot', 'euclidean', 'manhattan')
  return Sentences(
    (), (), 0, prompts, default, size, similarity if similarity in known else 'cosine'
  )
