"""Checks a config before anything is built. It takes a second, because nothing here imports jax."""

import difflib
import hashlib
import json
import math
import re

import ml_collections

from configs import base
from configs.schema import cells, names, shapes
from configs.schema.errors import ConfigError, require
from configs.schema.foreign import FOREIGN
from configs.schema.ranges import CHOICES, LARGEST, RANGES
from configs.schema.upgrade import renamed, without_unused


def check(config: ml_collections.ConfigDict):
  """Checks that every field is known, has its type and range, and fits the other fields.

  Raises:
    ConfigError: for the first field that does not.
  """
  fields = flatten(config)
  _known_and_typed(fields, flatten(base.get_config()))
  _choices(config, fields)
  objective_names(list(config.objectives))
  for name, (low, high) in RANGES.items():
    allowed = f'must be from {low} to {LARGEST if high is None else high}'
    require(low <= fields[name] <= (high or LARGEST), name, fields[name], allowed)
  for name in ('mlm.rate', 'validation.rate'):
    require(0 < fields[name] < 1, name, fields[name], 'a share between 0 and 1, both excluded')
  for name in ('model.norm_epsilon', 'optimizer.epsilon'):
    require(0 < fields[name] < 1, name, fields[name], 'must be above 0 and below 1')
  require(
    bool(re.fullmatch(r'\w[\w.-]*', config.name)),
    'name',
    config.name,
    'it names a folder: letters, digits, _, - and dots',
  )
  try:
    cells.check(config)
  except ValueError as error:
    raise ConfigError(str(error)) from error
  require(
    config.mlm.masked + config.mlm.random <= 1 + 1e-9,
    'mlm.random',
    config.mlm.random,
    f'masked + random must be at most 1, and masked is {config.mlm.masked}',
  )
  require(
    not config.mlm.smoothing
    or config.mlm.unit == 'token'
    and not (config.data.task or config.data.groups),
    'mlm.smoothing',
    config.mlm.smoothing,
    "is for single tokens of a corpus: mlm.unit='token', and neither data.task nor data.groups",
  )
  shapes.check(config)
  _schedules(config)


def resolve(config) -> dict:
  """Returns the config as plain JSON with every field."""
  return json.loads(config.to_json())


def config_hash(resolved: dict) -> str:
  """Returns the SHA-256 of a resolved config, in hexadecimal.

  It does not change when a version brings a new knob, so a run keeps its name.
  """
  used = without_unused(resolved)
  return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()


def from_resolved(resolved: dict) -> ml_collections.ConfigDict:
  """Returns a checked and locked config from the JSON of a workdir; no code is executed.

  Raises:
    ConfigError: it is not a config of this version.
  """
  if not isinstance(resolved, dict):
    raise ConfigError(f'a resolved config is a JSON object, not {type(resolved).__name__}.')
  _known_and_typed(flatten(resolved), flatten(base.get_config()))
  objectives = resolved.get('objectives')
  require(isinstance(objectives, dict), 'objectives', objectives, 'must name objectives')
  objective_names(list(objectives))
  config = ml_collections.ConfigDict(resolved)
  check(config)
  return config.lock()


