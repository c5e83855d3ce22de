"""Vocabularies as files hold them: vocab.txt, vocab.json and merges.txt, tokenizer.json."""

from collections import Counter
import json
from typing import Any

from etils import epath

from data.errors import DataError

_IDS = 1 << 24  # arrays as long as the largest id are made; published vocabularies end below 2^20
NAMES = ('tokenizer.json', 'vocab.txt', 'vocab.json', 'merges.txt')
# what the tokenizers library strips from the end of a line: Unicode's White_Space
_SPACE = '\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008'
_SPACE += '\u2009\u200a\u2028\u2029\u202f\u205f\u3000'
# Highest id of a vocabulary with holes: so many times its tokens, and so many more.
_SPARSE, _UNUSED = 4, 65_536


def lines(content: bytes) -> list[str]:
  """The lines of a vocab.txt, as the tokenizers library reads them.

  Raises:
    DataError: a byte order mark, or bytes that are not UTF-8.
  """
  if content.startswith(b'\xef\xbb\xbf'):
    raise DataError('it begins with a byte order mark, which would be part of its first token')
  found = content.decode().split('\n')
  return [line.rstrip(_SPACE) for line in (found if found[-1] else found[:-1])]


def numbered(content: bytes) -> dict[str, int]:
  """The ids of a vocab.txt; of a repeated line the last counts, and no token has the other ids."""
  return {token: index for index, token in enumerate(lines(content))}


def read(folder: epath.Path, kind: str, names: tuple[str, ...]) -> tuple[dict, list]:
  """({token: id}, merges) of the files of a class that has no tokenizer.json.

  Raises:
    DataError: a file is missing or damaged.
  """
  missing = [name for name in names if not (folder / name).exists()]
  if missing or not names:
    needed = ' and '.join(names) or 'tokenizer.json'
    raise DataError(f'{folder}: tokenizer_class {kind} needs {needed}, which is not there')
  try:
    if names == ('vocab.txt',):
      return numbered((folder / 'vocab.txt').read_bytes()), []
    vocabulary = json.loads((folder / 'vocab.json').read_bytes())
    check_vocabulary(vocabulary, f'{folder}/vocab.json')
    return vocabulary, _merges((folder / 'merges.txt').read_bytes().decode())
  except (ValueError, RecursionError, DataError) as error:
    raise DataError(f'{folder}: {" and ".join(names)} cannot be read: {error}') from error


def _merges(text: str) -> list[tuple[str, str]]:
  merges = []
  for number, line in enumerate(text.split('\n'), start=1):
    line = line.removesuffix('\r')
    if line.startswith('#version') or not line and number == text.count('\n') + 1:
      continue
    parts = line.split(' ')
    if len(parts) != 2:
      raise DataError(f'line {number} of merges.txt is {line[:80]!r}, not two tokens')
    merges.append((parts[0], parts[1]))
  return merges


def of_rule(rule: dict[str, Any], model: str, kind: str, where: str) -> tuple[Any, list]:
  """(vocabulary, merges) in a tokenizer.json, which must hold a model of this type.

  Raises:
    DataError: it holds another model, or a damaged one.
  """
  held = rule.get('model')
  type_of = held.get('type', model) if isinstance(held, dict) else None
  if type_of != model:
    raise DataError(
      f'{where}: tokenizer_class {kind} needs a {model} model, and tokenizer.json holds '
      f'{type_of or "none"}'
    )
  check_ids(rule, where)
  vocabulary = held['vocab']
  if isinstance(vocabulary, list):
    vocabulary = [tuple(entry) for entry in vocabulary]
  merges = held.get('merges') or []
  return vocabulary, [tuple(pair.split(' ') if isinstance(pair, str) else pair) for pair in merges]


def check_ids(rule: dict[str, Any], where: str):
  """Refuses a tokenizer.json in which two tokens share an id, or that has no vocabulary."""
  held = rule.get('model')
  vocabulary = held.get('vocab') if isinstance(held, dict) else None
  if not isinstance(vocabulary, dict | list) or not vocabulary:
    raise DataError(f'{where}: tokenizer.json has no model with a vocabulary')
  if isinstance(vocabulary, dict):
    check_vocabulary(vocabulary, f'{where}: tokenizer.json')
  added = rule.get('added_tokens') or ()
  for token in added if isinstance(added, list) else ():
    if isinstance(token, dict) and type(token.get('id')) is int:
      _check_id(token['id'], len(vocabulary) + len(added), f'{where}: tokenizer.json')


def check_vocabulary(vocabulary: Any, where: str):
  """Refuses {token: id} in which an id is no number, or too large, or two tokens share one."""
  if not isinstance(vocabulary, dict):
    raise DataError(f'{where} holds no JSON object of tokens and ids')
  for token, index in vocabulary.items():
    if type(index) is not int or not 0 <= index < _IDS:
      raise DataError(f'{where}: {token[:40]!r} has id {index!r:.40}')
    _check_id(index, len(vocabulary), where)
  if len(set(vocabulary.values())) < len(vocabulary):
    index, _ = Counter(vocabulary.values()).most_common(1)[0]
    shared = [token for token, other in vocabulary.items() if other == index]
    raise DataError(f'{where}: {shared[0][:40]!r} and {shared[1][:40]!r} share the id {index}')


def unwritable(model: dict[str, Any]) -> str | None:
  """Why the library cannot encode unknown text; None where it can.

  Args:
    model: of a tokenizer.json.
  """
  kind, unknown = model['type'], model.get('unk_token')
  if kind in ('WordPiece', 'WordLevel') and unknown not in model['vocab']:
    return f'unk_token {unknown!r} of the {kind} model is not in its vocabulary'
  if kind == 'Unigram' and model.get('unk_id') is None and not model.get('byte_fallback'):
    return 'the Unigram model has no unk_id, so unknown text cannot be encoded'
  return None


def _check_id(index: int, count: int, where: str):
  """Refuses an id far above the number of tokens: tables grow with the highest id."""
  if not 0 <= index < _SPARSE * count + _UNUSED:
    raise DataError(f'{where}: id {index:,} in a vocabulary of {count:,} tokens')


def described(folder: epath.Path) -> tuple[str | None, str | None]:
  """(`model_type`, `tokenizer_class`) of a Hugging Face config.json; None where it says none."""
  path = folder / 'config.json'
  try:
    config = json.loads(path.read_bytes()) if path.exists() else {}
  except (ValueError, RecursionError):
    return None, None  # whoever reads the model says what is wrong
  if not isinstance(config, dict) or not isinstance(config.get('model_type'), str):
    return None, None
  return config['model_type'], config.get('tokenizer_class')
