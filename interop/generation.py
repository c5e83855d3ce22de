"""Reads where generation begins, ends and pads, as transformers 5 finds it."""

from pathlib import Path
from typing import Any

from inference.ends import Ends
from interop import files, keys
from runtime.errors import WeightsError

NAME = 'generation_config.json'
_IDS = ('bos_token_id', 'eos_token_id', 'pad_token_id')


def read(directory: Path, theirs: dict[str, Any]) -> Ends:
  """Returns what generation_config.json says; where there is none, what config.json says.

  A file that does not name an id has none: a default of its class does not count.

  Args:
    theirs: the parsed config.json.

  Raises:
    WeightsError: an id is none.
  """
  path = directory / NAME
  if path.exists():
    rules = files.read_json(path)
  else:
    path = directory / 'config.json'
    rules = {key: theirs[key] for key in (*_IDS, *keys.GENERATION) if key in theirs}
  ends = rules.get('eos_token_id')
  ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
  for end in ends:
    _check(end, 'eos_token_id', path)
  return Ends(
    begin=_check(rules.get('bos_token_id'), 'bos_token_id', path),
    ends=tuple(ends),
    pad=_check(rules.get('pad_token_id'), 'pad_token_id', path),
    rules={key: value for key, value in rules.items() if key not in _IDS},
    source=str(path),
  )


def write(ends: Ends) -> dict[str, Any]:
  """Returns the ids as they stand in generation_config.json and config.json."""
  several = list(ends.ends) if len(ends.ends) > 1 else None
  one = ends.ends[0] if ends.ends else None
  return dict(bos_token_id=ends.begin, eos_token_id=several or one, pad_token_id=ends.pad)


def _check(value: Any, key: str, path: Path) -> int | None:
  if value is None or isinstance(value, int) and not isinstance(value, bool):
    return value
  raise WeightsError(f'{path} has {key}={value!r}, which is no id of a token.')
