"""The tokenizer of a Hugging Face folder: what AutoTokenizer of transformers 5 makes of its files.

A class of transformers takes no more than vocabulary and merges from a tokenizer.json: normalizer
and pre-tokenizer are its own, set by the switches in tokenizer_config.json. So two files may
contradict each other; what is not taken is said in a warning.
"""

import json
from pathlib import Path
from typing import Any
import warnings

from etils import epath
import tokenizers
from tokenizers import AddedToken, normalizers, processors

from data.errors import DataError
from data.tokens import notes, reading, side_files, vocabulary_files
from data.tokens import tokenizer as tokenizer_lib
from data.tokens.kinds import KINDS, Kind, Parts
from data.tokens.side_files import SideFiles, text_of

_SENTENCES = 'sentence_bert_config.json'
SIDE = (side_files.CONFIG, side_files.SPECIAL, side_files.ADDED)
# classes that take a tokenizer.json as it is
_AS_IT_IS = ('PreTrainedTokenizer', 'TokenizersBackend', 'PythonBackend')
# model_type of a config.json that names no class; any other takes a tokenizer.json as it is
_OF_MODEL = dict(
  bert='BertTokenizer',
  distilbert='BertTokenizer',
  roberta='RobertaTokenizer',
  albert='AlbertTokenizer',
  gpt2='GPT2Tokenizer',
)


def read(
  folder: epath.PathLike, model_type: str | None = None, class_name: str | None = None
) -> tokenizer_lib.Tokenizer | None:
  """The tokenizer of a folder; None where it has no vocabulary.

  Args:
    model_type, class_name: `model_type` and `tokenizer_class` of its config.json.

  Raises:
    DataError: a file cannot be read, or asks for what is not known here; the message names file
      and key.
  """
  folder = epath.Path(folder)
  there = {name for name in vocabulary_files.NAMES if (folder / name).exists()}
  return _read(folder, there, model_type, class_name) if there else None


def load(path: str | Path, lowercase: bool) -> tokenizer_lib.Tokenizer:
  """A tokenizer from a file, with the side files of its folder; or from a folder.

  Args:
    lowercase: for a `vocab.txt` without side files; otherwise they say it.

  Raises:
    DataError: as `read`, or there is no such file.
  """
  path = epath.Path(path).expanduser()
  if path.is_dir():
    tokenizer = read(path, *vocabulary_files.described(path))
    if tokenizer is None:
      raise DataError(f'{path} holds none of {", ".join(vocabulary_files.NAMES)}')
    return tokenizer
  model_type, class_name = vocabulary_files.described(path.parent)
  alone = model_type is None and not any((path.parent / name).exists() for name in SIDE)
  if alone or not path.exists() or path.name not in vocabulary_files.NAMES:
    return reading.load(path, lowercase)
  there = {'vocab.json', 'merges.txt'} if path.name == 'vocab.json' else {path.name}
  tokenizer = _read(path.parent, there, model_type, class_name)
  if path.name == 'vocab.txt' and lowercase != ('in lower case' in tokenizer.normalised):
    message = f'{path}: the files beside it say do_lower_case={not lowercase}, and they decide'
    warnings.warn(message, stacklevel=2)
  return tokenizer


def _read(
  folder: epath.Path, there: set[str], model_type: str | None, class_name: str | None
) -> tokenizer_lib.Tokenizer:
  where = str(folder)
  texts = {name: _text(folder / name) for name in SIDE if (folder / name).exists()}
  rule = None
  if 'tokenizer.json' in there:
    rule = side_files.parse(_text(folder / 'tokenizer.json'), f'{where}/tokenizer.json')
    reading.switch_off(rule, f'{where}/tokenizer.json')
    vocabulary_files.check_ids(rule, where)
  settings = side_files.parse(texts.get(side_files.CONFIG, '{}'), f'{where}/{side_files.CONFIG}')
  name = _class(where, settings.get('tokenizer_class') or class_name, model_type, there)
  kind = KINDS.get(name)
  side = side_files.put_together(where, texts, rule)
  names = (kind.names if kind else {}) | side.names
  try:
    made = _make(folder, name, side, names, rule)
  except DataError:
    raise
  except Exception as error:  # the library raises bare Exception for whatever it cannot parse
    raise DataError(f'{where}: not a tokenizer that this can read: {error}') from error
  _lower_case(folder, made)
  said = side.notes + notes.second(folder, there, rule)
  for note in said + notes.ignored(side, kind, made) + notes.replaced(name, rule, made):
    warnings.warn(f'{where}: {note}, as in transformers 5', stacklevel=4)
  return tokenizer_lib.Tokenizer(made, _roles(names, kind))


def _text(path: epath.Path) -> str:
  try:
    return path.read_bytes().decode()
  except ValueError as error:
    raise DataError(f'{path} is not UTF-8: {error}') from error


def _class(where: str, declared: Any, model_type: str | None, there: set[str]) -> str | None:
  """The class in `KINDS` that transformers takes; None: tokenizer.json as it is."""
  if declared is not None and not isinstance(declared, str):
    raise DataError(f'{where}: tokenizer_class is {declared!r:.80}, and must be a name')
  name = (declared or '').removesuffix('Fast')
  if not name and isinstance(model_type, str):
    name = _OF_MODEL.get(model_type)
  if name in KINDS:
    return name
  if name and name not in _AS_IT_IS:
    raise DataError(
      f'{where}: tokenizer_class {declared!r} is not known here; known are '
      f'{", ".join(sorted(KINDS))} and PreTrainedTokenizerFast. Where tokenizer.json is the whole '
      'rule, write the last one there'
    )
  if 'tokenizer.json' in there:
    return None
  if not name and model_type is None and 'vocab.txt' in there:
    return 'BertTokenizer'
  raise DataError(
    f'{where}: {", ".join(sorted(there))} without tokenizer.json: tokenizer_class in '
    f'{side_files.CONFIG} must say which rule it is: one of {", ".join(sorted(KINDS))}'
  )


