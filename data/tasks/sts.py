"""STS: pairs of sentences and how alike they are (SemEval 2012 to 2016, STS-B; Cer et al. 2017).

The files of a folder are YEAR.NAME.SPLIT.tsv and stsb.SPLIT.tsv: score, tab, sentence, tab,
sentence, without a header. A quote is a character like any other.
"""

import math
from pathlib import Path
import re
from typing import NamedTuple

from data import compressed
from data.errors import DataError
from data.lines import is_blank
from data.tasks.files import Example, lines

# Pairs of the whole test set of each group, as it was published; 2013 is without SMT.
PUBLISHED = {
  '2012': 3108,
  '2013': 1500,
  '2014': 3750,
  '2015': 3000,
  '2016': 1186,
  'stsb': 1379,
}
_PACKED = '|'.join(map(re.escape, compressed.ENDINGS.values()))
_NAME = re.compile(rf'(?:(?P<year>\d{{4}})\.(?P<set>.+)|stsb)\.(?P<split>[a-z]+)\.tsv({_PACKED})?')


class Found(NamedTuple):
  """The test pairs of a folder.

  Attributes:
    groups: {a year, as 2012, or stsb: {name of a file: its pairs; the label is the score}}.
    left_out: names of files that are not scored: those of other splits, and others.
  """

  groups: dict[str, dict[str, list[Example]]]
  left_out: list[str]


def load(folder: Path) -> Found:
  """Reads every test file of a folder.

  Raises:
    DataError: there is none; or file, line, and what is wrong there.
  """
  groups: dict[str, dict[str, list[Example]]] = {}
  left_out = []
  for path in sorted(folder.iterdir()):
    name = _NAME.fullmatch(path.name)
    if name and name['split'] == 'test':
      groups.setdefault(name['year'] or 'stsb', {})[path.name] = read(path)
    elif '.tsv' in path.suffixes:
      left_out.append(path.name)
  if not groups:
    there = f'; it has {", ".join(left_out[:8])}' if left_out else ''
    raise DataError(
      f'{folder} has no files of STS: their names are YEAR.NAME.test.tsv, as '
      f'2012.MSRpar.test.tsv, and stsb.test.tsv{there}'
    )
  return Found(groups, left_out)


def read(path: Path) -> list[Example]:
  """The pairs of a file; the label of each is its score.

  Raises:
    DataError: with file and line.
  """
  found = []
  for number, line in lines(path):
    cells = line.split('\t')
    if len(cells) != 3 or any(map(is_blank, cells)):
      raise DataError(
        f'{path}, line {number}: expected score, tab, sentence, tab, sentence, found {line[:60]!r}'
      )
    found.append(Example((cells[1], cells[2]), _score(path, number, cells[0])))
  return found


def _score(path: Path, number: int, cell: str) -> float:
  try:
    score = float(cell)
  except ValueError:
    score = math.nan
  if not math.isfinite(score):
    raise DataError(f'{path}, line {number}: the score must be a number, and is {cell[:40]!r}')
  return score
