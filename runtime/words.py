"""An error as a line for the person at the door: what was asked, what is wrong, what to write."""

import difflib
import re
import traceback

from absl import flags

from configs.schema import check, names
from configs.schema.foreign import FOREIGN
from configs.schema.upgrade import renamed

FLAGS = flags.FLAGS
# Old names of flags, and what they are called now.
_RENAMED = dict(run='weights', runs='weights', sweep='weights')
# What absl says of a value of the wrong type, and what is needed.
_TYPES = {
  r'invalid literal for int\(\)': 'a whole number is needed',
  'could not convert string to float': 'a number is needed',
  'Non-boolean argument': 'true or false is needed',
}


def message(error: Exception) -> str:
  """An error in a line or a few, with the line of the config file that raised it."""
  place = _place(error)
  return (f'{place}: ' if place else '') + _plain(error)


def _plain(error: Exception) -> str:
  """The text of an error, without what absl and ml_collections wrap around it."""
  text = str(error)
  if hasattr(error, 'exit_code'):
    return text
  if meant := re.search(r'Did you mean "(.+?)" instead of "(.+?)"', text):
    return _no_field(meant[2], [meant[1]])
  if isinstance(error, flags.UnrecognizedFlagError):
    return _unknown_flag(error.flagname)
  if isinstance(error, flags.IllegalFlagValueError) and 'Traceback' not in text:
    return _wrong_value(text)
  if isinstance(error, AttributeError | KeyError) and (wrong := re.fullmatch(r'\W*(\w+)\W*', text)):
    if wrong[1] in names.pretraining():
      return (
        f'this config has no objective {wrong[1]}. They are replaced together: '
        f'--config.objectives={wrong[1]}.'
      )
    return _no_field(wrong[1], check.nearest(wrong[1]))
  if 'Traceback' in text:
    return text.strip().splitlines()[-1].partition(': ')[2]
  if isinstance(error, OSError) and error.strerror:
    return error.strerror + (f': {error.filename}' if error.filename else '')
  return text or type(error).__name__


def _no_field(name: str, near: list[str]) -> str:
  """What to write instead of a field that a config does not have."""
  if new := renamed(name):
    return f'config has no field {name!r} any more: it is config.{new} now.'
  if not near:
    return f'config has no field {name!r}; configs/base.py has them all.'
  return f'config has no field {name!r}. Did you mean {" or ".join(map(repr, near))}?'


def _wrong_value(text: str) -> str:
  """What absl says of the value of a flag, in our words.

  Args:
    text: as in 'flag --temperature=hot: could not convert string to float'.
  """
  given, _, wrong = text.removeprefix('flag ').partition(': ')
  flag = given.lstrip('-').partition('=')[0]
  for pattern, needed in _TYPES.items():
    if re.search(pattern, wrong):
      default = FLAGS[flag].default if flag in FLAGS else None
      example = '' if default is None or default == '' else f', as in --{flag}={default}'
      return f'{given}: {needed}{example}.'
  if choices := re.fullmatch(r'value should be one of <(.+)>', wrong):
    return f'{given}: choose one of {", ".join(choices[1].split("|"))}.'
  return f'{given}: {wrong}' + ('' if wrong.endswith('.') else '.')


def _unknown_flag(name: str) -> str:
  """What to write instead of a flag that is not there."""
  new = _RENAMED.get(name)
  if new in FLAGS:
    return f'there is no flag --{name} any more: it is --{new} now.'
  knobs = check.nearest(name) if 'config' in FLAGS else []
  fields = [f'config.{knob}' for knob in knobs]
  close = difflib.get_close_matches(name, list(FLAGS), 1)
  leaf = name.replace('-', '_')
  if not close or leaf in FOREIGN or leaf in {knob.rpartition('.')[2] for knob in knobs}:
    close = fields or close
  meant = ' or '.join(f'--{one}' for one in close)
  return f'there is no flag --{name}. ' + (f'Did you mean {meant}?' if meant else 'See --help.')


def _place(error: BaseException | None) -> str | None:
  """FILE:LINE of the config whose code raised an error or what it came from."""
  while error is not None:
    inside = [
      frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == 'get_config'
    ]
    if inside:
      return f'{inside[-1].filename}:{inside[-1].lineno}'
    error = error.__cause__ or error.__context__
  return None
