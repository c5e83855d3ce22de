"""The answer to --help: purpose, example, and every flag with its kind, its choices and default."""

import shutil
import textwrap

from absl import flags

FLAGS = flags.FLAGS
# (title, the flags that were there before it) of each group, in the order of the program.
titles: list[tuple[str, frozenset[str]]] = []
_KINDS = {
  'int': 'N',
  'float': 'NUMBER',
  'string': 'TEXT',
  'comma separated list of strings': 'A,B,...',
  'multi string': 'TEXT',
  'config object': 'FILE.py',
}
_WIDEST = 100


def page(docstring: str, program: str) -> str:
  """The help page of a program.

  Args:
    docstring: of its module: PURPOSE: python COMMAND, then more.
    program: its file, by which absl knows its flags.
  """
  first, _, more = docstring.strip().partition('\n\n')
  purpose, colon, command = ' '.join(first.split()).partition(': python ')
  parts = [purpose.rstrip('.') + '.']
  if colon:
    parts.append(f'Example:\n  python {command.rstrip(".")}')
  if more.strip():
    parts.append(more.strip())
  groups: dict[str, list] = {}
  for flag in FLAGS.flags_by_module_dict().get(program, ()):
    groups.setdefault(_group(flag.name), []).append(flag)
  for title, members in groups.items():
    parts.append('\n'.join([f'{title}:', *map(_entry, members)]))
  everywhere = ['Every program:', _entry(FLAGS['debug']), _line('--help', 'Show this page.')]
  return '\n\n'.join([*parts, '\n'.join(everywhere)])


def _group(name: str) -> str:
  """The last title that began before this flag."""
  return next((title for title, before in reversed(titles) if name not in before), 'Flags')


def _entry(flag: flags.Flag) -> str:
  """A flag, with what may be written and what holds where it is not."""
  kind = flag.flag_type()
  choices = getattr(flag.parser, 'enum_values', None)
  if flag.boolean:
    usage = f'--[no]{flag.name}' if flag.default else f'--{flag.name}'
  else:
    usage = f'--{flag.name}={"|".join(choices) if choices else _KINDS.get(kind, kind.upper())}'
  text = flag.help.strip()
  if choices:  # absl puts them before the help
    text = text.removeprefix(f'<{"|".join(choices)}>: ')
  if flag.default not in (None, '', []):
    shown = {True: 'yes', False: 'no'}[flag.default] if flag.boolean else flag.default
    shown = ','.join(shown) if isinstance(shown, list) else shown
    text += f' (default: {shown})'
  elif 'default' not in text:
    text += ' (no default)'
  return _line(usage, text)


def _line(usage: str, text: str) -> str:
  width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
  body = textwrap.fill(text, max(30, width), initial_indent=' ' * 6, subsequent_indent=' ' * 6)
  return f'  {usage}\n{body}'