def difference(old: dict, new: dict) -> list[tuple[str, object, object]]:
  """Returns (field, old value, new value) of every field that differs; None where it is missing."""
  old, new = flatten(old), flatten(new)
  names = sorted(old.keys() | new.keys())
  return [(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def covers(names: tuple[str, ...], field: str) -> bool:
  """Returns whether a field, or the group that it belongs to, is among the names."""
  return field in names or field.rpartition('.')[0] in names


def flatten(config, prefix: str = '') -> dict[str, object]:
  """Returns {'model.width': 768, ...}; values nested deeper than a config's groups stay whole."""
  fields = {}
  for name, value in config.items():
    group = isinstance(value, dict | ml_collections.ConfigDict) and prefix.count('.') < 2
    if group and (value or not prefix):  # what is empty within a group is a value, and a wrong one
      fields |= flatten(value, f'{prefix}{name}.')
    else:
      fields[prefix + name] = value
  return fields


def _known_and_typed(fields: dict, known: dict):
  """Checks names and types of flat fields against the defaults; none may be missing."""
  groups = {name.partition('.')[0] for name in known if '.' in name}
  for name, value in fields.items():
    if name.startswith('objectives.') and name.count('.') == 1:
      _weight(name, value, fields)
      continue
    require(name not in groups, name, value, 'is a group of fields; set them one by one')
    if name not in known and renamed(name):
      raise ConfigError(f'config.{name} has another name now: config.{renamed(name)}.')
    if name not in known:
      raise ConfigError(f'config.{name} is no knob; configs/base.py has them all.{_meant(name)}')
    default = known[name]
    fits = type(value) is type(default) or isinstance(default, float) and type(value) is int
    require(fits, name, value, f'must be {type(default).__name__}, as in {default!r}')
    require(
      not isinstance(value, float) or math.isfinite(value), name, value, 'must be a finite number'
    )
    require(not isinstance(value, str) or _nameable(value), name, value, 'no file has such a name')
  missing = [name for name in known if name not in fields and not name.startswith('objectives.')]
  if missing:
    raise ConfigError(
      f'config.{missing[0]} is missing: start from base.get_config(), change single fields.'
    )


def _weight(name: str, value, fields: dict):
  """Checks how much an objective counts; beside one that has a teacher it may be 0."""
  named = [field.partition('.')[2] for field in fields if field.startswith('objectives.')]
  taught = names.taught(one for one in named if one in names.objectives())
  may_be_0 = taught and name.partition('.')[2] not in taught
  require(
    type(value) in (int, float) and 0 <= value < math.inf and (value > 0 or bool(may_be_0)),
    name,
    value,
    'how much the objective counts, a number above 0'
    + (' (0 is for what is measured beside distill and not learned)' if value == 0 else ''),
  )


def _nameable(text: str) -> bool:
  """Whether a file may have this name; bytes that are not UTF-8 are surrogates, as in Python."""
  try:
    return b'\0' not in text.encode('utf-8', 'surrogateescape')
  except UnicodeEncodeError:
    return False


def nearest(name: str) -> list[str]:
  """The knobs that an unknown name may mean: the same name in another group, or a similar one."""
  known = flatten(base.get_config())
  leaf = name.replace('-', '_').rpartition('.')[2]
  same = {other for other in known if other.rpartition('.')[2] == leaf}
  same |= {FOREIGN[leaf]} if leaf in FOREIGN else set()
  if same:
    return sorted(same)
  by_leaf = {other.rpartition('.')[2]: other for other in known}
  close = difflib.get_close_matches(name, known, 1, 0.75)
  close = close or [by_leaf[one] for one in difflib.get_close_matches(leaf, by_leaf, 1, 0.75)]
  return close or difflib.get_close_matches(name, known, 1, 0.6)


def _meant(name: str) -> str:
  """A suggestion for an unknown name, as the end of a message."""
  near = nearest(name)
  return f' Did you mean {" or ".join(f"config.{one}" for one in near)}?' if near else ''


def _choices(config, fields: dict):
  """Checks that each knob with a few values has one of them."""
  cell = '+'.join((config.mask, *config.objectives))
  require(
    config.mask not in names.trainable(),
    'mask',
    config.mask,
    f'is an objective. A cell is MASK+OBJECTIVE, as in causal+clm, and this one is {cell}',
  )
  for name, choices in CHOICES.items():
    if name == 'mask' and not (config.data.task or config.data.groups):
      choices = [one for one in choices if one != 'same' or config.mask == one]
    value = fields[name]
    close = difflib.get_close_matches(value, choices, 1)
    hint = f'. Did you mean {close[0]}?' if close else ''
    require(value in choices, name, value, f'choose one of {", ".join(choices)}{hint}')


def objective_names(named: list[str]):
  """Raises ConfigError unless there is an objective, and train.py can train each of them."""
  facts, alone = names.trainable(), names.pretraining()
  known = ', '.join(name for name in alone if name not in names.taught(alone))
  require(bool(named), 'objectives', {}, f'name at least one of {known}')
  for name in named:
    if name not in facts:
      close = difflib.get_close_matches(name, facts, 1, 0.3)
      hint = f' Did you mean {close[0]}?' if close else ''
      raise ConfigError(f'config.objectives: {name!r} is none of {known}.{hint}')


def _schedules(config):
  """Checks the budget, the learning rate and the mesh."""
  optimizer = config.optimizer
  require(
    (config.budget == 'steps') == (config.budget_amount == 0),
    'budget_amount',
    config.budget_amount,
    f"how much of budget={config.budget!r} is spent; 0 with 'steps'",
  )
  by_layer = [
    name
    for name, plain in dict(layer_decay=1, frozen_layers=0, unfreeze_every=0).items()
    if optimizer[name] != plain
  ]
  require(
    not (by_layer and config.model.shared_layers),
    f'optimizer.{by_layer[0] if by_layer else ""}',
    optimizer[by_layer[0]] if by_layer else '',
    'layers that share their parameters (config.model.shared_layers) cannot differ in it',
  )
  require(
    optimizer.frozen_layers <= config.model.layers,
    'optimizer.frozen_layers',
    optimizer.frozen_layers,
    f'at most config.model.layers={config.model.layers}',
  )
  require(
    not config.validation.patience or bool(config.checkpoint.best),
    'validation.patience',
    config.validation.patience,
    'needs config.checkpoint.best, which says what is better, as loss or metric',
  )
  require(
    optimizer.warmup_steps < config.steps,
    'optimizer.warmup_steps',
    optimizer.warmup_steps,
    f'must be below steps={config.steps}, or the rate never reaches its peak. A tenth of the steps '
    f'is --config.optimizer.warmup_steps={config.steps // 10}',
  )
  require(
    optimizer.schedule != 'constant' or optimizer.final_share in (0, 1),
    'optimizer.final_share',
    optimizer.final_share,
    "0 with schedule='constant', whose rate does not fall; linear, cosine and wsd fall to a share",
  )
  require(
    optimizer.decay == 'linear' or optimizer.schedule == 'wsd',
    'optimizer.decay',
    optimizer.decay,
    "only schedule='wsd' falls so",
  )
  require(
    optimizer.name != 'stable_adamw' or optimizer.bias_correction,
    'optimizer.bias_correction',
    False,
    "name='stable_adamw' is published with it: True",
  )
  require(
    optimizer.name != 'muon' or optimizer.learning_rate > 0,
    'optimizer.learning_rate',
    optimizer.learning_rate,
    'must be above 0 with muon',
  )
  require(
    optimizer.name == 'muon' or optimizer.adam_learning_rate == 0,
    'optimizer.adam_learning_rate',
    optimizer.adam_learning_rate,
    "0 without optimizer.name='muon': then learning_rate is the one that counts",
  )
  for name, size in config.mesh.items():
    require(
      size >= 1 or size == -1, f'mesh.{name}', size, 'at least 1, or -1 for the devices that remain'
    )
  rest = [name for name, size in config.mesh.items() if size == -1]
  require(
    len(rest) <= 1,
    f'mesh.{rest[-1] if rest else ""}',
    -1,
    f'only one axis takes the devices that remain, not {" and ".join(rest)}',
  )
