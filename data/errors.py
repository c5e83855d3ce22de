"""The one error of data/ that a user can do something about."""


class DataError(RuntimeError):
  """The corpus, the tokenizer or the cached rows cannot be used as asked."""

  exit_code = 4
