"""The error of a config that cannot be run, and how it is raised."""


class ConfigError(ValueError):
  """A config that cannot be run; the message names the field, the fault, and a value that works."""

  exit_code = 2


def require(holds: bool, name: str, value, advice: str):
  """Raises ConfigError for a field unless the condition holds."""
  if not holds:
    end = '' if advice.endswith('?') else '.'
    raise ConfigError(f'config.{name}={value!r}: {advice}{end}')
