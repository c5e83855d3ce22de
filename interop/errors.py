"""Why weights could not be taken or given."""


class WeightsError(RuntimeError):
  """A directory of weights is damaged, unsafe, or of a model that this network cannot be."""

  exit_code = 3
