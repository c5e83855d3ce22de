"""Sentences by rule, without losing a character.

Good enough for what needs them: pairs of neighbouring sentences. English abbreviations are known; a full
stop of Chinese, Japanese, Hindi or Urdu ends a sentence too.
"""

import re

LONGEST = 8_000  # characters; longer runs without a sentence end (one-line dumps, DNA) are cut

_END = re.compile(
    r'(?P<newline>[^\S\n]*\n)'  # a line ends what it holds
    r'|(?P<stop>[.!?…।۔؟]+[\'"”’»)\]]*)(?=\s)'
    r'|[。！？]+[」』”’）]*'
)
_OPENING = re.compile(r'\s+[\'"“‘«(\[]*')
_ABBREVIATION = re.compile(
    r'(?:^|[\s(\["“‘])(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|Ft|Gen|Col|Lt|Sgt|Capt|Rev|Hon|Gov|Sen|Rep|Pres|Jr|Sr'
    r'|No|Nos|Vol|vol|vs|cf|c|ca|fl|b|d|r|e\.g|i\.e|viz|approx|lit|pp|Op|Inc|Ltd|Co|Corp|Fig|Ed|ed'
    r'|(?:[^\W\d_]\.)*[A-Z])\.$'  # initials: J. R. R. and U.S.
)


def split(text: str) -> list[str]:
  """Cuts `text` so that joining the sentences gives it back.

  White space between two sentences opens the second one: no tokenizer here joins letters to the white
  space after them, so a document has the same tokens whole or in sentences.
  """
  sentences, start = [], 0
  for match in _END.finditer(text):
    end = match.start() if match['newline'] else match.end()
    if end > start and (match['stop'] is None or _ends_sentence(text, match)) and text[start:end].strip():
      sentences += cut(text[start:end])
      start = end
  rest = text[start:]
  if rest.strip() or not sentences:
    sentences += cut(rest)
  else:
    sentences[-1] += rest
  return sentences


def _ends_sentence(text: str, match: re.Match) -> bool:
  opening = _OPENING.match(text, match.end())
  following = text[opening.end() : opening.end() + 1]
  if following.islower():
    return False
  return not _ABBREVIATION.search(text[max(0, match.end() - 24) : match.end()])


def cut(sentence: str) -> list[str]:
  """Pieces of at most LONGEST characters, cut before white space where there is any."""
  pieces, start = [], 0
  while len(sentence) - start > LONGEST:
    window = sentence[start : start + LONGEST]
    words = window.rsplit(None, 1)[0] if window[-1:].strip() else window.rstrip()
    length = len(words) if words.strip() and len(words) < LONGEST else LONGEST
    pieces.append(sentence[start : start + length])
    start += length
  return [*pieces, sentence[start:]]
