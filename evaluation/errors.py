"""The one error of this package that a user can do something about."""


class TaskError(ValueError):
  """An evaluation that a model cannot be given, or that does
  not exist; the message says which can.
  """

  exit_code = 2
