"""The error of this package that a user can act on."""


class TaskError(ValueError):
  """A task that does not exist or that the model cannot do; the message names those it can."""

  exit_code = 2
