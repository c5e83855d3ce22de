"""The folder of a run: one config, one corpus, and nothing of an earlier run lost.

config.json    the config that the run was started with, resolved
data.json      fingerprints of the corpus and of the tokenizer
lock.json      who trains here now (lock.py)
software.json  what it runs on (software.py)
result.json    what came of it, once a run is finished
before-N/      the files of an earlier run, which --restart moves aside
"""

import itertools

from etils import epath

from configs.base import FREE_ON_RESUME
from configs.schema import check
from configs.schema.upgrade import upgrade
from runtime import storage
from runtime.errors import StateError


def finished(directory: epath.PathLike, config: dict) -> dict | None:
  """The result of a run that has nothing left to do under this config, or None. Writes nothing."""
  directory = epath.Path(directory)
  result_path, config_path = directory / 'result.json', directory / 'config.json'
  if not (result_path.exists() and config_path.exists()):
    return None
  result, old = storage.read_json(result_path), storage.read_json(config_path)
  if not result or not old or upgrade(old) != config:
    return None
  return result if result['step'] == config['steps'] else None


def open_config(
  directory: epath.PathLike,
  config: dict,
  *,
  restart: bool,
  allow_change: tuple[str, ...] = (),
  say=print,
):
  """Compares the config with the one the folder was started with; writes it where that is allowed.

  Args:
    restart: moves an earlier run aside first.
    allow_change: fields, or groups of them, that may differ.
    say: called with a line that says where an earlier run went.

  Raises:
    ConfigError: `allow_change` names a field that may not change.
    StateError: the folder holds another run, or no run at all.
  """
  directory = epath.Path(directory)
  for field in allow_change:
    if not check.covers(FREE_ON_RESUME, field):
      raise check.ConfigError(
        f'--allow_change={field}: only these may change when a run resumes: '
        f'{", ".join(FREE_ON_RESUME)}.'
      )
  files = _files_of_run(directory)
  if restart and files:
    _move_aside(directory, files, say)
    files = []
  path = directory / 'config.json'
  if not files:
    storage.write_json(path, config)
    return
  old = _old_config(path)
  differences = check.difference(old, config)
  _check_differences(directory, differences, allow_change)
  if any(field == 'steps' for field, *_ in differences) and fixed_length(old):
    raise StateError(
      f'{directory}: the number of steps decides which cell, mask rate or length each past step '
      f'had, so this run cannot be extended. Begin another with config.init_from={directory}.'
    )
  if differences:
    storage.write_json(path, config)


def _files_of_run(directory: epath.Path) -> list[epath.Path]:
  """Whatever is not ours to write before a run begins, nor an earlier run that was moved aside."""
  return [
    child
    for child in directory.iterdir()
    if not child.name.startswith(('lock.json', 'before-', 'phase'))
    and not child.name.endswith('.new')  # a kill left it (atomic.py)
  ]


def _move_aside(directory: epath.Path, files: list[epath.Path], say):
  folders = (directory / f'before-{number}' for number in itertools.count(1))
  aside = next(folder for folder in folders if not folder.exists())
  for file in files:
    storage.move(file, aside / file.name)
  say(f'--restart: the files of the earlier run are in {aside}')


def _old_config(path: epath.Path) -> dict:
  """The config of the run in a folder that holds files, in today's words."""
  if not path.exists():
    raise StateError(
      f'{path.parent} holds files and no config.json, so no run of ours. Name another '
      '--workdir, or pass --restart, which moves them aside.'
    )
  old = storage.read_json(path)
  if old is None:
    raise StateError(
      f'{path} is damaged. Name another --workdir, or pass --restart, which moves it aside.'
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
  resolved = storage.read_json(path)
  if resolved is None:
    raise StateError(f'{path} is damaged: it holds no JSON object.')
  if 'model_type' in resolved:
    raise StateError(f'{directory} holds a model of Hugging Face, and no run of train.py.')
  return check.from_resolved(upgrade(resolved))


def check_fingerprint(directory: epath.PathLike, facts: dict):
  """Compares fingerprints of data and tokenizer with data.json, which is written if there is none.

  Raises:
    StateError: the run began with others.
  """
  path = epath.Path(directory) / 'data.json'
  if not path.exists():
    storage.write_json(path, facts)
    return
  old = storage.read_json(path) or {}
  changed = [name for name in facts if old.get(name) != facts[name]]
  if changed:
    lines = [f'  {name}: was {old.get(name)!r}, now {facts[name]!r}' for name in changed]
    raise StateError(
      f'{directory} was trained on other data:\n'
      + '\n'.join(lines)
      + '\nBring the old data back, name another --workdir, or pass --restart.'
    )


def note_evaluations(directory: epath.PathLike, results: dict[str, dict]):
  """Merges what evaluations found into evaluations.json: these names are replaced, others stay.

  Raises:
    StateError: the file is damaged.
  """
  path = epath.Path(directory) / 'evaluations.json'
  known = storage.read_json(path)
  if known is None and path.exists():
    raise StateError(
      f'{path} is damaged: it holds no JSON object. Move it away and evaluate again.'
    )
  storage.write_json(path, (known or {}) | results)
