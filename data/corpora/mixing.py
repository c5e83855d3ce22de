"""Several corpora as one: `mix:A B C`, or with shares of the rows that one chooses, `mix:9 A 1 B`.

Without numbers the share of a corpus is in proportion to its size to the power of
`data.mix_exponent`, as in multilingual BERT (google-research/bert, multilingual.md): with 0.7 a
language with a thousandth of the text of another is read 126 times as rarely, not 1,000 times.
"""

from collections.abc import Sequence
from pathlib import Path
import re
import shlex
from typing import NamedTuple

from data.errors import DataError

_NUMBER = re.compile(r'\d+(\.\d+)?|\.\d+')


class Part(NamedTuple):
  """A corpus of a mix.

  Attributes:
    corpus: its name, as `data.corpus` has it.
    label: a short name, which no other part of the mix has.
    weight: its rows in proportion to those of the others; None: by its size.
  """

  corpus: str
  label: str
  weight: float | None


def parts(name: str) -> tuple[Part, ...]:
  """The parts of a mix; () where the name is that of one corpus.

  Raises:
    DataError: it is no mix of at least two different corpora, or has a number for some only.
  """
  kind, _, argument = name.partition(':')
  if kind != 'mix':
    return ()
  where = f'data.corpus={name!r}'
  form = "names with spaces between them, as 'mix:wiki_leads wiki_leads_es'"
  try:
    words = shlex.split(argument)
  except ValueError as error:
    raise DataError(f'{where}: {error}; expected {form}') from error
  weights = [float(word) for word in words if _NUMBER.fullmatch(word)]
  names = [word for word in words if not _NUMBER.fullmatch(word)]
  if len(names) < 2:
    raise DataError(f'{where} has {len(names)} corpora, a mix has two or more: {form}')
  twice = next((one for one in names if names.count(one) > 1), None)
  if twice or any(one.startswith('mix:') for one in names):
    wrong = f'{twice} twice' if twice else 'a mix in a mix'
    raise DataError(f'{where} has {wrong}; give a corpus more rows by a number: mix:9 A 1 B')
  in_turn = all(_NUMBER.fullmatch(word) for word in words[::2])
  if weights and not (in_turn and len(weights) == len(names) and min(weights) > 0):
    raise DataError(
      f'{where}: a number above 0 stands before each corpus or before none, as in '
      "'mix:9 gutenberg 1 wiki_leads'; without numbers data.mix_exponent says the shares. A path "
      'with spaces goes in quotes'
    )
  labels = _labels(names)
  return tuple(map(Part, names, labels, weights or [None] * len(names)))


def shares(mix: Sequence[Part], sizes: Sequence[int], exponent: float) -> list[float]:
  """The share of the whole that each part has, in proportion to size ** exponent or its weight.

  Args:
    sizes: of the first parts, in one unit; none is 0.
  """
  scaled = [
    size**exponent if part.weight is None else part.weight for part, size in zip(mix, sizes)
  ]
  return [one / sum(scaled) for one in scaled]


def _labels(names: list[str]) -> list[str]:
  """Short names: of text:PATH the last part of the path, where no two are the same."""
  short = [
    Path(name.partition(':')[2]).stem if name.startswith('text:') else name for name in names
  ]
  return [one if one and short.count(one) == 1 else name for one, name in zip(short, names)]
