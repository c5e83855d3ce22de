"""CoNLL-2002: named entities in Spanish and Dutch news (Tjong Kim Sang 2002)."""

from collections.abc import Iterator
from pathlib import Path

from data.tasks import columns, files
from data.tasks.files import Example

_TYPES = ('LOC', 'MISC', 'ORG', 'PER')

KIND = 'words'
CLASSES = ('O', *(f'{position}-{kind}' for kind in _TYPES for position in 'BI'))
VARIANTS = ('esp', 'ned')
FILES = dict(train=('{}.train.gz',), validation=('{}.testa.gz',), test=('{}.testb.gz',))


def read(path: Path) -> Iterator[Example]:
  """`word [pos] tag`, a word a line, ISO-8859-1."""
  for sentence in columns.sentences(path, files.lines(path, 'iso-8859-1')):
    yield files.words(path, sentence, CLASSES)
