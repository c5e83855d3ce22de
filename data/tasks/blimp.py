"""BLiMP (Warstadt et al. 2020): 67 paradigms of 1,000 sentence pairs, one of each acceptable."""

from collections.abc import Callable, Iterable
import errno
import json
import lzma
from pathlib import Path
from typing import NamedTuple
import zipfile
import zlib

from data import lines
from data.corpora import tfds_needs
from data.errors import DataError

_INSTEAD = 'give the folder that holds blimp/BLiMP.zip: --task_data=DIR'
_LARGEST = 256 << 20  # bytes; the published zip unpacks to a fraction of it
# in the order of Pair
_FIELDS = ('UID', 'linguistics_term', 'field', 'sentence_good', 'sentence_bad')


class Pair(NamedTuple):
  """A minimal pair.

  Attributes:
    paradigm: the UID, as 'anaphor_number_agreement'.
    term: the phenomenon that the paradigm belongs to, as 'anaphor_agreement'.
    field: 'morphology', 'syntax', 'semantics' or 'syntax_semantics'.
  """

  paradigm: str
  term: str
  field: str
  good: str
  bad: str


def load(
  path: Path | None, limit: int = 0, progress: Callable[[str, int, int], None] | None = None
) -> list[Pair]:
  """The first `limit` pairs (0 = all) of each paradigm, paradigms by name.

  Args:
    path: the published zip of JSON lines; None = from TensorFlow Datasets.
    progress: called while TensorFlow Datasets prepares the paradigms.

  Raises:
    DataError: it cannot be read.
  """
  pairs: dict[str, list[Pair]] = {}
  for name, found in _from_tfds(progress) if path is None else _from_zip(path):
    for number, line in found:
      pair = _pair(line, f'{name}, line {number}')
      known = pairs.setdefault(pair.paradigm, [])
      if not limit or len(known) < limit:
        known.append(pair)
  if not pairs:
    raise DataError(
      f'{path} holds no pairs: it needs files *.jsonl with a pair a line, as the published zip has.'
    )
  return [pair for name in sorted(pairs) for pair in pairs[name]]


def _from_zip(path: Path) -> Iterable[tuple[str, Iterable]]:
  """(name, numbered lines) of each file of the zip, by name."""
  if not path.is_file():
    raise DataError(f'{path}: no such file. It is the BLiMP.zip that the authors of BLiMP publish.')
  try:
    with zipfile.ZipFile(path) as archive:
      _check_size(archive, path)
      for name in sorted(archive.namelist()):
        # What a Mac adds to a zip has the names of the files, and is none of them.
        if name.endswith('.jsonl') and not name.startswith('__MACOSX/'):
          found = enumerate(lines.lines_of([archive.read(name)], f'{path}, {name}'), 1)
          numbered = [(number, line) for number, line in found if not lines.is_blank(line)]
          yield f'{path}, {name}', numbered
  except DataError:
    raise
  except OSError as error:
    if error.errno not in (None, errno.EINVAL):  # the latter of an offset that the archive says
      raise
    raise DataError(f'{path} is damaged: {error}. Copy it again.') from error
  # RuntimeError: it has a password, or is compressed in a way that Python does not know
  except (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError) as error:
    raise DataError(f'{path} is damaged: {error}. Copy it again.') from error


def _check_size(archive: zipfile.ZipFile, path: Path):
  """Raises DataError if the files of a zip unpack to far more than BLiMP does."""
  unpacked = sum(entry.file_size for entry in archive.infolist())
  if unpacked > _LARGEST:
    raise DataError(
      f'{path} unpacks to {unpacked:,} bytes, and BLiMP to less than {_LARGEST:,}: copy it again.'
    )


def _pair(line: str | dict, where: str) -> Pair:
  """A pair from a line of JSON or the fields of a row; `where` it is, for errors."""
  try:
    fields = json.loads(line) if isinstance(line, str) else line
    values = [fields[name] for name in _FIELDS]
  except (ValueError, TypeError, KeyError, RecursionError) as error:
    raise DataError(
      f'{where}: expected a JSON object with {", ".join(_FIELDS)} ({type(error).__name__}: {error})'
    ) from error
  values = [value.decode('utf-8') if isinstance(value, bytes) else value for value in values]
  if not all(isinstance(value, str) and value.strip() for value in values):
    raise DataError(f'{where}: {", ".join(_FIELDS)} must all be text, and none of them empty.')
  return Pair(*values)


def _from_tfds(progress) -> Iterable[tuple[str, Iterable]]:
  """(name, numbered rows) of each paradigm, by name."""
  tfds_needs.check_installed(
    'blimp without --task_data=DIR, the folder that holds blimp/BLiMP.zip,'
  )
  import tensorflow_datasets as tfds  # takes seconds, and most uses read files

  try:
    names = sorted(tfds.builder_cls('blimp').builder_configs)
  except Exception as error:  # TFDS raises anything here
    raise tfds_needs.missing('blimp', error, _INSTEAD) from error
  for number, name in enumerate(names, 1):
    if progress is not None:
      progress('preparing tfds:blimp', number, len(names))
    try:
      builder = tfds.builder(f'blimp/{name}', file_format='array_record')
      builder.download_and_prepare()
      source = builder.as_data_source('train')
    except Exception as error:  # no network, no TensorFlow to prepare it with, no disk
      raise tfds_needs.missing(f'blimp/{name}', error, _INSTEAD) from error
    yield f'tfds:blimp/{name}', ((n + 1, source[n]) for n in range(len(source)))
