"""Lists the programs, or runs one: onemask NAME ARGUMENTS, which is python -m tools.NAME ARGUMENTS.

Names and descriptions are read from the files; no program is imported before it runs.
"""

import ast
import difflib
from pathlib import Path
import runpy
import sys

from runtime import interrupt

_ROOT = Path(__file__).resolve().parents[1]
GROUPS = {
  'Train': ('prepare', 'train', 'finetune', 'sweep'),
  'Evaluate': ('eval', 'transfer', 'poolings', 'report', 'bounds', 'claims'),
  'Use a model': ('predict', 'generate', 'fill_mask', 'embed', 'mine', 'rank', 'convert'),
  'Look inside': ('attention', 'batch', 'grid', 'architecture', 'configs'),
  'Plan and measure': ('plan', 'memory', 'bench'),
}
PROGRAMS = tuple(name for names in GROUPS.values() for name in names)


def main():
  """Ends with the program's exit code; with 2 where there is no program of that name."""
  interrupt.guard()
  name, *arguments = sys.argv[1:] or ['--help']
  if name in ('--help', '-h'):
    print(listing())
  elif name in PROGRAMS:
    run(name, arguments)
  else:
    close = difflib.get_close_matches(name, PROGRAMS, 1)
    advice = f'Did you mean {close[0]}?' if close else '`python -m tools` lists them.'
    print(f'onemask: there is no program {name}. {advice}', file=sys.stderr)
    sys.exit(2)


def run(name: str, arguments: list[str]):
  """Runs a program of PROGRAMS as `python -m` would; its flags are in `arguments`."""
  sys.argv = [name, *arguments]
  runpy.run_module(module_of(name), run_name='__main__', alter_sys=True)


def module_of(name: str) -> str:
  """The module of a program: train and eval stand above tools/."""
  return name if name in ('train', 'eval') else f'tools.{name}'


def source_of(name: str) -> Path:
  """The file of a program: tools/NAME.py, or tools/NAME/__main__.py of a package."""
  path = _ROOT / module_of(name).replace('.', '/')
  return path / '__main__.py' if path.is_dir() else path.with_suffix('.py')


def summary(name: str) -> str:
  """What a program does: its docstring up to the command."""
  docstring = ast.get_docstring(ast.parse(source_of(name).read_text(encoding='utf-8')))
  paragraph = ' '.join(docstring.partition('\n\n')[0].split())
  return paragraph.partition(': python ')[0].rstrip('.')


def listing() -> str:
  """Every program in its group, a line each."""
  lines = [
    'usage: onemask NAME ARGUMENTS, or python -m tools.NAME ARGUMENTS; NAME --help says more'
  ]
  for group, names in GROUPS.items():
    lines += ['', group]
    lines += [f'  {name:<10} {summary(name)}' for name in names]
  return '\n'.join(lines)


if __name__ == '__main__':
  main()
