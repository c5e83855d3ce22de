"""CoLA: is a sentence acceptable English (Warstadt et al. 2018)."""

from collections.abc import Iterator
from pathlib import Path

from data.errors import DataError
from data.tasks.files import Example, lines

KIND = 'text'
CLASSES = ('unacceptable', 'acceptable')
FILES = dict(train=('train.tsv',), validation=('dev.tsv',))
GLUE = ('sentence',)
METRIC = 'mcc'


def read(path: Path) -> Iterator[Example]:
  """GLUE's CoLA: `source TAB label TAB mark TAB sentence`, without a header."""
  for number, line in lines(path):
    cells = line.split('\t')
    if len(cells) != 4 or cells[1] not in ('0', '1') or not cells[3].strip():
      raise DataError(
        f'{path}, line {number}: expected "source, 0 or 1, mark, sentence" in four columns, found '
        f'{line[:60]!r}'
      )
    yield Example((cells[3],), int(cells[1]))
