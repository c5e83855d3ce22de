"""Why a run may end early; `exit_code` is what the process then returns (see cli.py)."""


class StateError(RuntimeError):
  """The workdir, a checkpoint or a fingerprint does not fit what was asked."""

  exit_code = 3


class DeviceError(RuntimeError):
  """The devices that were asked for are not there."""

  exit_code = 6


class NumericalError(RuntimeError):
  """A loss, a gradient or a parameter is not finite."""

  exit_code = 5


class LeakError(RuntimeError):
  """An output depends on an input that the mask forbids, so no number of the run means anything."""

  exit_code = 5


class Preempted(RuntimeError):
  """The process was asked to stop, and stopped in an orderly way."""

  exit_code = 143


class WeightsError(RuntimeError):
  """A directory of weights is damaged, unsafe, or of a model that this network cannot be."""

  exit_code = 3
