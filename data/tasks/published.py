"""Files of labelled tasks as they are published, read as examples.

Each reader takes the path of one file and yields its examples in their order. It raises DataError,
with file and line, where the file is damaged or is not what was published.
"""

from collections.abc import Iterator
import gzip
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat
import zlib

from data.errors import DataError

SICK_LABELS = ('NEUTRAL', 'ENTAILMENT', 'CONTRADICTION')
_CHUNKS = ('ADJP', 'ADVP', 'CONJP', 'INTJ', 'LST', 'NP', 'PP', 'PRT', 'SBAR', 'UCP', 'VP')
CHUNK_TAGS = ('O', *(f'{position}-{chunk}' for chunk in _CHUNKS for position in 'BI'))
_TAG_INDEX = {tag: index for index, tag in enumerate(CHUNK_TAGS)}
# What the years of the challenge called each class; the order is GLUE's.
_RTE_LABELS = dict(YES=0, TRUE=0, NO=1, FALSE=1)


class Example(NamedTuple):
  """One labelled text, pair of texts, or sentence of labelled words.

  Attributes:
    texts: one text, two, or for chunking the words.
    label: index of a class; for chunking a tuple of them, one a word.
    score: SICK's relatedness, 1 to 5.
  """

  texts: tuple[str, ...]
  label: int | tuple[int, ...]
  score: float | None = None


def sst2(path: Path) -> Iterator[Example]:
  """SST-2: a line `label text`, 0 negative, 1 positive; tokenised, lower case."""
  for number, line in _lines(path):
    label, _, text = line.partition(' ')
    if label not in ('0', '1') or not text.strip():
      raise DataError(f'{path}, line {number}: expected "0 text" or "1 text", found {line[:60]!r}')
    yield Example((text,), int(label))


def mrpc(path: Path) -> Iterator[Example]:
  """A TSV file of pairs of sentences; Quality is 1 for a paraphrase."""
  header = 'Quality', '#1 ID', '#2 ID', '#1 String', '#2 String'
  for number, (label, _, _, first, second) in _table(path, header):
    if label not in ('0', '1'):
      raise DataError(f'{path}, line {number}: Quality is 0 or 1, found {label!r}')
    yield Example((first, second), int(label))


def sick(path: Path) -> Iterator[Example]:
  """A TSV file of pairs of sentences, with a relatedness score and an entailment judgment."""
  header = 'pair_ID', 'sentence_A', 'sentence_B', 'relatedness_score', 'entailment_judgment'
  for number, (_, first, second, score, judgment) in _table(path, header):
    try:
      yield Example((first, second), SICK_LABELS.index(judgment), float(score))
    except ValueError:
      raise DataError(
        f'{path}, line {number}: expected a score and one of {", ".join(SICK_LABELS)}, found '
        f'{score!r} and {judgment!r}'
      ) from None


def rte(path: Path) -> Iterator[Example]:
  """XML pairs of a text <t> and a hypothesis <h> (RTE-1 to RTE-3)."""
  yield from _RteParser(path).examples()


class _RteParser:
  """The label of a pair is its attribute `value` in RTE-1 and `entailment` later."""

  def __init__(self, path: Path):
    self._path = path
    self._found: list[Example] = []
    self._pair: dict = {}  # the pair in hand: label, t, h
    self._inside: str | None = None  # t or h
    self._parser = expat.ParserCreate()
    self._parser.StartElementHandler = self._start
    self._parser.EndElementHandler = self._end
    self._parser.CharacterDataHandler = self._text
    self._parser.EntityDeclHandler = self._entity

  def examples(self) -> list[Example]:
    """Reads the file; to be called once."""
    try:
      self._parser.Parse(self._path.read_bytes(), True)
    except expat.ExpatError as error:
      raise DataError(
        f'{self._path}, line {error.lineno}: not XML ({expat.ErrorString(error.code)})'
      ) from error
    return self._found

  def _start(self, tag: str, attributes: dict[str, str]):
    if tag == 'pair':
      value = attributes.get('entailment', attributes.get('value'))
      if value not in _RTE_LABELS:
        raise self._error(
          f'a pair needs entailment="YES|NO" or value="TRUE|FALSE", found {value!r}'
        )
      self._pair = dict(label=_RTE_LABELS[value], t='', h='')
    self._inside = tag if tag in ('t', 'h') and self._pair else None

  def _text(self, data: str):
    if self._inside:
      self._pair[self._inside] += data

  def _end(self, tag: str):
    self._inside = None
    if tag == 'pair':
      texts = tuple(' '.join(self._pair[part].split()) for part in ('t', 'h'))
      if not all(texts):
        raise self._error('a pair without a text <t> or a hypothesis <h>')
      self._found.append(Example(texts, self._pair['label']))
      self._pair = {}

  def _entity(self, name: str, *_):
    raise self._error(f'declares the entity {name!r}; no published file does, so it is not read')

  def _error(self, text: str) -> DataError:
    return DataError(f'{self._path}, line {self._parser.CurrentLineNumber}: {text}')


def conll2000(path: Path) -> Iterator[Example]:
  """CoNLL-2000: `word pos chunk`, a word a line, a blank line between sentences."""
  words, tags = [], []
  for number, line in _lines(path):
    if line.strip():
      parts = line.split()
      if len(parts) != 3 or parts[2] not in _TAG_INDEX:
        raise DataError(
          f'{path}, line {number}: expected "word pos chunk" with a chunk tag like B-NP, found '
          f'{line[:60]!r}'
        )
      words.append(parts[0])
      tags.append(_TAG_INDEX[parts[2]])
    elif words:
      yield Example(tuple(words), tuple(tags))
      words, tags = [], []
  if words:
    yield Example(tuple(words), tuple(tags))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
  """(number, line) of a text file, .gz too, without line ends and byte order mark."""
  try:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == '.gz' else data).decode('utf-8-sig')
  except (EOFError, zlib.error, gzip.BadGzipFile) as error:
    raise DataError(f'{path} is cut short or damaged: {error}') from error
  except UnicodeDecodeError as error:
    line = error.object[: error.start].count(b'\n') + 1
    raise DataError(f'{path}, line {line}: not UTF-8 ({error.reason})') from error
  # Not splitlines: it also breaks at characters that stand inside a sentence.
  for number, line in enumerate(text.removesuffix('\n').split('\n'), 1):
    yield number, line.removesuffix('\r')


def _table(path: Path, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
  """(number, cells) below the header of a TSV file; a quote is a character like any other."""
  for number, line in _lines(path):
    cells = line.split('\t')
    if number == 1 and tuple(cells) != names:
      raise DataError(f'{path}, line 1: expected the header {names}, found {line[:80]!r}')
    if len(cells) != len(names):
      raise DataError(
        f'{path}, line {number}: expected {len(names)} columns, found {len(cells)}: {line[:60]!r}'
      )
    if number > 1:
      yield number, cells
