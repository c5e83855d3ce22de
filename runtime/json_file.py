"""Reads JSON files, in one way: whole, of the shape that is expected, or refused in words.

Standard library only, because data/ imports this too.
"""

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

from runtime import flaky

DEEPEST = 100  # levels; what copies or writes a value calls itself for each
LARGEST = 16 << 20  # bytes; parsed, they may take thirty times as much memory


def read_object(
  path: Path,
  fields: dict[str, type | tuple[type, ...]] | None = None,
  *,
  refuse: type[Exception],
  todo: str,
  largest: int = LARGEST,
) -> dict[str, Any]:
  """The JSON object in a file.

  Args:
    path: on a disk, or of etils on an object store.
    fields: what it must hold, by name, with the types as `json` returns them; more may be there.
    refuse: the error to raise, which says the exit code.
    todo: what a person can do about a file that is refused, as a sentence.
    largest: bytes that the file may have.

  Raises:
    refuse: the file is missing, too large, or does not hold this.
    OSError: it cannot be read.
  """

  def parse(content: bytes) -> dict[str, Any]:
    value = parse_object(content)
    check_fields(value, fields or {})
    return value

  return _read(path, parse, refuse, todo, largest)


def read_list(path: Path, *, refuse: type[Exception], todo: str) -> list:
  """The JSON list in a file; arguments and errors as of `read_object`."""

  def parse(content: bytes) -> list:
    value = _parse(content)
    if not isinstance(value, list):
      raise ValueError(f'it is no JSON list but {_name(type(value))}')
    return value

  return _read(path, parse, refuse, todo, LARGEST)


def _read(path: Path, parse: Callable[[bytes], Any], refuse, todo: str, largest: int):
  def read() -> bytes:
    with path.open('rb') as file:
      return file.read(largest + 1)

  try:
    content = flaky.insist(read)
  except FileNotFoundError:
    raise refuse(f'{path} is missing. {todo}') from None
  except IsADirectoryError:
    raise refuse(f'{path} is a folder, and should be a file. {todo}') from None
  try:
    if len(content) > largest:
      raise ValueError(f'it has more than {largest:,} bytes')
    return parse(content)
  except ValueError as error:
    raise refuse(f'{path} is damaged: {error}. {todo}') from error


def peek(path: Path) -> dict[str, Any] | None:
  """The JSON object in a file that others may be writing; None where there is none."""
  try:
    return parse_object(path.read_bytes())
  except (FileNotFoundError, ValueError):
    return None


def parse_object(content: bytes) -> dict[str, Any]:
  """The JSON object in some bytes.

  Raises:
    ValueError: there is none; the text says what is wrong.
  """
  value = _parse(content)
  check_fields(value, {})
  return value


def _parse(content: bytes) -> Any:
  if not content.strip():
    raise ValueError('it is empty')
  try:
    value = json.loads(content.decode('utf-8'))
  except UnicodeDecodeError as error:
    raise ValueError(f'byte {error.start:,} is not UTF-8') from error
  except RecursionError as error:
    raise ValueError('it is no JSON (nested too deep)') from error
  except json.JSONDecodeError as error:
    where = f'line {error.lineno:,} column {error.colno:,}'
    raise ValueError(f'it is no JSON ({where}: {error.msg})') from error
  _check_depth(value)
  return value


def check_fields(value: Any, fields: dict[str, type | tuple[type, ...]]):
  """Raises ValueError unless a value is an object with fields of these types; a bool is no int."""
  if not isinstance(value, dict):
    raise ValueError(f'it is no JSON object but {_name(type(value))}')
  for name, types in fields.items():
    types = types if isinstance(types, tuple) else (types,)
    if name not in value:
      raise ValueError(f'it has no {name!r}')
    if type(value[name]) not in types:
      wanted = ' or '.join(map(_name, types))
      raise ValueError(f'{name!r} is {_name(type(value[name]))}, and should be {wanted}')


def _check_depth(value: Any):
  """Raises ValueError if objects and lists are nested too deep."""
  level: list[Any] = [value] if isinstance(value, dict | list) else []
  for _ in range(DEEPEST):
    inside = (one.values() if isinstance(one, dict) else one for one in level)
    level = [child for children in inside for child in children if isinstance(child, dict | list)]
    if not level:
      return
  raise ValueError(f'it is nested deeper than {DEEPEST} levels')


def _name(kind: type) -> str:
  """What JSON calls a type of Python."""
  names = {dict: 'an object', list: 'a list', str: 'a text', int: 'a whole number'}
  names |= {float: 'a number', bool: 'true or false', type(None): 'null'}
  return names[kind]
