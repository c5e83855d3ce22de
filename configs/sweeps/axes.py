"""Lists of runs for the files of configs/sweeps; a run is {field of configs/base.py: value}."""

from collections.abc import Callable, Mapping, Sequence
import itertools
from typing import Any

Run = dict[str, Any]


def product(axes: Mapping[str, Sequence]) -> list[Run]:
  """Returns every combination of the values; the last axis varies fastest."""
  return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def zipped(axes: Mapping[str, Sequence]) -> list[Run]:
  """Returns the first values of all axes as one run, then the second values, and so on.

  Raises:
    ValueError: the axes are of different lengths.
  """
  return [dict(zip(axes, values)) for values in zip(*axes.values(), strict=True)]


def times(runs: Sequence[Run], others: Sequence[Run]) -> list[Run]:
  """Returns each run combined with each of the others; the others vary fastest."""
  return [one | other for one in runs for other in others]


def where(runs: Sequence[Run], holds: Callable[[Run], bool]) -> list[Run]:
  """Returns the runs for which `holds` is true."""
  return [run for run in runs if holds(run)]
