"""The evaluations of a sweep's runs: programs of their own, which write evaluations.json."""

from collections.abc import Sequence
import dataclasses
from pathlib import Path
import sys
from typing import Any

from configs.schema.check import ConfigError
from runtime import records

ROOT = Path(__file__).resolve().parents[2]
# program: its command before the flags, and the flag or position of the run's folder.
PROGRAMS = {
  'eval': ((str(ROOT / 'eval.py'),), '--workdir={}'),
  'finetune': (('-m', 'tools.finetune'), '{}'),
  'poolings': (('-m', 'tools.poolings'), '{}'),
}


def finetuned(task: str, mask: str) -> str:
  """The name of a fine-tuning's entry in evaluations.json.

  Args:
    mask: as in --finetune_mask; 'same' is the mask of the pre-training.
  """
  return f'finetune_{task}' + (f'_{mask}' if mask != 'same' else '')


def pooled(pooling: str, objective: str | None) -> str:
  """The name in evaluations.json of STS under a pooling, after a training with an objective."""
  return '_'.join(filter(None, ('sts', pooling, objective)))


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """One process after each run.

  Attributes:
    program: a key of `PROGRAMS`.
    tasks: as the program knows them.
    flags: {flag: value}, the same for every run.
    only: {config field: values}: the runs that are asked; {} is all.
  """

  program: str
  tasks: tuple[str, ...]
  flags: dict[str, Any]
  only: dict[str, tuple] = dataclasses.field(default_factory=dict)

  def asks(self, changes: dict[str, Any]) -> bool:
    """Whether a run with these changes is asked."""
    return all(changes.get(field) in values for field, values in self.only.items())

  def name(self, task: str) -> str:
    """The name of a task's entry in evaluations.json."""
    if self.program == 'finetune':
      return finetuned(task, self.flags.get('finetune_mask', 'same'))
    if self.program == 'poolings':
      return pooled(task, self.flags.get('objective') if 'groups' in self.flags else None)
    return task

  def tasks_left(self, folder: Path) -> tuple[str, ...]:
    """The tasks that a run has no answer for.

    An answer is to the same flags: a task that was asked with other flags is another question.
    """
    entries = records.read_evaluations(folder)
    return tuple(
      task for task in self.tasks if entries.get(self.name(task), {}).get('asked') != self.flags
    )

  def command(self, folder: Path, task_data: str) -> list[str]:
    """The process for the tasks that are left."""
    program, folder_argument = PROGRAMS[self.program]
    flags = [f'--{name}={value}' for name, value in self.flags.items()]
    return [
      sys.executable,
      *program,
      folder_argument.format(folder),
      f'--tasks={",".join(self.tasks_left(folder))}',
      f'--task_data={task_data}',
      *flags,
    ]

  def log(self, folder: Path) -> Path:
    """Where the output of the process goes, beside the run's folder."""
    return folder.with_name(f'{folder.name}-{self.program}.log')


def parse(entries: Sequence[dict[str, Any]], where: str) -> tuple[Evaluation, ...]:
  """The EVALUATE of a sweep: dict(program=..., tasks=(...), and flags of that program), or several.

  `only={field: values}` asks only the runs whose changes have one of these values.

  Args:
    where: the file, for error messages.

  Raises:
    ConfigError: an unknown program, no tasks, or a task that is named twice.
  """
  if not isinstance(entries, tuple | list):
    entries = (entries,)
  found, names = [], set()
  for number, entry in enumerate(entries, start=1):
    here = f'{where}, EVALUATE {number} ({entry})'
    evaluation = _parse_entry(entry, here)
    for task in evaluation.tasks:
      if evaluation.name(task) in names:
        raise ConfigError(f'{here}: {evaluation.name(task)} is asked twice.')
      names.add(evaluation.name(task))
    found.append(evaluation)
  return tuple(found)


def _parse_entry(entry: Any, here: str) -> Evaluation:
  if not isinstance(entry, dict) or not {'program', 'tasks'} <= entry.keys():
    raise ConfigError(
      f"{here}: must be dict(program='eval', tasks=('blimp',), and flags of that program)."
    )
  flags = dict(entry)
  program, tasks, only = flags.pop('program'), flags.pop('tasks'), flags.pop('only', {})
  if program not in PROGRAMS:
    raise ConfigError(f'{here}: {program!r} is none of {", ".join(PROGRAMS)}.')
  if isinstance(tasks, str) or not tasks:
    raise ConfigError(f"{here}: tasks must be a tuple of names, as in ('blimp',).")
  if not isinstance(only, dict) or not all(isinstance(one, tuple | list) for one in only.values()):
    raise ConfigError(f"{here}: only must be like {{'mask': ('causal', 'prefix')}}.")
  return Evaluation(program, tuple(tasks), flags, {field: tuple(of) for field, of in only.items()})
