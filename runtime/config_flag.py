"""--config and the flags of its fields: what is wrong with them is said before the file is read."""

import ast
import difflib
from pathlib import Path
import re

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs import base
from configs.schema import check
from configs.schema.check import ConfigError
from configs.schema.upgrade import renamed

_ROOT = Path(__file__).resolve().parents[1]
default: str | None = None  # of the program that runs: a file, from the root of the repository


class _Objectives(flags.ArgumentParser):
  """mlm+nsp, which count 1 each, or {'mlm': 1.0, 'nsp': 0.5}."""

  def parse(self, argument: str | ConfigDict) -> ConfigDict:
    if isinstance(argument, ConfigDict):
      return argument
    if re.fullmatch(r'\w+(\+\w+)*', argument):
      return ConfigDict(base.objectives(argument))
    try:
      value = ast.literal_eval(argument)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
      value = None
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
      raise ValueError("write objectives as mlm+nsp, or with weights as {'mlm': 1.0, 'nsp': 0.5}.")
    return ConfigDict(value)

  def flag_type(self) -> str:
    return 'objectives'


# The one group of fields that may be given as a whole; `prepared` refuses the others.
config_flags.register_flag_parser_for_type(ConfigDict, _Objectives())


def prepared(argv: list[str]) -> list[str]:
  """The command line with the config that is meant.

  Raises:
    ConfigError: there is no such file, or it is no config; or a field is none of its fields.
  """
  places = [place for place, arg in enumerate(argv) if re.match(r'--?config(=|$)', arg)]
  if not places and default:
    argv = [argv[0], f'--config={_ROOT / default}', *argv[1:]]
  for place in places:
    _, equals, value = argv[place].partition('=')
    if not equals:
      value = argv[place + 1] if place + 1 < len(argv) else ''
    if behind := re.match(r'(.+\.py)[^\w:]+((corpus|mesh|cell)=.*)', value):
      raise ConfigError(
        f'--config={value}: a colon stands between a config and its arguments, as in '
        f'--config={behind[1]}:{behind[2]}.'
      )
    _check_file(value.partition(':')[0])
  known = check.flatten(base.get_config())
  for arg in argv[1:]:
    if field := re.match(r'--?(?:no)?config\.([^=]*)', arg):
      _check_field(field[1], known)
  return argv


def _check_file(name: str):
  """Raises ConfigError, with the file that is meant, unless there is a config of that name."""
  if not name:
    raise ConfigError('--config=FILE is missing, as in --config=configs/bert_tiny.py.')
  path = Path(name).expanduser()
  if not path.exists():
    there = sorted(str(one.relative_to(_ROOT)) for one in (_ROOT / 'configs').rglob('*.py'))
    near = [name] if (_ROOT / name).is_file() else difflib.get_close_matches(name, there, 1)
    if not near:  # by its name alone, wherever it was looked for
      by_name = {one.rpartition('/')[2]: one for one in reversed(there)}
      near = [by_name[one] for one in difflib.get_close_matches(path.name, by_name, 1)]
    inside = Path.cwd() == _ROOT
    meant = f' Did you mean {near[0] if inside else _ROOT / near[0]}?' if near else ''
    where = '' if inside or path.is_absolute() else f' in {Path.cwd()}, where this command runs'
    raise ConfigError(f'there is no config file {name}{where}.{meant}')
  if path.is_dir():
    raise ConfigError(f'--config={name} is a folder: name a file in it.')
  if path.suffix != '.py':
    raise ConfigError(
      f'--config={name} is no config, which is a Python file with get_config(), as '
      'configs/bert_tiny.py.'
    )
  _check_content(name, path.read_text(encoding='utf-8', errors='replace'))


def _check_content(name: str, text: str):
  try:
    nodes = ast.parse(text).body
  except (SyntaxError, ValueError):  # said with its line when the file is read
    return
  bound = {alias.asname or alias.name for node in nodes for alias in getattr(node, 'names', ())}
  bound |= {getattr(node, 'name', '') for node in nodes}
  for node in nodes:
    for target in getattr(node, 'targets', ()):
      bound.add(getattr(target, 'id', ''))
  if 'get_config' in bound or '*' in bound:
    return
  if {'BASE', 'RUNS'} <= bound:
    raise ConfigError(
      f'--config={name} is a sweep of many runs: python -m tools.sweep {name} --workdir=DIR.'
    )
  raise ConfigError(f'--config={name} is no config: it has no function get_config().')


def _check_field(name: str, known: dict):
  """Raises ConfigError, with the field that is meant, unless a config has this field."""
  if name.startswith('objectives.'):
    check.objective_names([name.removeprefix('objectives.')])
    return
  if name in known or name == 'objectives':
    return
  inside = [field for field in known if field.startswith(f'{name}.')]
  if inside:
    raise ConfigError(
      f'config.{name} is a group of fields: set them one by one, as --config.{inside[0]}='
      f'{known[inside[0]]}.'
    )
  if new := renamed(name):
    raise ConfigError(f'config has no field {name!r} any more: it is config.{new} now.')
  near = ' or '.join(f'--config.{field}' for field in check.nearest(name))
  advice = f'Did you mean {near}?' if near else 'configs/base.py has them all.'
  raise ConfigError(f'config has no field {name!r}. {advice}')
