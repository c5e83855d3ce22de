"""MNLI: does a hypothesis follow from a premise, in ten genres (Williams et al. 2018)."""

from collections.abc import Iterator
from pathlib import Path

from data.tasks import glue_files
from data.tasks.files import Example

KIND = 'pair'
CLASSES = ('entailment', 'neutral', 'contradiction')
FILES = dict(
  train=('train.tsv',), validation=('dev_matched.tsv',), mismatched=('dev_mismatched.tsv',)
)
GLUE = ('premise', 'hypothesis')
TFDS_SPLITS = dict(
  train='train', validation='validation_matched', mismatched='validation_mismatched'
)


def read(path: Path) -> Iterator[Example]:
  """GLUE's MNLI; `mismatched` is of genres that are not in train."""
  return glue_files.rows(path, ('sentence1', 'sentence2'), 'gold_label', CLASSES.index)
