"""Tasks by name: what `python eval.py --tasks=...` can ask of a model besides its validation set."""

from collections.abc import Callable, Iterable
import difflib

from evaluation import blimp
from evaluation.errors import TaskError
from evaluation.subject import Subject

TASKS: dict[str, Callable[[Subject], dict[str, dict]]] = dict(
    blimp=blimp.run,
)


def check(names: Iterable[str]):
  """Raises TaskError unless there are tasks of these names."""
  for name in names:
    if name not in TASKS:
      close = difflib.get_close_matches(name, TASKS, 1, 0.4)
      hint = f' Did you mean {close[0]}?' if close else ''
      raise TaskError(f'--tasks: {name!r} is none of {", ".join(TASKS)}.{hint}')


def run(names: Iterable[str], subject: Subject) -> dict[str, dict]:
  """What the tasks found, by name, in the form of evaluations.json."""
  results = {}
  for name in names:
    results |= TASKS[name](subject)
  return results
