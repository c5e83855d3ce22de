"""Tokenizers from one file, without what may lie beside it (data/tokens/pretrained.py)."""

from collections.abc import Mapping
import itertools
import json
from pathlib import Path
import warnings

from etils import epath
import tokenizers

from data.errors import DataError
from data.tokens import tokenizer as tokenizer_lib
from data.tokens import vocabulary_files


def check_path(path: str | Path) -> epath.Path:
  """The path of a tokenizer with ~ expanded.

  Raises:
    DataError: there is no such file.
  """
  path = epath.Path(path).expanduser()
  if not path.exists():
    raise DataError(
      f'data.tokenizer={str(path)!r}: no such file; it is wordpiece, bpe, words or characters, '
      'trained on the corpus, or the path of a vocab.txt or tokenizer.json'
    )
  return path


def load(path: str | Path, lowercase: bool) -> tokenizer_lib.Tokenizer:
  """A tokenizer from a file: BERT's `vocab.txt`, or a `tokenizer.json`.

  Args:
    lowercase: for `vocab.txt`; a `tokenizer.json` has its own rule about case.

  Raises:
    DataError: there is no such file, or it is no tokenizer.
  """
  path = check_path(path)
  try:
    if path.suffix == '.json':
      text = path.read_bytes().decode()
      vocabulary_files.check_ids(json.loads(text), str(path.parent))
      return from_json(text, str(path))
    return tokenizer_lib.from_vocabulary(vocabulary_files.lines(path.read_bytes()), lowercase)
  except DataError:
    raise
  except Exception as error:  # the library raises bare Exception for whatever it cannot parse
    raise DataError(
      f'{path} is not a tokenizer this can read: {str(error)[:300]}. Copy it again from where it '
      'came from.'
    ) from error


def from_json(
  text: str, name: str, names: Mapping[str, str | None] | None = None
) -> tokenizer_lib.Tokenizer:
  """A tokenizer from the text of a `tokenizer.json`; its truncation and padding are switched off.

  Args:
    name: of the file, for warnings.
    names: as of `tokenizer.Tokenizer`.

  Raises:
    DataError: it has no token to frame a document with.
    ValueError: it is not JSON. The library raises a bare Exception for other JSON.
  """
  description = json.loads(text)
  switch_off(description, name)
  usual = itertools.chain.from_iterable(tokenizer_lib.ROLES.values())
  special = set(usual if names is None else names.values())
  for token in description.get('added_tokens', ()):
    token['special'] = token['special'] or token['content'] in special
  return tokenizer_lib.Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(description)), names)


def switch_off(description: dict, name: str):
  """Takes truncation and padding out of the content of a tokenizer.json, with a warning.

  Args:
    name: of the file, for the warning.
  """
  for setting in ('truncation', 'padding'):
    if description.get(setting) is not None:
      message = f'{name} asks for {setting}, which is switched off: rows are cut and padded here'
      warnings.warn(message, stacklevel=2)
      description[setting] = None
