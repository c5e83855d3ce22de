"""The command line of every program here: flags, one clear line for an error, and the exit code.

  0 done   2 config or usage   3 state refused   4 data
  5 numerical failure   6 environment   143 preempted

An exception says its own code in `exit_code`; an OSError is the environment's. `--debug` shows
tracebacks. A flag that several programs have is defined here, so that it has one name everywhere.
"""

from collections.abc import Callable
import difflib
import os
import re
import sys
import traceback

from absl import flags
from ml_collections import config_flags

from configs import base
from configs.schema import names
from configs.schema.check import ConfigError, check
from configs.schema.upgrade import renamed

FLAGS = flags.FLAGS
flags.DEFINE_bool('debug', False, 'Show the traceback of an error.')


def define_config(default: str | None = None):
  """--config=FILE.py[:corpus=NAME,mesh=NAME], and --config.FIELD=VALUE for any field of it."""
  config_flags.DEFINE_config_file(
    'config',
    default,
    'What to train: a file of configs/, with :corpus=NAME for another corpus or :mesh=NAME for '
    'several devices (docs/distributed.md). Any field of it is a flag as well: --config.steps=10.',
    lock_config=True,
  )


def define_weights(what: str = 'A Hugging Face directory, or the workdir of a run.'):
  """--weights=DIR, with --workdir as its other name: the model, or the run, that a program reads.

  Args:
    what: which folders this program can read; the flag's help.
  """
  flags.DEFINE_string('weights', None, what)
  flags.DEFINE_alias('workdir', 'weights')


def define_step(what: str = 'Which checkpoint of a run; the newest by default.'):
  """--step=N, from 0."""
  flags.DEFINE_integer('step', None, what)


def define_json(what: str = 'Print one JSON object instead of text.'):
  """--json."""
  flags.DEFINE_bool('json', False, what)


# Old names of flags, and what they are called now.
_RENAMED = dict(run='weights', runs='weights', sweep='weights')
# Flags that say where a program reads and how it prints: they do not decide its result.
_PLACES = ('workdir', 'weights', 'tasks', 'task_data', 'json', 'debug')


def asked() -> dict[str, str | int | float | bool]:
  """The flags of this command line that decide its result: {name: value}."""
  return {name: FLAGS[name].value for name in FLAGS if FLAGS[name].present and name not in _PLACES}


def run(main: Callable[[], None], argv: list[str] | None = None, *, positional: str | None = None):
  """Parses flags, calls `main`, and ends the process with the documented code.

  Args:
    argv: the program and its arguments; sys.argv by default.
    positional: the flag that an argument without a flag sets.
  """
  argv = [_underscored(arg) for arg in (sys.argv if argv is None else argv)]
  code, usage = 0, True  # until the config is there and checked, every error is one of usage
  try:
    if {'--help', '-h', '-help'} & set(argv):
      print(_help())
    else:
      _parse(argv, positional)
      usage = False
      main()
  except KeyboardInterrupt:
    code = 130
    print(f'{_name(argv[0])}: interrupted.', file=sys.stderr)
  except Exception as error:  # the outermost frame: everything becomes a message and a code
    code = 2 if usage else exit_code(error)
    if code == 1 or '--debug' in argv:
      traceback.print_exc()
    else:
      print(f'{_name(argv[0])}: {message(error)}', file=sys.stderr)
  sys.stdout.flush()
  sys.stderr.flush()
  sys.exit(code)


def _parse(argv: list[str], positional: str | None):
  """Sets the flags, and checks the config where the program has one.

  Raises:
    ConfigError: an argument is no flag, or the config is missing or wrong.
  """
  rest = FLAGS(argv)
  if positional and len(rest) == 2 and FLAGS[positional].value is None:
    FLAGS[positional].value = rest.pop()
  if len(rest) > 1:
    raise ConfigError(f'{rest[1]!r} is no flag. See --help.')
  if 'config' in FLAGS:
    if FLAGS.config is None:
      raise ConfigError('--config=FILE is missing, as in --config=configs/bert_tiny.py.')
    check(FLAGS.config)


def _name(path: str) -> str:
  """What a program is called in its messages: train.py, and report for tools/report/__main__.py."""
  folder, file = os.path.split(path)
  return os.path.basename(folder) if file == '__main__.py' else file


def _underscored(arg: str) -> str:
  """--dry-run as --dry_run: absl spells flags as Python does, people as programs do."""
  name, equals, value = arg.partition('=')
  flag = name.lstrip('-').replace('-', '_')
  return f'--{flag}{equals}{value}' if name.startswith('--') and flag in FLAGS else arg


def exit_code(error: Exception) -> int:
  """The `exit_code` of the exception; 6 where the operating system refused; 1 for a bug of ours."""
  return getattr(error, 'exit_code', 6 if isinstance(error, OSError) else 1)


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
    if new := renamed(meant[2]):
      return f'config has no field {meant[2]!r} any more: it is config.{new} now.'
    return f'config has no field {meant[2]!r}. Did you mean {meant[1]!r}?'
  if isinstance(error, flags.UnrecognizedFlagError):
    return _unknown_flag(error.flagname)
  if 'config file' in text and (
    missing := re.search(r"No such file or directory: '(.+?)\\?'", text)
  ):
    name = os.path.basename(missing[1])
    close = difflib.get_close_matches(name, os.listdir(os.path.dirname(base.__file__)), 1)
    return f'there is no config file {missing[1]}.' + (
      f' Did you mean configs/{close[0]}?' if close else ''
    )
  if isinstance(error, AttributeError | KeyError) and (wrong := re.fullmatch(r'\W*(\w+)\W*', text)):
    if wrong[1] in names.pretraining():
      return (
        f'this config has no objective {wrong[1]}. They are replaced together: '
        f'--config.objectives="{{\'{wrong[1]}\': 1.0}}".'
      )
    if new := renamed(wrong[1]):
      return f'config has no field {wrong[1]!r} any more: it is config.{new} now.'
    return f'config has no field {wrong[1]!r}; configs/base.py has them all.'
  if 'Traceback' in text:
    return text.strip().splitlines()[-1].partition(': ')[2]
  if isinstance(error, OSError) and error.strerror:
    return error.strerror + (f': {error.filename}' if error.filename else '')
  return text or type(error).__name__


def _unknown_flag(name: str) -> str:
  """What to write instead of a flag that is not there."""
  new = _RENAMED.get(name)
  if new in FLAGS:
    return f'there is no flag --{name} any more: it is --{new} now.'
  close = difflib.get_close_matches(name, list(FLAGS), 1)
  advice = f'Did you mean --{close[0]}?' if close else 'See --help.'
  return f'there is no flag --{name}. {advice}'


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


def _help() -> str:
  """What the program is for, and its flags."""
  lines = [sys.modules['__main__'].__doc__ or '', '']
  ours = ('runtime.cli', sys.argv[0], '__main__')
  for module, defined in FLAGS.flags_by_module_dict().items():
    if module in ours or os.path.basename(module) == os.path.basename(sys.argv[0]):
      lines += [f'  --{flag.name}: {flag.help}' for flag in defined]
  return '\n'.join(lines)
