"""QNLI: is the answer to a question in a sentence (Wang et al. 2019, from SQuAD)."""

from collections.abc import Iterator
from pathlib import Path

from data.tasks import glue_files
from data.tasks.files import Example

KIND = 'pair'
CLASSES = ('entailment', 'not_entailment')
FILES = dict(train=('train.tsv',), validation=('dev.tsv',))
GLUE = ('question', 'sentence')


def read(path: Path) -> Iterator[Example]:
  """GLUE's QNLI."""
  return glue_files.rows(path, ('question', 'sentence'), 'label', CLASSES.index)
