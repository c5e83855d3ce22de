"""The evaluation tasks by name, for `python eval.py --tasks=...`; validation is separate."""

from collections.abc import Callable, Iterable
import difflib

from evaluation import blimp, text
from evaluation.errors import TaskError
from evaluation.probe import PROBES
from evaluation.subject import Subject
from evaluation.vectors import pairs, rerank, retrieval, sts

TASKS: dict[str, Callable[[Subject], dict[str, dict]]] = dict(
  blimp=blimp.run,
  likelihood=text.run,
  sts=sts.run,
  retrieval=retrieval.run,
  pairs=pairs.run,
  rerank=rerank.run,
  **PROBES,
)


# Those whose files are found at once: before another task takes its time.
_FILES = dict(sts=sts.files, retrieval=retrieval.files, pairs=pairs.files, rerank=rerank.files)


def check_files(names: Iterable[str], subject: Subject):
  """Raises TaskError or DataError where the files of a task are not there."""
  for name in names:
    if name in _FILES:
      _FILES[name](subject)


def check(names: Iterable[str]):
  """Raises TaskError for a name that is no task, with a suggestion."""
  for name in names:
    if name not in TASKS:
      close = difflib.get_close_matches(name, TASKS, 1, 0.4)
      hint = f' Did you mean {close[0]}?' if close else ''
      raise TaskError(f'--tasks: {name!r} is none of {", ".join(TASKS)}.{hint}')


def rows(results: dict[str, dict]) -> dict[str, str]:
  """Returns results as rows for the console: value, standard error, baselines, parts, notes."""
  lines = {}
  for name, result in results.items():
    lines[name] = f'{_number(result)}  {result["unit"]}'
    for baseline, value in result.get('baselines', {}).items():
      lines[f'  {name} of {baseline} alone'] = f'{value:.4f}'
    for part, found in result.get('terms', {}).items():
      lines[f'  {part}'] = _number(dict(found, value=found['accuracy']))
    if 'metric' in result and result['other_scores']:
      others = result['other_scores'].items()
      lines[f'  {name}, also'] = ', '.join(f'{other} {value:.4f}' for other, value in others)
    for number, note in enumerate(result.get('notes', ()), 1):
      lines[f'  {name}, note {number}'] = note
  return lines


def _number(result: dict) -> str:
  error = result.get('standard_error')
  return f'{result["value"]:.4f}' + (f' ± {error:.4f}' if error is not None else '')
