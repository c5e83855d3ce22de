"""WikiANN: named entities in Wikipedia (Pan et al. 2017; splits of Rahimi et al. 2019)."""

from collections.abc import Iterator
from pathlib import Path

from data.tasks import columns, files
from data.tasks.files import Example

_TYPES = ('LOC', 'ORG', 'PER')

KIND = 'words'
CLASSES = ('O', *(f'{position}-{kind}' for kind in _TYPES for position in 'BI'))
VARIANTS = ('en', 'de', 'nl', 'fr')
LANGUAGES = True
FILES = dict(train=('{}/train.txt.gz',), validation=('{}/dev.txt.gz',), test=('{}/test.txt.gz',))


def read(path: Path) -> Iterator[Example]:
  """`language:word TAB tag`, a word a line."""
  for sentence in columns.sentences(path, files.lines(path)):
    plain = tuple(word.partition(':')[2] or word for word in sentence.words)
    yield files.words(path, sentence._replace(words=plain), CLASSES)
