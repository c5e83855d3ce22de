"""What fine-tuning takes from `config.init_from` and from the task: network, tokenizer, classes."""

from typing import Any, NamedTuple

from configs import base
from configs.schema import check, grid
from configs.schema.check import ConfigError
from data.groups import files as groups
from data.tasks import open_task
from data.tokens.vocabulary_files import NAMES
from interop import sentence_folders
from models.pooling import blind
from objectives.mix import module_of
from runtime import storage, workdir
from runtime.errors import StateError
from training import published

# Fields of config.model that are a run's own: they change no parameter and what a text means.
_OWN = {
  'dropout',
  'attention_dropout',
  'head_dropout',
  'attention',
  'dtype',
  'scan',
  'last_layer',
  'remat',
  'classes',
}
# How tokens become a vector: a run on groups of texts goes on as its origin does it.
_VECTORS = ('pooling', 'projection', 'projection_activation', 'unit_vectors')


class Origin(NamedTuple):
  """What a folder says of the model in it.

  Attributes:
    model: fields of its ModelConfig.
    tokenizer: path of its file; '' where there is none.
    lowercase: for a vocab.txt.
  """

  model: dict[str, Any]
  mask: str
  tokenizer: str
  lowercase: bool


def settle(config):
  """The config of a fine-tuning run with what its task and its `init_from` say, checked, locked.

  A config without a task and without groups of texts is returned as it is.

  Raises:
    ConfigError: a field contradicts them.
    DataError: the task cannot be read.
    StateError, WeightsError: `init_from` holds no model.
  """
  if not (config.data.task or config.data.groups):
    return config
  settled = config.copy_and_resolve_references()
  with settled.unlocked():
    if config.init_from:
      origin = origin_of(config.init_from)
      _take(settled, origin)
      if config.data.groups:
        _take_vectors(settled, origin)
    if config.data.groups:
      _learn_groups(settled)
      check.check(settled)
      return settled.lock()
    task = open_task.load(config.data)
    _fits(settled, task)
    # two ends of an answer, a score of a choice or a number
    classes = dict(span=2).get(task.labels, max(1, len(task.classes)))
    _set(settled, 'classes', classes, f'data.task={config.data.task}')
    if settled.finetune.pooling == 'auto':
      settled.finetune.pooling = 'last' if settled.mask == 'causal' else 'first'
  _check_pooling(settled)
  check.check(settled)
  return settled.lock()


def _learn_groups(config):
  """Writes into the config what the groups say: how many classes their pairs have."""
  if grid.group_labels(config) == 'class':
    classes = groups.classes(groups.load(config.data.groups))
    _set(config, 'classes', max(1, len(classes)), f'data.groups={config.data.groups}')


def origin_of(source: str) -> Origin:
  """What a run's workdir, an import or a Hugging Face directory says of its model."""
  workdir.check_origin(source)
  folder = storage.resolve_path(source, 'config.init_from')
  within = sentence_folders.trunk(folder)
  found = [name for name in NAMES if (within / name).exists()]
  tokenizer = str(within / found[0]) if found else ''
  if published.is_huggingface(folder):
    described = published.describe_huggingface(folder)
    return Origin(vars(described.config), described.family.mask, tokenizer, lowercase=True)
  config = workdir.read_config(folder)
  return Origin(config.model.to_dict(), config.mask, tokenizer, config.data.lowercase)


def _take(config, origin: Origin):
  """Writes into the config what it has of its origin."""
  where = f'init_from={config.init_from}'
  for name, value in origin.model.items():
    plain = name == 'plain_heads' and config.model[name]  # which is asked of a new head
    if name not in (*_OWN, *_VECTORS) and not plain:
      _set(config, name, value, where)
  if config.mask == 'same':
    config.mask = origin.mask
  default = base.get_config().data.tokenizer
  if not origin.tokenizer:
    raise StateError(
      f'config.init_from={config.init_from} has no tokenizer.json: what its embeddings stand for '
      'is not known.'
    )
  if config.data.tokenizer == default:
    config.data.tokenizer = origin.tokenizer
    config.data.lowercase = origin.lowercase
  context = origin.model['max_length'] - origin.model['position_offset']
  config.data.sequence_length = min(config.data.sequence_length, context)


def _take_vectors(config, origin: Origin):
  """Writes how tokens become a vector, where the config does not ask for another way.

  The classifier of nli reads pooled vectors, so a projection is left behind there.
  """
  default = base.get_config().model
  for name in _VECTORS:
    left = name.startswith('projection') and 'nli' in config.objectives
    if config.model[name] == default[name] and not left:
      config.model[name] = origin.model[name]


def _set(config, name: str, value, where: str):
  """Sets a field of config.model, unless somebody asked for another value."""
  asked = config.model[name]
  if asked not in (value, base.get_config().model[name]):
    raise ConfigError(f'config.model.{name}={asked!r}: it is {value!r} in config.{where}.')
  config.model[name] = value


def _fits(config, task):
  """Raises ConfigError unless the objective can learn the labels of the task."""
  for name in grid.labelled(config):
    if task.kind not in module_of(name).TASKS:
      raise ConfigError(
        f'config.data.task={config.data.task}: its examples are {task.kind}, and {name} is for '
        f'{" and ".join(module_of(name).TASKS)}.'
      )
  if config.finetune.class_weights == 'balanced' and task.labels != 'class':
    raise ConfigError(
      "config.finetune.class_weights='balanced' is for tasks with one class an example; the labels "
      f'of {config.data.task} are of the kind {task.labels!r}.'
    )


def _check_pooling(config):
  """Raises ConfigError if the state that stands for a text has not seen it."""
  reads_texts = any('sequence' in module_of(name).HEADS for name in grid.labelled(config))
  if reads_texts and blind(config.mask, config.finetune.pooling):
    raise ConfigError(
      "config.finetune.pooling='first' under a causal mask reads a token that has seen nothing of "
      "the text: use 'last' or 'mean', or config.mask='bidirectional'."
    )
