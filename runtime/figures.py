"""Words of people in figures (tokens, names of folders and configs): drawn as they are."""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import functools
import unicodedata

_FONT = 'DejaVu Sans'  # comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic, symbols
_PLACEHOLDERS = 'Last Resort'  # a font whose glyph for every character is a box
_CONTROLS = ('Cc', 'Cs', 'Zl', 'Zp')  # they draw nothing, or break a line
_UNSEEN = (*_CONTROLS, 'Cf')  # joiners, which are seen in what they join


@contextlib.contextmanager
def drawn_as_written(texts: Iterable[str]) -> Iterator[Callable[[str], str]]:
  r"""While it is open, matplotlib draws `$`, `_` and `\` as characters, in fonts that have them.

  The figure must be saved within it, too.

  Args:
    texts: all words of people that the figure will show.

  Yields:
    text -> text, in which what no installed font can draw stands as an escape, as \u65e5.
  """
  from matplotlib import rc_context

  shown = ''.join([*texts, '\u2423'])
  wanted = {char for char in shown if unicodedata.category(char) not in _CONTROLS}
  fonts, drawn = _fonts_for(frozenset(wanted))
  settings = {'text.parse_math': False, 'text.usetex': False, 'font.family': [*fonts]}
  with rc_context(settings):
    yield functools.partial(_written, drawn=drawn)


def _written(text: str, drawn: frozenset[str]) -> str:
  text = visible(text)
  kept = {char for char in text if char in drawn}
  if not kept.issuperset(text):  # a joiner joins nothing beside an escape
    kept = {char for char in kept if unicodedata.category(char) != 'Cf'}
  return ''.join(char if char in kept else _escape(char) for char in text)


def visible(text: str) -> str:
  r"""The text; where it would draw nothing, its characters as escapes, a space as \u2423."""
  if any(not char.isspace() and unicodedata.category(char) not in _UNSEEN for char in text):
    return text
  return ''.join('\u2423' if char == ' ' else _escape(char) for char in text)


def _escape(char: str) -> str:
  return char.encode('unicode_escape', 'surrogatepass').decode('ascii')


@functools.cache
def _fonts_for(wanted: frozenset[str]) -> tuple[list[str], frozenset[str]]:
  """(families of fonts, the first one for most characters; which characters they draw)."""
  from matplotlib import font_manager

  families = [_FONT]
  missing = set(wanted) - _characters(font_manager.findfont(_FONT))
  for entry in font_manager.fontManager.ttflist if missing else ():
    if entry.name.startswith(_PLACEHOLDERS):
      continue
    if found := missing & _characters(entry.fname):
      families.append(entry.name)
      missing -= found
  return families, frozenset(wanted - missing)


@functools.cache
def _characters(path: str) -> frozenset[str]:
  """What the font in a file can draw; nothing of a font that is a set of pictures."""
  from matplotlib.ft2font import FT2Font

  try:
    font = FT2Font(path)
  except RuntimeError:  # of some collections, and of pictures
    return frozenset()
  return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
