"""The names that a config may use, read from the code that gives them a meaning.

A name is a file (`objectives/mlm.py`) or a key of a dictionary literal (`ACTIVATIONS` in
models/layers.py). Both are read as source, never run: a config is checked before jax is imported.
"""

import ast
from collections.abc import Iterable
import functools
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).resolve().parents[2]


class Facts(NamedTuple):
  """What an objective says of itself; objectives/mix.py has the meanings."""

  HEADS: tuple[str, ...]
  ROWS: str
  TASKS: tuple[str, ...] = ()
  WRONG_PAIRS: str | None = None
  BLIND: tuple[str, ...] = ()
  ANSWERS_SEEN: tuple[str, ...] = ()
  ALONE: bool = False
  LABELS: str = ''
  TEACHER: bool = False
  BESIDE: tuple[str, ...] = ()


@functools.cache
def objectives() -> dict[str, Facts]:
  """Every objective there is: the files of objectives/ that have HEADS."""
  found = {}
  for path in sorted((_ROOT / 'objectives').glob('*.py')):
    literals = _literals(path)
    if 'HEADS' in literals:
      found[path.stem] = Facts(
        **{name: literals[name] for name in Facts._fields if name in literals}
      )
  return found


# Rows that a corpus is made into.
_PRETRAINING_ROWS = ('packed', 'sentence_pairs')


def pretraining() -> dict[str, Facts]:
  """The objectives that read a corpus."""
  return {name: fact for name, fact in objectives().items() if fact.ROWS in _PRETRAINING_ROWS}


def trainable() -> dict[str, Facts]:
  """The objectives that `config.objectives` may name: these, and those that read texts
  with labels or in groups."""
  rows = (*_PRETRAINING_ROWS, 'labelled', 'text_groups')
  return {name: fact for name, fact in objectives().items() if fact.ROWS in rows}


def taught(named: Iterable[str]) -> list[str]:
  """The objectives among these that learn from a teacher."""
  return [name for name in named if objectives()[name].TEACHER]


@functools.cache
def keys(file: str, table: str) -> dict[str, frozenset[str]]:
  """The keys of a dictionary literal, each with the keywords that its value is made with.

  Args:
    file: from the root of the repository, as models/layers.py.
    table: the name that the dictionary is bound to, as `dict(...)` or `{...}`.
  """
  value = _assigned(_ROOT / file)[table]
  if isinstance(value, ast.Call):
    entries = {keyword.arg: keyword.value for keyword in value.keywords}
  else:
    entries = {key.value: value for key, value in zip(value.keys, value.values)}
  return {key: _keywords(entry) for key, entry in entries.items()}


def masks() -> tuple[str, ...]:
  """The kinds of mask."""
  return tuple(keys('models/masks.py', 'KINDS'))


def activations() -> tuple[str, ...]:
  """The activations of feed-forward networks and classifiers."""
  return tuple(keys('models/layers.py', 'ACTIVATIONS'))


def norms() -> tuple[str, ...]:
  """The norms."""
  return tuple(keys('models/layers.py', 'NORMS'))


def poolings() -> tuple[str, ...]:
  """The ways from the states of tokens to the vector of their text."""
  return tuple(keys('models/pooling.py', 'POOLINGS'))


def positions() -> dict[str, frozenset[str]]:
  """The position schemes, each with what it has: table, trained, rotate."""
  return keys('models/positions.py', 'POSITIONS')


def _keywords(entry: ast.expr) -> frozenset[str]:
  calls = isinstance(entry, ast.Call)
  return frozenset(keyword.arg for keyword in entry.keywords) if calls else frozenset()


def _assigned(path: Path) -> dict[str, ast.expr]:
  """What a module binds names to at its top level, as source."""
  found = {}
  for node in ast.parse(path.read_text(encoding='utf-8')).body:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
      found[node.targets[0].id] = node.value
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
      found[node.target.id] = node.value
  return found


def _literals(path: Path) -> dict[str, object]:
  found = {}
  for name, value in _assigned(path).items():
    try:
      found[name] = ast.literal_eval(value)
    except ValueError:  # made by calls: not for a config to know
      continue
  return found
