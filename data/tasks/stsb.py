"""STS-B: how alike two sentences are, 0 to 5 (Cer et al. 2017)."""

from collections.abc import Iterator
from pathlib import Path

from data.tasks import glue_files
from data.tasks.files import Example

KIND = 'pair'
CLASSES = ()
LABELS = 'number'
FILES = dict(train=('train.tsv',), validation=('dev.tsv',))
GLUE = ('sentence1', 'sentence2')


def read(path: Path) -> Iterator[Example]:
  """GLUE's STS-B."""
  return glue_files.rows(path, GLUE, 'score', float)
