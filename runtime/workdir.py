"""The folder of a run: one config, one corpus, and nothing that was there before lost.

config.json    the config that the run was started with, resolved
data.json      fingerprints of the corpus and of the tokenizer
lock.json      who trains here now (lock.py)
software.json  what it runs on (software.py)
result.json    what came of it, once a run is finished
before-N/      the files of an earlier run, which --restart moves aside
"""

import fnmatch
import itertools
import re

from etils import epath

from configs.base import FREE_ON_RESUME
from configs.schema import check
from configs.schema.upgrade import upgrade
from runtime import records, storage
from runtime.errors import StateError

# What a run writes into its folder: --restart moves these and nothing else.
_WRITTEN = (
  'config.json',
  'data.json',
  'software.json',
  'plan.json',
  'initial.json',
  'tokenizer.json',
  'data_report.json',
  'labels.json',
  'labels.png',
  'predictions_*.jsonl',
  'best',
  'learning_curve.png',
  'metrics.jsonl*',
  'metrics',
  'tensorboard',
  'checkpoints',
  'nan_step_*.npz',
  'curves.png',
  'result.json',
  'certificate.json',
  'evaluations.json',
)
# What a resolved config of every version has.
_GROUPS = {'objectives', 'model', 'data'}


def finished(directory: epath.PathLike, config: dict) -> dict | None:
  """The result of a run that has nothing left to do under this config, or None. Writes nothing.

  Raises:
    StateError: config.json or result.json is damaged.
  """
  directory = epath.Path(directory)
  result_path, config_path = directory / 'result.json', directory / 'config.json'
  if not (result_path.exists() and config_path.exists()):
    return None
  if upgrade(records.read_config(config_path)) != config:
    return None
  result = records.read_result(result_path)
  ended = result['step'] == config['steps'] or result.get('stopped_early')
  return result if ended else None


def check_config(
  directory: epath.PathLike, config: dict, *, restart: bool, allow_change: tuple[str, ...] = ()
):
  """Says no where `open_config` would, and writes nothing: to be asked before slow work.

  Raises:
    ConfigError: `allow_change` names a field that may not change.
    StateError: the folder holds another run, or files that no run of ours wrote.
  """
  directory = epath.Path(directory)
  for field in allow_change:
    if not check.covers(FREE_ON_RESUME, field):
      raise check.ConfigError(
        f'--allow_change={field}: only these may change when a run resumes: '
        f'{", ".join(FREE_ON_RESUME)}.'
      )
  old = _old_config(directory)
  if old is None or restart or not _begun(directory):
    return
  differences = check.difference(old, config)
  _check_differences(directory, differences, allow_change)
  if any(field == 'steps' for field, *_ in differences) and fixed_length(old):
    raise StateError(
      f'{directory}: the number of steps decides which cell, mask rate or length each past step '
      f'had, so this run cannot be extended. Begin another with config.init_from={directory}.'
    )


def open_config(
  directory: epath.PathLike,
  config: dict,
  *,
  restart: bool,
  allow_change: tuple[str, ...] = (),
  say=print,
):
  """Claims the folder for a config: checks it as `check_config` does, and writes config.json.

  A run that never made an update holds nobody up: its files are moved aside if the config differs.

  Args:
    restart: moves an earlier run aside first.
    allow_change: fields, or groups of them, that may differ.
    say: called with a line that says where an earlier run went.
  """
  directory = epath.Path(directory)
  check_config(directory, config, restart=restart, allow_change=allow_change)
  old = _old_config(directory)
  if old is not None and restart:
    say(f'--restart: the files of the earlier run are in {_move_aside(directory)}')
  elif old is not None and old != config and not _begun(directory):
    say(f'what a start left that made no step is in {_move_aside(directory)}')
  elif old == config:
    if not _begun(directory):  # no step has read the data that it was started with
      (directory / 'data.json').unlink(missing_ok=True)
    return
  storage.write_json(directory / 'config.json', config)


def _begun(directory: epath.Path) -> bool:
  """Whether a run there has made an update: a row of metrics, a later checkpoint, or a result."""
  rows = directory / 'metrics.jsonl'
  if rows.exists():
    with rows.open('rb') as file:
      if file.read(1):
        return True
  if (directory / 'metrics').exists() or (directory / 'result.json').exists():
    return True
  checkpoints = directory / 'checkpoints'
  names = [child.name for child in checkpoints.iterdir()] if checkpoints.exists() else []
  steps = [re.match(r'step_(\d+)', name) for name in names]
  return any(step and int(step[1]) > 0 for step in steps)


