"""What the files of a tokenizer say without effect, as transformers 5 reads them, for people."""

import json

from etils import epath
import tokenizers

from data.errors import DataError
from data.tokens import side_files, vocabulary_files
from data.tokens.kinds import Kind
from data.tokens.side_files import SideFiles

# a switch, and the values that change nothing where a class does not obey it
_NEUTRAL = dict(
  do_lower_case=(None, False),
  strip_accents=(None, False),
  tokenize_chinese_chars=(None, True),
  do_basic_tokenize=(None, True),
  never_split=(None, []),
  add_prefix_space=(None, False),
)
# the same switches in the rule of a tokenizer.json
_IN_RULE = dict(
  do_lower_case='lowercase',
  strip_accents='strip_accents',
  tokenize_chinese_chars='handle_chinese_chars',
  add_prefix_space='add_prefix_space',
)


def second(folder: epath.Path, there: set[str], rule: dict | None) -> list[str]:
  """Vocabularies beside a tokenizer.json that are not the same."""
  if rule is None:
    return []
  held, notes = rule['model']['vocab'], []
  for name, read in (('vocab.txt', vocabulary_files.numbered), ('vocab.json', json.loads)):
    try:
      if name in there and read((folder / name).read_bytes()) != held:
        notes.append(f'{name} is not the vocabulary of tokenizer.json, which is taken')
    except (ValueError, RecursionError, DataError):
      notes.append(f'{name} cannot be read; tokenizer.json is taken')
  return notes


def ignored(side: SideFiles, kind: Kind | None, made: tokenizers.Tokenizer) -> list[str]:
  """Switches that would change tokens, and that the class does not obey."""
  rule = json.loads(made.to_str())
  steps = [part for part in (rule['normalizer'], rule['pre_tokenizer']) if part]
  notes = []
  for key, neutral in _NEUTRAL.items():
    if key not in side.switches or (kind and key in kind.switches):
      continue
    value, name = side.switches[key], _IN_RULE.get(key)
    said = [step[name] for step in steps if name in step]
    if value not in (said or neutral):
      notes.append(f'{key}={value!r:.80} of {side_files.CONFIG} has no effect')
  return notes


def replaced(name: str | None, rule: dict | None, made: tokenizers.Tokenizer) -> list[str]:
  """Parts of tokenizer.json that the class does not take."""
  if name is None or rule is None:
    return []
  built, held = json.loads(made.to_str()), dict(rule)
  # in the spelling of this version of the library, without what takes long
  small = dict(rule['model'])
  if small.get('type') in ('BPE', 'WordPiece', 'WordLevel'):
    small |= dict(vocab={}, merges=[]) if small['type'] == 'BPE' else dict(vocab={})
  try:
    held = json.loads(
      tokenizers.Tokenizer.from_str(
        json.dumps(rule | dict(model=small, added_tokens=[], post_processor=None))
      ).to_str()
    )
  except Exception:  # parts that this version cannot read are not taken either
    held = dict(rule)
  notes = [
    f'{part} of tokenizer.json is not taken: a {name} has its own, set by {side_files.CONFIG}'
    for part in ('normalizer', 'pre_tokenizer')
    if held.get(part) != built[part]
  ]
  keys = ('continuing_subword_prefix', 'max_input_chars_per_word', 'end_of_word_suffix')
  for key in (*keys, 'byte_fallback', 'dropout', 'ignore_merges', 'unk_id'):
    if (held['model'].get(key) or None) != (built['model'].get(key) or None):
      notes.append(f'{key} of tokenizer.json is not taken: a {name} has its own')
  return notes
