"""Lists of runs for the files of configs/sweeps: a run is {field:
value}, a field is a name of configs/base.py.
"""

from collections.abc import Callable, Mapping, Sequence
import itertools
from typing import Any

Run = dict[str, Any]


def product(axes: Mapping[str, Sequence]) -> list[Run]:
  """Every combination of the values, the last axis fastest."""
  return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def zipped(axes: Mapping[str, Sequence]) -> list[Run]:
  """The first values of all axes together, then the second ones; all are as long."""
  return [dict(zip(axes, values)) for values in zip(*axes.values(), strict=True)]


def times(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
  """Each run with each of the others."""
  return [one | other for one in runs for other in others]


def where(runs: Sequence[Run], holds: Callable[[Run], bool]) -> list[Run]:
  """The runs for which something holds."""
  return [run for run in runs if holds(run)]