def _move_aside(directory: epath.Path) -> epath.Path:
  """Moves what a run wrote into a new folder inside; returns that folder."""
  folders = (directory / f'before-{number}' for number in itertools.count(1))
  aside = next(folder for folder in folders if not folder.exists())
  for file in list(directory.iterdir()):
    if any(fnmatch.fnmatch(file.name, name) for name in _WRITTEN):
      storage.move(file, aside / file.name)
  return aside


def _old_config(directory: epath.Path) -> dict | None:
  """The config of the run in a folder, in today's words; None where the folder is free.

  Raises:
    StateError: the folder holds something that is no run of ours, which nothing here may move.
  """
  path = directory / 'config.json'
  if not path.exists():
    # A lock, earlier runs, and what a kill left (atomic.py) are no reason not to begin.
    files = [
      child.name
      for child in directory.iterdir()
      if not child.name.startswith(('lock.json', 'before-', 'phase'))
      and not child.name.endswith('.new')
    ]
    if files:
      raise StateError(
        f'{directory} holds files that are no run of ours (no config.json, but {files[0]}). They '
        'are left as they are: name another --workdir.'
      )
    return None
  old = records.read_config(path)
  if not _GROUPS <= old.keys() or (directory / 'weights.json').exists():
    raise StateError(
      f'{directory} holds a model or other files, and no run of train.py. They are left as they '
      'are: name another --workdir.'
    )
  return upgrade(old)


def _check_differences(directory: epath.Path, differences: list, allow_change: tuple[str, ...]):
  """Raises StateError, with a line a field, unless every difference is allowed."""
  refused = [line for line in differences if not check.covers(allow_change, line[0])]
  if not refused:
    return
  lines = '\n'.join(f'  {field}: was {old!r}, now {new!r}' for field, old, new in refused)
  free = [field for field, *_ in refused if check.covers(FREE_ON_RESUME, field)]
  advice = f'--allow_change={",".join(free)} accepts it. ' if len(free) == len(refused) else ''
  raise StateError(
    f'{directory} holds a run with another config:\n{lines}\n{advice}'
    'Name another --workdir, or pass --restart, which moves the old run aside.'
  )


def fixed_length(config: dict) -> bool:
  """Whether another number of steps would change what the first ones were."""
  return bool(config['schedule'] or config['mlm']['final_rate'] or config['data']['short_length'])


def read_config(directory: epath.PathLike):
  """The config of the run in a folder.

  Raises:
    StateError: there is no run, or its config.json is damaged.
    ConfigError: it is not a config of this version.
  """
  path = epath.Path(directory) / 'config.json'
  if not path.exists():
    raise StateError(f'{directory} holds no run: there is no config.json in it.')
  resolved = records.read_config(path)
  if 'model_type' in resolved:
    raise StateError(f'{directory} holds a model of Hugging Face, and no run of train.py.')
  return check.from_resolved(upgrade(resolved))


def check_origin(source: str, knob: str = 'config.init_from'):
  """Checks that there is a model in the folder that a knob names; reads no parameters.

  Raises:
    ConfigError, StateError: it names no folder with a config.json.
  """
  folder = storage.resolve_path(source, knob)
  if not folder.is_dir():
    raise StateError(f'{knob}={source}: no such folder.{storage.hub_advice(source)}')
  if not any((folder / name).exists() for name in ('config.json', 'modules.json')):
    raise StateError(
      f'{knob}={source} is not the folder of a run or a model: it has no config.json.'
    )


def check_fingerprint(directory: epath.PathLike, facts: dict):
  """Compares fingerprints of data and tokenizer with data.json, which is written if there is none.

  Raises:
    StateError: the run began with others, or data.json is damaged.
  """
  path = epath.Path(directory) / 'data.json'
  if not path.exists():
    storage.write_json(path, facts)
    return
  old = records.read_fingerprint(path)
  changed = [name for name in facts if old.get(name) != facts[name]]
  if changed:
    lines = [f'  {name}: was {old.get(name)!r}, now {facts[name]!r}' for name in changed]
    raise StateError(
      f'{directory} was trained on other data:\n'
      + '\n'.join(lines)
      + '\nBring the old data back, name another --workdir, or pass --restart.'
    )
