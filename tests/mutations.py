"""Damaged versions of a valid file: bytes that changed, went or came; JSON of another shape."""

import json
import random

_BYTES = [
  b'\0',
  b'\xff',
  b'\xc3',
  b'\xed\xa0\x80',
  b'\r\n',
  b'"',
  b'{',
  b'[',
  b',',
  b'-',
  b'\xef\xbb\xbf',
]
_WHOLE = [
  b'',
  b'\0' * 64,
  b'[' * 100_000,
  b'{"a":' * 50_000,
  b'null',
  b'[]',
  b'{}',
  b'"x"',
  b'1',
  b'NaN',
  b'\xff\xfe{\0}\0',
  b'\xef\xbb\xbf{}',
  b'1' * 5_000,
]
_VALUES = [None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.0, 1e308, 1e-308, 10**6, 2**31, 2**32]
_VALUES += [2**63, 2**64, 10**30, -(10**30), float('nan'), float('inf'), '', 'x', '\0', 'a\0b']
_VALUES += ['../../etc/passwd', '\ud800', 'é' * 100, '[MASK]', 'float64', [], {}, [[]], [None], [0]]
_VALUES += [['x'], {'': None}, {'x': {}}, [[0, 1], [1, 0]], ['a', 1, None, {}]]
_DEEP = '"__deep__"'


def mutated(content: bytes, draw: random.Random) -> bytes:
  """One damaged version of a file; JSON is also damaged as JSON."""
  for _ in range(draw.choice((1, 1, 1, 2, 5))):
    if draw.random() < 0.02:
      return draw.choice(_WHOLE)
    content = (_json if draw.random() < 0.6 else _bytes)(content, draw)
  return content


def _bytes(content: bytes, draw: random.Random) -> bytes:
  at = draw.randrange(len(content) + 1)
  to = min(len(content), at + draw.choice((1, 1, 2, 8, 100)))
  kind = draw.randrange(6)
  if kind == 0:  # a bit
    changed = bytearray(content[at:to])
    for index in range(len(changed)):
      changed[index] ^= 1 << draw.randrange(8)
    return content[:at] + bytes(changed) + content[to:]
  if kind == 1:  # cut off
    return content[:at]
  if kind == 2:  # a hole
    return content[:at] + content[to:]
  if kind == 3:  # twice
    return content[:to] + content[at:]
  if kind == 4:
    return content[:at] + draw.choice(_BYTES) + content[at:]
  return content[:at] + draw.randbytes(to - at) + content[to:]


def _json(content: bytes, draw: random.Random) -> bytes:
  """A value, a key or an entry changed; of JSON lines, in one of them."""
  lines = content.split(b'\n')
  whole = _parsed(content)
  if whole is not None:
    return _text(_changed(whole, draw), draw)
  at = draw.randrange(len(lines))
  one = _parsed(lines[at])
  if one is None:
    return _bytes(content, draw)
  lines[at] = _text(_changed(one, draw), draw)
  return b'\n'.join(lines)


def _parsed(text: bytes):
  try:
    return json.loads(text)
  except (ValueError, RecursionError):
    return None


def _text(value, draw: random.Random) -> bytes:
  text = json.dumps(value, ensure_ascii=draw.random() < 0.5)
  depth = draw.choice((50, 900, 5_000, 100_000))
  text = text.replace(_DEEP, '[' * depth + ']' * depth)
  return text.encode('utf-8', 'surrogatepass')


def _changed(value, draw: random.Random):
  """The same JSON with something else in one place, at any depth."""
  children = []
  if isinstance(value, dict | list):
    children = list(value.items() if isinstance(value, dict) else enumerate(value))
  if not children or draw.random() < 0.1:
    return _other(value, draw)
  key, child = draw.choice(children)
  kind = draw.randrange(10)
  copy = dict(value) if isinstance(value, dict) else list(value)
  if kind == 0:
    del copy[key]
  elif kind == 1 and isinstance(copy, dict):
    copy[draw.choice(('x', '', '\0', str(key).upper(), str(key) + '_'))] = copy.pop(key)
  elif kind == 2 and isinstance(copy, list):
    copy = copy * draw.choice((2, 50))
  elif kind == 3 and isinstance(copy, dict):
    copy[key] = draw.choice(list(copy.values()))
  else:
    copy[key] = _changed(child, draw)
  return copy


def _other(value, draw: random.Random):
  if type(value) in (int, float) and draw.random() < 0.4:
    return draw.choice(
      (value + 1, value - 1, -value, value * 2, value * 10**9, float(value), str(value))
    )
  return draw.choice((*_VALUES, _DEEP.strip('"')))
