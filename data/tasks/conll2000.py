"""CoNLL-2000: the chunk that each word of a sentence is in (Tjong Kim Sang and Buchholz 2000)."""

from collections.abc import Iterator
from pathlib import Path
import re

from data.errors import DataError
from data.lines import is_blank
from data.tasks.files import Example, lines

_CHUNKS = ('ADJP', 'ADVP', 'CONJP', 'INTJ', 'LST', 'NP', 'PP', 'PRT', 'SBAR', 'UCP', 'VP')

KIND = 'words'
CLASSES = ('O', *(f'{position}-{chunk}' for chunk in _CHUNKS for position in 'BI'))
FILES = dict(train=('train.txt.gz',), test=('test.txt.gz',))
_INDEX = {tag: index for index, tag in enumerate(CLASSES)}


def read(path: Path) -> Iterator[Example]:
  """CoNLL-2000: `word pos chunk`, a word a line, a blank line between sentences."""
  words, tags = [], []
  for number, line in lines(path):
    if not is_blank(line):
      parts = re.split('[ \t]+', line.strip(' \t'))  # other spaces stand inside words
      if len(parts) != 3 or parts[2] not in _INDEX:
        raise DataError(
          f'{path}, line {number}: expected "word pos chunk" with a chunk tag like B-NP, found '
          f'{line[:60]!r}'
        )
      words.append(parts[0])
      tags.append(_INDEX[parts[2]])
    elif words:
      yield Example(tuple(words), tuple(tags))
      words, tags = [], []
  if words:
    yield Example(tuple(words), tuple(tags))
