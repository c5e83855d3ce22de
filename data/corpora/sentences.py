"""Sentences by rule, without losing a character.

Good enough for what needs them: pairs of neighbouring sentences. English abbreviations are known; a
full stop of Chinese, Japanese, Hindi or Urdu ends a sentence too.
"""

import re

LONGEST = 8_000  # characters; longer runs without a sentence end (one-line dumps, DNA) are cut

_END = re.compile(
  r'[\n.!?…।۔؟。！？]'  # one set that every match begins with: the rest is tried nowhere else
  r'(?:(?<=(?P<newline>\n))'  # a line ends what it holds
  r'|(?<=[.!?…।۔؟])[.!?…।۔؟]*[\'"”’»)\]]*(?=\s+[\'"“‘«(\[]*(?P<following>.?))'
  r'|(?<=[。！？])[。！？]*[」』”’）]*)',
  re.DOTALL,
)
_ABBREVIATION = re.compile(
  r'(?:^|[\s(\["“‘])(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|Ft|Gen|Col|Lt|Sgt|Capt|Rev|Hon|Gov|Sen|Rep|Pres|Jr|Sr'
  r'|No|Nos|Vol|vol|vs|cf|c|ca|fl|b|d|r|e\.g|i\.e|viz|approx|lit|pp|Op|Inc|Ltd|Co|Corp|Fig|Ed|ed'
  r'|(?:[^\W\d_]\.)*[A-Z])\.$'  # initials: J. R. R. and U.S.
)


def split(text: str) -> list[str]:
  """Cuts a text into sentences of at most LONGEST characters; joined they are the text again.

  White space between two sentences opens the second one, as tokenizers join it to what follows.
  """
  sentences, start = [], 0
  for match in _END.finditer(text):
    end = match.end()
    if match['newline']:
      # the white space before a line's end opens the next sentence
      end = start + len(text[start:end].rstrip())
    elif match['following'] is not None and not _ends_sentence(text, match):
      continue
    if end > start:
      sentences += cut(text[start:end])
      start = end
  rest = text[start:]
  if rest.strip() or not sentences:
    sentences += cut(rest)
  else:
    sentences[-1] += rest
  return sentences


def _ends_sentence(text: str, match: re.Match) -> bool:
  """Whether a full stop ends a sentence: no abbreviation, and no small letter follows."""
  if match['following'].islower():
    return False
  return not _ABBREVIATION.search(text[max(0, match.end() - 24) : match.end()])


def cut(sentence: str) -> list[str]:
  """Cuts a text into parts of at most LONGEST characters, before white space where there is any."""
  parts, start = [], 0
  while len(sentence) - start > LONGEST:
    window = sentence[start : start + LONGEST]
    ends_in_word = window[-1:].strip()
    words = window.rsplit(None, 1)[0] if ends_in_word else window.rstrip()
    cuttable = words.strip() and len(words) < LONGEST
    length = len(words) if cuttable else LONGEST
    parts.append(sentence[start : start + length])
    start += length
  return [*parts, sentence[start:]]
