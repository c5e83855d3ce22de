"""WNLI: does a sentence with a pronoun replaced follow (Levesque et al. 2012)."""

from collections.abc import Iterator
from pathlib import Path

from data.tasks import glue_files
from data.tasks.files import Example

KIND = 'pair'
CLASSES = ('not_entailment', 'entailment')
FILES = dict(train=('train.tsv',), validation=('dev.tsv',))
GLUE = ('sentence1', 'sentence2')


def read(path: Path) -> Iterator[Example]:
  """GLUE's WNLI."""
  return glue_files.rows(path, ('sentence1', 'sentence2'), 'label', ('0', '1').index)
