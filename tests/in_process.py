"""A program run inside this process: its exit code and what it printed, without seconds of imports.

absl keeps the flags of a process in one place, so the flags of one program leave before the next.
"""

import contextlib
import importlib
import io
import os
import runpy
import signal
import sys
from types import ModuleType
from typing import NamedTuple

from runtime import cli
from tools.__main__ import module_of


class Answer(NamedTuple):
  """How a program ended."""

  code: int
  out: str
  err: str


def call(name: str, *arguments: str) -> Answer:
  """Runs a program of tools.__main__.PROGRAMS by its name."""
  argv = sys.argv
  os.environ.setdefault('GLIBC_TUNABLES', '')  # or train.py would begin this process anew
  for flag in _flags_of_programs():  # of programs that another test of this process imported
    delattr(cli.FLAGS, flag)
  hooks = sys.excepthook, sys.unraisablehook, signal.getsignal(signal.SIGINT)
  out, err = io.StringIO(), io.StringIO()
  sys.argv = [name, *arguments]
  try:
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
      runpy.run_module(module_of(name), run_name='__main__', alter_sys=True)
  except SystemExit as end:
    return Answer(end.code, out.getvalue(), err.getvalue())
  finally:
    for flag in _flags_of_programs():
      delattr(cli.FLAGS, flag)
    sys.argv = argv
    sys.excepthook, sys.unraisablehook, sigint = hooks
    signal.signal(signal.SIGINT, sigint)
    cli.FLAGS.unparse_flags()
  raise AssertionError(f'{name} returned without an exit code')


def imported(module: str) -> ModuleType:
  """A module that is a program, whatever programs this process imported before."""
  for flag in _flags_of_programs():
    delattr(cli.FLAGS, flag)
  return importlib.import_module(module)


def _flags_of_programs() -> set[str]:
  """The flags that programs have defined, and no library; absl knows a running one by its file."""
  found = set()
  for module, defined in cli.FLAGS.flags_by_module_dict().items():
    ours = ('runtime.cli', 'train', 'eval')
    if module in ours or module.startswith('tools.') or module.endswith('.py'):
      found |= {flag.name for flag in defined}
  found |= {name for name in cli.FLAGS if name.startswith('config.')}  # fields that were set
  return {name for name in found - {'debug'} if name in cli.FLAGS}
