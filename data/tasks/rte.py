"""RTE-1 to RTE-3: does a hypothesis follow from a text (Dagan et al. 2006)."""

from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from data.errors import DataError
from data.tasks.files import Example

KIND = 'pair'
CLASSES = ('entailment', 'not_entailment')
FILES = dict(
  train=('rte1_dev.xml', 'rte2_dev.xml', 'rte3_dev.xml'),
  test=('rte1_test.xml', 'rte2_test.xml', 'rte3_test.xml'),
)
GLUE = ('sentence1', 'sentence2')
# What the years of the challenge called each class.
_LABELS = dict(YES=0, TRUE=0, NO=1, FALSE=1)


def read(path: Path) -> Iterator[Example]:
  """XML pairs of a text <t> and a hypothesis <h> (RTE-1 to RTE-3)."""
  yield from _Parser(path).examples()


class _Parser:
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
      if value not in _LABELS:
        raise self._error(
          f'a pair needs entailment="YES|NO" or value="TRUE|FALSE", found {value!r}'
        )
      self._pair = dict(label=_LABELS[value], t='', h='')
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
