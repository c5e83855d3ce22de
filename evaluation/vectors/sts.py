"""STS: does the cosine of two sentences rise with how alike people find them?

The score of a year is the correlation over the pairs of all its files together (what papers call
"all", and what mteb has), and that of several years is their mean. A mean over the files of a year
is another number. The rule is in the unit of each entry.
"""

import numpy as np

from data.tasks import sick, sts
from data.tasks.files import Example
from evaluation import scores
from evaluation.errors import TaskError
from evaluation.subject import Subject
from evaluation.vectors import common

METRIC = 'spearman'
UNIT = 'Spearman correlation of the cosine'


def run(subject: Subject) -> dict[str, dict]:
  """Returns {'sts': the mean, 'sts_2012': ..., 'sts_stsb': ..., 'sick_r': ...} of what is there.

  Raises:
    TaskError, DataError: there are no files, they cannot be read, or a limit left nothing to rank.
  """
  found, related = files(subject), subject.folder / 'sick' / sick.FILES['test'][0]
  groups = {f'sts_{name}': files for name, files in found.groups.items()}
  notes = _incomplete(found)
  if related.is_file():
    pairs = [Example(one.texts, one.score) for one in sick.read(related)]
    groups['sick_r'] = {related.name: pairs}
  else:
    notes.append(f'no SICK-R: there is no {related}')
  encode = common.encoder(subject, 'sts')
  entries = {
    name: _group(subject, encode, name, _limited(files, subject.limit))
    for name, files in groups.items()
  }
  return {'sts': common.mean(subject, METRIC, UNIT, entries, notes)} | entries


def files(subject: Subject) -> sts.Found:
  """The pairs of every set; raises TaskError or DataError where there is none."""
  return sts.load(common.folder(subject, 'sts'))


def _incomplete(found: sts.Found) -> list[str]:
  """What is not scored, and which sets are not those that were published."""
  notes = [f'left out, no test file: {", ".join(found.left_out)}'] if found.left_out else []
  for name, files in found.groups.items():
    pairs, whole = sum(map(len, files.values())), sts.PUBLISHED.get(name)
    if pairs != whole:
      notes.append(
        f'sts_{name} has {pairs:,} pairs where the published test set has {whole:,}'
        if whole
        else f'sts_{name}: no such test set is known'
      )
  return notes


def _limited(files: dict[str, list[Example]], limit: int) -> dict[str, list[Example]]:
  return {name: pairs[: limit or None] for name, pairs in files.items()}


def _group(subject: Subject, encode, name: str, files: dict[str, list[Example]]) -> dict:
  """The entry of the files of a year."""
  pairs = [pair for one in files.values() for pair in one]
  gold_N = np.array([pair.label for pair in pairs], np.float64)
  if np.ptp(gold_N) == 0:
    raise TaskError(
      f'{name}: all of the {len(pairs)} scores are {gold_N[0]}, and nothing correlates with a '
      'constant; a larger --task_limit takes more pairs'
    )
  vector_NxD = encode([text for pair in pairs for text in pair.texts])
  cosine_N = common.cosines(vector_NxD[::2], vector_NxD[1::2])
  parts, start = {}, 0
  for file, one in files.items():
    part = slice(start, start := start + len(one))
    parts[file] = correlations(gold_N[part], cosine_N[part]) | dict(pairs=len(one))
  together = f'all pairs of {len(files)} files together' if len(files) > 1 else next(iter(files))
  lines = (f'{pair.label!r}\t{pair.texts[0]}\t{pair.texts[1]}' for pair in pairs)
  return common.entry(
    subject,
    METRIC,
    correlations(gold_N, cosine_N),
    f'{UNIT}, {together}',
    files=parts,
    pairs=len(pairs),
    data_sha256=common.digest(lines),
  )


def correlations(gold_N: np.ndarray, cosine_N: np.ndarray) -> dict[str, float]:
  """Spearman's, ties at their mean rank, and Pearson's; of a constant both are 0."""
  found = scores.numbers(gold_N, cosine_N)
  return {name: found[name] for name in ('spearman', 'pearson')}
