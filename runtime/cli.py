"""The command line of every program here: flags, one clear line for an error, and the exit code.

  0 done   2 config or usage   3 state refused   4 data
  5 numerical failure   6 environment   130 interrupted   143 preempted

An exception says its own code in `exit_code`; an OSError is the environment's. `--debug` shows
tracebacks. A flag that several programs have is defined here, so that it has one name everywhere.
"""

from collections.abc import Callable
import math
import os
import sys
import traceback
import warnings

from absl import flags
from ml_collections import config_flags

from configs.schema.check import ConfigError, check
from runtime import config_flag, help_page, interrupt
from runtime.words import message

FLAGS = flags.FLAGS
flags.DEFINE_bool('debug', False, 'Show the traceback of an error.')
flags.disclaim_key_flags()  # what is defined here is a flag of the program that asks for it

# The command line, which ml_collections reads the fields of the config from.
_argv: list[str] = []


def define_config(default: str | None = None):
  """--config=FILE.py[:corpus=NAME,mesh=NAME], and --config.FIELD=VALUE for any field of it.

  Args:
    default: a file, from the root of the repository.
  """
  config_flag.default = default
  config_flags.DEFINE_config_file(
    'config',
    None,  # not `default`, which would be read at once, and its errors be outside of `run`
    'What to train: a file of configs/, with :corpus=NAME for another corpus, :cell=MASK+OBJECTIVE '
    'for another cell or :mesh=NAME for several devices (docs/distributed.md). Any field of it is '
    'a flag as well: --config.steps=10.' + (f' {default} by default.' if default else ''),
    lock_config=True,
    sys_argv=_argv,
  )


def group(title: str):
  """Begins a group of the help page: the flags that are defined from here on."""
  help_page.titles.append((title, frozenset(FLAGS)))


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


def define_keep():
  """--keep."""
  flags.DEFINE_bool(
    'keep', False, 'Keep what is found in evaluations.json of imported weights, too.'
  )


# Flags that say where a program reads and how it prints: they do not decide its result.
_PLACES = ('workdir', 'weights', 'tasks', 'task_data', 'results', 'keep', 'json', 'debug')


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
  warnings.showwarning = _show_warning
  # what a terminal or a file cannot write, as a name of a file that is not UTF-8, is an escape
  if hasattr(sys.stdout, 'reconfigure'):  # a test may have put something else there
    sys.stdout.reconfigure(errors='backslashreplace')
  with interrupt.Raised() as interruption:
    code = _code_of(main, argv, positional, interruption)
  interrupt.guard(code or interrupt.CODE)
  help_page.titles.clear()
  sys.stdout.flush()
  sys.stderr.flush()
  sys.exit(code)


def _code_of(main, argv: list[str], positional: str | None, interruption) -> int:
  """Runs the program; returns its exit code, and has said why where it is not 0."""
  usage = True  # until the config is there and checked, every error is one of usage
  try:
    if {'--help', '-h', '-help'} & set(argv):
      print(help_page.page(sys.modules['__main__'].__doc__ or '', sys.argv[0]))
    else:
      _parse(argv, positional)
      usage = False
      main()
    return 0
  except KeyboardInterrupt:
    interrupt.say()
    return interrupt.CODE
  except Exception as error:  # the outermost frame: everything becomes a message and a code
    if interruption.asked:  # a library made this of it
      interrupt.say()
      return interrupt.CODE
    code = 2 if usage else exit_code(error)
    if code == 1 or '--debug' in argv:
      traceback.print_exc()
    else:
      print(f'{_name(argv[0])}: {message(error)}', file=sys.stderr)
    return code


def _show_warning(text, category, filename, line, file=None, source=None):
  """Prints a warning of ours as a sentence, without the line of code that gave it."""
  place = '' if category is UserWarning else f' ({category.__name__}, {filename}:{line})'
  print(f'{_name(sys.argv[0])}: {text}{place}', file=sys.stderr)


def _parse(argv: list[str], positional: str | None):
  """Sets the flags, and checks the config where the program has one.

  Raises:
    ConfigError: an argument is no flag, or the config is missing or wrong.
  """
  if 'config' in FLAGS:
    argv = config_flag.prepared(argv)
  _argv[:] = argv
  rest = FLAGS(argv)
  for name in FLAGS:  # no bound holds NaN off
    value = FLAGS[name].value
    if isinstance(value, float) and not math.isfinite(value):
      raise ConfigError(f'--{name}={value}: must be a finite number.')
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
