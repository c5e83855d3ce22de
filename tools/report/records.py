"""The records that a report is made of: a sweep and its finished runs."""

from collections.abc import Iterable
import dataclasses
from typing import Any

from tools.sweep.runs import short, varying_fields


@dataclasses.dataclass(frozen=True)
class FinishedRun:
  """A run of a sweep that reached its last step.

  Attributes:
    folder: its name in the folder of the sweep; also the key by which reports refer to the run.
    changes: {config field: value} against the base config of the sweep.
    validation: {name: number} of its last validation.
    certificate: what it must share with the runs that it is compared with: `comparable.EQUAL`, and
      the count that its budget fixes.
    curve: (training tokens, validation loss in nats) of each validation.
    evaluations: the entries of its evaluations.json.
    batches: {step: hash of the rows of that batch}, for the steps that were logged.
  """

  folder: str
  changes: dict[str, Any]
  validation: dict[str, Any]
  certificate: dict[str, Any]
  curve: list[tuple[int, float]]
  evaluations: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
  batches: dict[int, str] = dataclasses.field(default_factory=dict)

  @property
  def seed(self) -> int:
    """Of the config; 0 is the seed of a sweep that does not vary it."""
    return self.changes.get('seed', 0)


@dataclasses.dataclass(frozen=True)
class Sweep:
  """What DIR/sweep.json says, with the finished runs.

  A side is 'rows' or 'columns' of the table. TABLE names the config fields of each side, and their
  values label its rows and columns.

  Attributes:
    about: the docstring of the sweep's file.
    table: the sweep's TABLE.
    runs: the finished ones, in the order of the sweep.
    missing: folders of the runs that are not finished.
    certified: every run wrote its certificate; otherwise certificates are derived from the logs.
  """

  name: str
  about: str
  table: dict[str, Any]
  runs: list[FinishedRun]
  missing: list[str]
  certified: bool = False

  @property
  def varying(self) -> set[str]:
    """The config fields that differ between its runs."""
    return varying_fields([run.changes for run in self.runs])

  def fields(self, side: str) -> list[str]:
    """The config fields of a side; a table may have no columns."""
    names = self.table.get(side) or ()
    return [names] if isinstance(names, str) else list(names)

  def label(self, run: FinishedRun, side: str) -> str:
    """The row or the column that a run belongs to."""
    return ', '.join(short(run.changes.get(name)) for name in self.fields(side))

  def labels(self, side: str) -> list[str]:
    """All rows, or all columns, in the order of the runs."""
    return unique(self.label(run, side) for run in self.runs)

  def cell(self, run: FinishedRun) -> tuple[str, str]:
    """(row, column) of a run."""
    return self.label(run, 'rows'), self.label(run, 'columns')


def unique(names: Iterable[str]) -> list[str]:
  """Each name once, in the order of its first appearance."""
  return list(dict.fromkeys(names))
