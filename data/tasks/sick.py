"""SICK: does one sentence follow from another, and how related are they (Marelli et al. 2014)."""

from collections.abc import Iterator
from pathlib import Path

from data.errors import DataError
from data.tasks.files import Example, table

KIND = 'pair'
CLASSES = ('NEUTRAL', 'ENTAILMENT', 'CONTRADICTION')
VARIANTS = ('entailment', 'degree')
FILES = dict(
  train=('SICK_train.txt',), validation=('SICK_trial.txt',), test=('SICK_test_annotated.txt',)
)


def read(path: Path) -> Iterator[Example]:
  """A TSV file of pairs of sentences, with a relatedness score and an entailment judgment."""
  header = 'pair_ID', 'sentence_A', 'sentence_B', 'relatedness_score', 'entailment_judgment'
  for number, (_, first, second, score, judgment) in table(path, header):
    try:
      yield Example((first, second), CLASSES.index(judgment), float(score))
    except ValueError:
      raise DataError(
        f'{path}, line {number}: expected a score and one of {", ".join(CLASSES)}, found '
        f'{score!r} and {judgment!r}'
      ) from None
