"""Tasks by name: what `python eval.py --tasks=...` can ask
of a model besides its validation set.
"""

from collections.abc import Callable, Iterable
import difflib

from evaluation import blimp, text
from evaluation.errors import TaskError
from evaluation.probe import PROBES
from evaluation.subject import Subject

TASKS: dict[str, Callable[[Subject], dict[str, dict]]] = dict(
  blimp=blimp.run,
  likelihood=text.run,
  **PROBES,
)


def check(names: Iterable[str]):
  """Raises TaskError unless there are tasks of these names."""
  for name in names:
    if name not in TASKS:
      close = difflib.get_close_matches(name, TASKS, 1, 0.4)
      hint = f' Did you mean {close[0]}?' if close else ''
      raise TaskError(f'--tasks: {name!r} is none of {", ".join(TASKS)}.{hint}')


def rows(results: dict[str, dict]) -> dict[str, str]:
  """Results as words: the value of each task with its standard
  error, baselines, and what it is made of.
  """
  lines = {}
  for name, result in results.items():
    lines[name] = f'{_number(result)}  {result["unit"]}'
    for baseline, value in result.get('baselines', {}).items():
      lines[f'  {name} of {baseline} alone'] = f'{value:.4f}'
    for part, found in result.get('terms', {}).items():
      lines[f'  {part}'] = _number(dict(found, value=found['accuracy']))
  return lines


def _number(result: dict) -> str:
  error = result.get('standard_error')
  return f'{result["value"]:.4f}' + (f' ± {error:.4f}' if error is not None else '')
