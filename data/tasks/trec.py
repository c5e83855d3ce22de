"""TREC: what a question asks for, six classes (Li and Roth 2002)."""

from collections.abc import Iterator
from pathlib import Path

from data.errors import DataError
from data.tasks.files import Example, lines

KIND = 'text'
CLASSES = ('ABBR', 'DESC', 'ENTY', 'HUM', 'LOC', 'NUM')
FILES = dict(train=('train.txt',), test=('test.txt',))


def read(path: Path) -> Iterator[Example]:
  """A line `coarse:fine text`, ISO-8859-1; the coarse class is the label."""
  for number, line in lines(path, 'iso-8859-1'):
    label, _, text = line.partition(' ')
    name = label.partition(':')[0]
    if name not in CLASSES or not text.strip():
      raise DataError(
        f'{path}, line {number}: expected "class:subclass text" with one of {", ".join(CLASSES)}, '
        f'found {line[:60]!r}'
      )
    yield Example((text,), CLASSES.index(name))
