"""What the files beside a vocabulary say, put together as transformers 5 does.

Source: `PreTrainedTokenizerBase._from_pretrained` of transformers 5. Its order:

- `added_tokens_decoder` in tokenizer_config.json is taken alone where it is there.
- Otherwise special_tokens_map.json overrides the names in tokenizer_config.json, and
  added_tokens.json and the `added_tokens` of tokenizer.json are the added tokens.
"""

from collections.abc import Mapping
import json
from typing import Any, NamedTuple

from tokenizers import AddedToken

from data.errors import DataError

NAMES = ('bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token')
CONFIG, SPECIAL, ADDED = 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'
# keys of tokenizer_config.json that name code or files, of which nothing is run or read
_REFUSED = ('auto_map', 'fast_tokenizer_files', 'fix_mistral_regex')

Token = str | AddedToken


class SideFiles(NamedTuple):
  """What a folder says about a tokenizer besides its vocabulary.

  Attributes:
    where: the folder, for messages.
    switches: tokenizer_config.json without its tokens.
    names: of `NAMES`, those that the files give; None where a file says null.
    specific, extra: further special tokens, with and without a name of their own.
    added: added tokens by id.
    notes: what one file says and another one overrules, for people.
  """

  where: str
  switches: dict[str, Any]
  names: dict[str, Token | None]
  specific: list[Token]
  extra: list[Token]
  added: dict[int, AddedToken]
  notes: list[str]


def parse(text: str, where: str) -> dict[str, Any]:
  """A JSON object; raises DataError where it is none."""
  try:
    value = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise DataError(f'{where} is no JSON: {str(error)[:200] or type(error).__name__}') from error
  if not isinstance(value, dict):
    raise DataError(f'{where} holds no JSON object')
  return value


def put_together(where: str, texts: Mapping[str, str], rule: dict[str, Any] | None) -> SideFiles:
  """The side files of a folder as one record.

  Args:
    texts: content of those side files that exist, by name.
    rule: the content of tokenizer.json, if there is one.

  Raises:
    DataError: a file is no JSON object, or a key has a value that transformers refuses as well.
  """
  found = {name: parse(text, f'{where}/{name}') for name, text in texts.items()}
  switches = dict(found.get(CONFIG, {}))
  for key in _REFUSED:
    if switches.pop(key, None):
      raise DataError(
        f'{where}/{CONFIG}: {key} names code or other files, which are not used here. Remove the '
        'key where the files beside it are the whole tokenizer'
      )
  try:
    return _put_together(where, switches, found, rule)
  except (
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
  ) as error:
    raise DataError(f'{where}: its files about special tokens cannot be read: {error}') from error


def _put_together(where, switches, found, rule) -> SideFiles:
  if rule is not None:  # the file's own rule says what is put around a text
    switches.pop('add_bos_token', None)
    switches.pop('add_eos_token', None)
  if 'additional_special_tokens' in switches and not switches.get('extra_special_tokens'):
    switches['extra_special_tokens'] = switches.pop('additional_special_tokens')
  specific = {
    key: switches.pop(key)
    for key in list(switches)
    if key.endswith('_token') and key not in NAMES and isinstance(switches[key], str)
  }
  _move_named(switches, specific)
  before = {key: text_of(switches[key]) for key in NAMES if isinstance(switches.get(key), Token)}
  if 'added_tokens_decoder' in switches:
    listed = switches.pop('added_tokens_decoder')
    added = {int(index): AddedToken(**token) for index, token in listed.items()}
  else:
    _override(switches, found.get(SPECIAL, {}))
    _move_named(switches, specific)
    added = _legacy_added(switches, found.get(ADDED, {}), rule)
  switches = _with_added_tokens(switches)
  if 'extra_special_tokens' not in switches and 'additional_special_tokens' in switches:
    switches['extra_special_tokens'] = switches.pop('additional_special_tokens')
  by_name = {token.content: token for token in added.values()}
  names = {key: switches.pop(key) for key in NAMES if key in switches}
  names = {key: by_name.get(text_of(token), token) for key, token in names.items()}
  extra = list(switches.pop('extra_special_tokens', None) or ())
  others = [('a special token', token) for token in [*specific.values(), *extra]]
  for key, token in [*names.items(), *others]:
    if not isinstance(token, Token if key not in NAMES else Token | None) or token == '':
      raise TypeError(f'{key} is {token!r:.80}, and must be a token')
  return SideFiles(
    where,
    switches,
    names,
    list(specific.values()),
    extra,
    added,
    _overruled(before, names, added, found),
  )


def _overruled(before: dict, names: dict, added: dict, found: dict) -> list[str]:
  """What of the side files has no effect, as lines for people."""
  notes = []
  for key, content in before.items():
    if names.get(key) is None or text_of(names[key]) != content:
      notes.append(f'{key} {content!r} of {CONFIG} is overruled by {SPECIAL}')
  for key in NAMES:
    value = found.get(SPECIAL, {}).get(key)
    content = value.get('content') if isinstance(value, dict) else value
    if content is not None and (names.get(key) is None or text_of(names[key]) != content):
      notes.append(f'{key} {content!r} of {SPECIAL} is not read beside added_tokens_decoder')
  there = {token.content for token in added.values()}
  if missing := sorted(found.get(ADDED, {}).keys() - there):
    notes.append(f'{", ".join(missing[:3])} of {ADDED}: not read beside added_tokens_decoder')
  return notes


def text_of(token: Token | None) -> str:
  """How a token is written."""
  return token.content if isinstance(token, AddedToken) else str(token)


def _move_named(switches: dict, specific: dict):
  """Moves extra special tokens that have names of their own, in place."""
  if isinstance(switches.get('extra_special_tokens'), dict):
    specific |= switches.pop('extra_special_tokens')


def _override(switches: dict, special: dict):
  """special_tokens_map.json over the names of tokenizer_config.json, in place."""
  for key, value in special.items():
    if key == 'extra_special_tokens' and isinstance(value, list):
      before = list(switches.get(key) or [])
      value = before + [token for token in map(_special, value) if token not in before]
    elif key != 'extra_special_tokens':
      value = _special(value)
    switches[key] = value


def _special(value):
  if not isinstance(value, dict):
    return value
  return AddedToken(**{key: flag for key, flag in value.items() if key != 'special'}, special=True)


def _legacy_added(switches: dict, listed: dict, rule: dict | None) -> dict[int, AddedToken]:
  """Added tokens of added_tokens.json, and over them those of tokenizer.json."""
  special = {text_of(switches[key]) for key in NAMES if switches.get(key)}
  special |= {text_of(token) for token in switches.get('extra_special_tokens') or ()}
  added = {}
  for content, index in listed.items():
    known = content in special
    added[int(index)] = AddedToken(content, normalized=not known, special=known)
  for token in (rule or {}).get('added_tokens') or ():
    flags = {key: value for key, value in token.items() if key != 'id'}
    added[int(token['id'])] = AddedToken(**flags)
  return added


def _with_added_tokens(value):
  """The same JSON, in which what is marked as an added token is one."""
  if isinstance(value, list):
    return [_with_added_tokens(each) for each in value]
  if not isinstance(value, dict):
    return value
  if value.get('__type') == 'AddedToken':
    return AddedToken(**{key: flag for key, flag in value.items() if key != '__type'})
  return {key: _with_added_tokens(each) for key, each in value.items()}
