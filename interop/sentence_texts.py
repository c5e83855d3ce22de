"""Reads how long texts are that become vectors: the files of the Transformer of a sentence encoder.

Its other keys must have the values that are computed here, or change no vector.
"""

import math
from pathlib import Path
from typing import Any

from interop import files
from interop.sentence_modules import PLAIN, check, optional
from models.config import ModelConfig
from runtime.errors import WeightsError

TRANSFORMER = 'sentence_bert_config.json'
# Key -> the values with which it changes nothing; it may also be absent.
_TRANSFORMER_MUST: dict[str, tuple] = dict(
  **{key: (value,) for key, value in PLAIN.items()},
  processing_kwargs=({}, None),
  query_length=(None,),
  document_length=(None,),
  query_expansion=(None,),
  tokenizer_name_or_path=(None,),
)
_FLOAT = ('float32', 'torch.float32', 'auto', None)
_KERNELS = ('eager', 'sdpa', 'flash_attention_2', 'flash_attention_3', None)
# Names of an argument, now and before -> its keys and their values; () = any value.
_ARGUMENTS: dict[tuple[str, str], dict[str, tuple]] = {
  ('model_kwargs', 'model_args'): dict(
    attn_implementation=_KERNELS,
    dtype=_FLOAT,
    torch_dtype=_FLOAT,
    add_pooling_layer=(),
    low_cpu_mem_usage=(),
    use_safetensors=(),
  ),
  ('processor_kwargs', 'tokenizer_args'): dict(model_max_length=(), use_fast=()),
  ('config_kwargs', 'config_args'): {},
}
_OLD_NAMES = tuple(
  f'sentence_{name}_config.json'
  for name in ('roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta', 'xlnet')
)


def max_length(folder: Path, config: ModelConfig, model_type: str) -> int:
  """How many tokens of a text are read; what else the files of the Transformer say is checked."""
  asked = _transformer(folder)
  path = folder / 'tokenizer_config.json'
  settings = optional(path)
  side = settings.get('truncation_side') or _truncation_side(folder / 'tokenizer.json')
  if str(side).lower() != 'right':
    raise WeightsError(f'{path} has truncation_side={side!r}; the end of long texts is left out.')
  named = settings.get('model_input_names') or ()
  if model_type == 'gpt2' and 'token_type_ids' in named:
    raise WeightsError(
      f'{path} has model_input_names with token_type_ids: GPT-2 adds the embedding of token 0 to '
      'each token then. Remove it there.'
    )
  if asked is None:
    asked = settings.get('model_max_length', settings.get('max_len'))
    path = path.name if asked is not None else 'nothing'
    asked = min(_length(math.inf if asked is None else asked, path), config.max_length)
  return int(min(_length(asked, folder), config.max_length))


def _length(value: Any, where: Any) -> float:
  if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 1:
    raise WeightsError(f'{where} says that texts have {value!r} tokens at most.')
  return value


def _transformer(folder: Path) -> int | None:
  """How many tokens sentence_bert_config.json says, if it says it; the other keys are checked."""
  path, found = folder / TRANSFORMER, optional(folder / TRANSFORMER)
  for name in () if found else _OLD_NAMES:
    path, found = folder / name, optional(folder / name)
    if found.get('do_lower_case'):
      raise WeightsError(f'{path} has do_lower_case; it is read in {TRANSFORMER}: rename the file.')
    if found:
      break
  arguments = [name for both in _ARGUMENTS for name in both]
  read = ('max_seq_length', 'do_lower_case', 'unpad_inputs', 'cache_dir', *arguments)
  check(found, path, read=read, must=_TRANSFORMER_MUST)
  length = found.get('max_seq_length')
  for both, allowed in _ARGUMENTS.items():
    name = next((name for name in reversed(both) if name in found), both[0])
    given = found.get(name) or {}
    if not isinstance(given, dict):
      raise WeightsError(f'{path} has {name}={given!r:.100}, which is no object.')
    where = f'{path}, {name},'
    any_value = ('trust_remote_code', *(key for key, values in allowed.items() if not values))
    check(given, where, read=any_value, must={key: x for key, x in allowed.items() if x})
    length = given.get('model_max_length', length)
  return length


def _truncation_side(path: Path) -> str:
  """Which end of a text the rule in a tokenizer.json cuts off."""
  if not path.exists():
    return 'right'
  found = files.read_json(path, largest=1 << 30).get('truncation')
  return found.get('direction', 'right') if isinstance(found, dict) else 'right'
