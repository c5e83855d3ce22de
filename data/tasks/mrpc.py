"""MRPC: do two sentences say the same (Dolan and Brockett 2005)."""

from collections.abc import Iterator
from pathlib import Path

from data.errors import DataError
from data.tasks.files import Example, table

KIND = 'pair'
CLASSES = ('not_equivalent', 'equivalent')
FILES = dict(train=('train.tsv',), validation=('val.tsv',), test=('test.tsv',))
GLUE = ('sentence1', 'sentence2')
METRIC = 'f1'


def read(path: Path) -> Iterator[Example]:
  """A TSV file of pairs of sentences; Quality is 1 for a paraphrase."""
  header = 'Quality', '#1 ID', '#2 ID', '#1 String', '#2 String'
  for number, (label, _, _, first, second) in table(path, header):
    if label not in ('0', '1'):
      raise DataError(f'{path}, line {number}: Quality is 0 or 1, found {label!r}')
    yield Example((first, second), int(label))
