"""QQP: do two questions on Quora ask the same (Iyer et al. 2017)."""

from collections.abc import Iterator
from pathlib import Path

from data.tasks import glue_files
from data.tasks.files import Example

KIND = 'pair'
CLASSES = ('not_duplicate', 'duplicate')
FILES = dict(train=('train.tsv',), validation=('dev.tsv',))
GLUE = ('question1', 'question2')
METRIC = 'f1'


def read(path: Path) -> Iterator[Example]:
  """GLUE's QQP."""
  return glue_files.rows(path, ('question1', 'question2'), 'is_duplicate', ('0', '1').index)
