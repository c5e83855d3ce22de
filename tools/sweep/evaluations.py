"""What a sweep asks of its runs once they are trained: programs
of their own, which write evaluations.json.
"""

from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path
import sys
from typing import Any

from configs.schema.check import ConfigError
from runtime.errors import StateError

ROOT = Path(__file__).resolve().parents[2]
FILE = 'evaluations.json'
# program: its command before the flags, and the flag or position of the run's folder.
PROGRAMS = {
  'eval': ((str(ROOT / 'eval.py'),), '--workdir={}'),
  'finetune': (('-m', 'tools.finetune'), '{}'),
}


def finetuned(task: str, mask: str) -> str:
  """Of a fine-tuning's entry in evaluations.json; `mask` as asked,
  where 'same' is that of the pre-training.
  """
  return f'finetune_{task}' + (f'_{mask}' if mask != 'same' else '')


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """One process after each run.

  Attributes:
    program: a key of `PROGRAMS`.
    tasks: as the program knows them.
    flags: {flag: value}, the same for every run.
  """

  program: str
  tasks: tuple[str, ...]
  flags: dict[str, Any]

  def name(self, task: str) -> str:
    """Of a task's entry in evaluations.json."""
    return (
      finetuned(task, self.flags.get('finetune_mask', 'same'))
      if self.program == 'finetune'
      else task
    )

  def left(self, folder: Path) -> tuple[str, ...]:
    """The tasks without an answer to this very question so far: one
    that was asked with other flags is another.
    """
    there = read(folder)
    return tuple(
      task for task in self.tasks if there.get(self.name(task), {}).get('asked') != self.flags
    )

  def command(self, folder: Path, task_data: str) -> list[str]:
    """For the tasks that are left."""
    program, place = PROGRAMS[self.program]
    flags = [f'--{name}={value}' for name, value in self.flags.items()]
    return [
      sys.executable,
      *program,
      place.format(folder),
      f'--tasks={",".join(self.left(folder))}',
      f'--task_data={task_data}',
      *flags,
    ]

  def log(self, folder: Path) -> Path:
    return folder.with_name(f'{folder.name}-{self.program}.log')


def parse(said: Sequence[dict[str, Any]], where: str) -> tuple[Evaluation, ...]:
  """The EVALUATE of a sweep: dict(program=..., tasks=(...), and flags of that program).

  Raises:
    ConfigError: a program that is none, no tasks, or a task named twice.
  """
  found, names = [], set()
  for number, one in enumerate(said if isinstance(said, (tuple, list)) else (said,), start=1):
    here = f'{where}, EVALUATE {number} ({one})'
    if not isinstance(one, dict) or not {'program', 'tasks'} <= one.keys():
      raise ConfigError(
        f"{here}: must be dict(program='eval', tasks=('blimp',), and flags of that program)."
      )
    flags = dict(one)
    program, tasks = flags.pop('program'), flags.pop('tasks')
    if program not in PROGRAMS:
      raise ConfigError(f'{here}: {program!r} is none of {", ".join(PROGRAMS)}.')
    if isinstance(tasks, str) or not tasks:
      raise ConfigError(f"{here}: tasks must be a tuple of names, as in ('blimp',).")
    evaluation = Evaluation(program, tuple(tasks), flags)
    for task in evaluation.tasks:
      if evaluation.name(task) in names:
        raise ConfigError(f'{here}: {evaluation.name(task)} is asked twice.')
      names.add(evaluation.name(task))
    found.append(evaluation)
  return tuple(found)


def read(folder: Path) -> dict[str, dict[str, Any]]:
  """{name: entry} of what was evaluated in the folder of a run; nothing where nothing was.

  Raises:
    StateError: the file is damaged, or an entry says no number.
  """
  path = folder / FILE
  if not path.is_file():
    return {}
  try:
    entries = json.loads(path.read_text())
  except ValueError as error:
    raise StateError(f'{path} is damaged: {error}. Remove it, and evaluate again.') from error
  if not isinstance(entries, dict):
    raise StateError(f'{path} is damaged: it holds no JSON object. Remove it, and evaluate again.')
  for name, entry in entries.items():
    if not isinstance(entry, dict) or not isinstance(entry.get('value'), int | float):
      raise StateError(f'{path}: {name} has no number as its value. Remove it, and evaluate again.')
  return entries
