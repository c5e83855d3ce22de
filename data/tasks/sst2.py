"""SST-2: is a sentence of a film review positive (Socher et al. 2013)."""

from collections.abc import Iterator
from pathlib import Path

from data.errors import DataError
from data.lines import is_blank
from data.tasks.files import Example, lines

KIND = 'text'
CLASSES = ('negative', 'positive')
FILES = dict(train=('train.txt',), validation=('dev.txt',), test=('test.txt',))
GLUE = ('sentence',)


def read(path: Path) -> Iterator[Example]:
  """SST-2: a line `label text`, 0 negative, 1 positive; tokenised, lower case."""
  for number, line in lines(path):
    label, _, text = line.partition(' ')
    if label not in ('0', '1') or is_blank(text):
      raise DataError(f'{path}, line {number}: expected "0 text" or "1 text", found {line[:60]!r}')
    yield Example((text,), int(label))
