"""A frozen network that a run learns from, as a record."""

from collections.abc import Callable
from typing import Any, NamedTuple

from configs.schema.grid import Cell


class Teacher(NamedTuple):
  """A frozen network that a run learns from.

  Attributes:
    of: {cell that learns from it: (params, batch) -> outputs of the heads it is compared at}.
    params: on the devices, split as those of the run are.
    sha256: of its parameters and of what its network computes.
    source: where it is from, for people.
    bytes_a_device: that its parameters take.
    flops_a_token: {T: FLOPs of its forward pass per position}, mean over the steps.
    flops: of all its forward passes in the run.
  """

  of: dict[Cell, Callable]
  params: Any
  sha256: str
  source: str
  bytes_a_device: int
  flops_a_token: dict[int, float]
  flops: float