def _make(folder: epath.Path, name: str | None, side: SideFiles, names: dict, rule: dict | None):
  """The tokenizer of the library, with its added tokens and what it puts around a text."""
  if name is None:
    made = tokenizers.Tokenizer.from_str(json.dumps(rule))
    _add_tokens(made, side, names)
    return made
  kind = KINDS[name]
  for key in ('unk_token', *(('cls_token', 'sep_token') if kind.frame else ())):
    if names[key] is None:
      raise DataError(f'{side.where}: {key} is null, and a {name} needs one')
  switches = _switches(side, kind)
  if rule is None:
    vocabulary, merges = vocabulary_files.read(folder, name, kind.files)
  else:
    vocabulary, merges = vocabulary_files.of_rule(rule, kind.model, name, side.where)
  texts = {key: None if token is None else text_of(token) for key, token in names.items()}
  made = kind.make(Parts(vocabulary, merges, switches, texts, rule or {}))
  _add_tokens(made, side, names)
  if kind.frame:
    begin, end = ((texts[key], made.token_to_id(texts[key])) for key in ('cls_token', 'sep_token'))
    made.post_processor = kind.frame(begin, end, switches)
  elif rule is not None:
    described = json.loads(made.to_str()) | dict(post_processor=rule.get('post_processor'))
    made = tokenizers.Tokenizer.from_str(json.dumps(described))
  else:
    _add_bos_and_eos(made, side, texts)
  return made


def _lower_case(folder: epath.Path, made: tokenizers.Tokenizer):
  """Obeys `do_lower_case` of a folder of sentence-transformers, as its class Transformer does."""
  path, rule = folder / _SENTENCES, made.normalizer
  if not path.exists() or not side_files.parse(_text(path), str(path)).get('do_lower_case'):
    return
  if rule is None or rule.normalize_str('A') != 'a':
    made.normalizer = normalizers.Sequence([normalizers.Lowercase(), *([rule] if rule else [])])
    message = f'{path}: do_lower_case puts texts into lower case, as in sentence-transformers'
    warnings.warn(message, stacklevel=4)


def _switches(side: SideFiles, kind: Kind) -> dict[str, Any]:
  """The switches that a class obeys; raises DataError where one is no boolean."""
  switches = {key: side.switches.get(key, default) for key, default in kind.switches.items()}
  for key, value in switches.items():
    may_be_null = kind.switches[key] is None or key in ('add_prefix_space', 'legacy')
    if not isinstance(value, bool) and not (value is None and may_be_null):
      raise DataError(f'{side.where}/{side_files.CONFIG}: {key} is {value!r:.80}, not a boolean')
  return switches


def _add_tokens(made: tokenizers.Tokenizer, side: SideFiles, names: dict):
  """Adds the added and the special tokens, in the order of `TokenizersBackend.__init__`."""
  before = made.get_added_tokens_decoder().values()
  known = {repr(token) for token in before}
  adding = [token for _, token in sorted(side.added.items()) if repr(token) not in known]
  there = {token.content for token in [*before, *adding]}
  ordered = [names[key] for key in side_files.NAMES if names.get(key) is not None]
  named = {text_of(token) for token in [*ordered, *side.specific]}
  for token in [*ordered, *side.specific, *side.extra]:
    if text_of(token) not in there and token not in adding:
      adding.append(token)
  for number, token in enumerate(adding):
    if isinstance(token, str):
      adding[number] = AddedToken(token, special=True)
    elif token.content in named:
      token.special = True
  made.add_tokens(adding)


def _add_bos_and_eos(made: tokenizers.Tokenizer, side: SideFiles, texts: dict):
  """What vocab.json with add_bos_token or add_eos_token puts around a text."""
  keys = [
    key if side.switches.get(f'add_{key}') and texts.get(key) is not None else None
    for key in ('bos_token', 'eos_token')
  ]
  if any(keys):
    begin, end = ([texts[key]] if key else [] for key in keys)
    names = [*begin, *end]
    made.post_processor = processors.TemplateProcessing(
      single=[*begin, '$A', *end],
      special_tokens=[(token, made.token_to_id(token)) for token in dict.fromkeys(names)],
    )


def _roles(names: dict, kind: Kind | None) -> dict[str, str | None]:
  """The token of each role that the files name; a class has no other ones."""
  text = {key: text_of(token) for key, token in names.items() if token is not None}
  framed = kind is None or kind.frame is not None
  roles = dict(
    bos=(text.get('cls_token') if framed else None) or text.get('bos_token'),
    eos=(text.get('sep_token') if framed else None) or text.get('eos_token'),
    pad=text.get('pad_token'),
    mask=text.get('mask_token'),
    unknown=text.get('unk_token'),
  )
  if roles['unknown'] in (roles['bos'], roles['eos']):
    roles['unknown'] = None  # as GPT-2's, whose rule knows every byte
  if kind is None:
    return {role: name for role, name in roles.items() if name is not None}
  return roles
