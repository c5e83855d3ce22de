"""The config.json of Hugging Face for a network of ours:
`families.read` backwards, and proved by it.
"""

from typing import Any

from interop import families
from interop.families import FAMILIES, Family
from interop.huggingface import CLASSIFIERS
from runtime.errors import WeightsError

# What changes the arithmetic of a forward pass without
# dropout; the rest of a ModelConfig need not survive.
_ARITHMETIC = (
  'vocab_size',
  'layers',
  'width',
  'heads',
  'kv_heads',
  'head_width',
  'feed_forward',
  'embedding_width',
  'max_length',
  'positions',
  'position_offset',
  'rotary_base',
  'segment_types',
  'norm',
  'norm_position',
  'norm_epsilon',
  'embedding_norm',
  'final_norm',
  'qk_norm',
  'activation',
  'gated',
  'bias',
  'shared_layers',
  'tie_embeddings',
  'classifier_activation',
)
# Stock classes by the heads that they have.
_TUNED = {frozenset({head}): '%s' + suffix for suffix, head in CLASSIFIERS.items()}
_ENCODERS = {
  frozenset(): '%sModel',
  frozenset({'pool'}): '%sModel',
  frozenset({'mlm'}): '%sForMaskedLM',
} | _TUNED
_named = lambda name, classes: {heads: kind % name for heads, kind in classes.items()}
CLASSES: dict[str, dict[frozenset[str], str]] = dict(
  bert=_named(
    'Bert',
    _ENCODERS
    | {
      frozenset({'mlm', 'nsp'}): '%sForPreTraining',
      frozenset({'nsp'}): '%sForNextSentencePrediction',
    },
  ),
  roberta=_named('Roberta', _ENCODERS),
  distilbert=_named(
    'DistilBert', {heads: kind for heads, kind in _ENCODERS.items() if 'pool' not in heads}
  ),
  albert=_named('Albert', _ENCODERS),
  gpt2={frozenset({'clm'}): 'GPT2LMHeadModel'},
  llama={frozenset({'clm'}): 'LlamaForCausalLM'},
)


def describe(
  fields: dict[str, Any],
  defaults: dict[str, Any],
  mask: str,
  heads: tuple[str, ...],
  ids: dict[str, int],
) -> tuple[Family, dict[str, Any]]:
  """(family, config.json) of the stock class that computes what this network computes.

  Args:
    fields: of the ModelConfig; a 0 that means "as the paper" may be resolved or not.
    defaults: of every field, under which `families.read` was completed.
    ids: their names of special tokens, as in pad_token_id.

  Raises:
    WeightsError: no stock class does, with the reason for each family.
  """
  reasons, classifying = [], {*CLASSIFIERS.values()}
  for name, family in FAMILIES.items():
    classes = CLASSES[name]
    if mask != family.mask:
      reasons.append(f'{name}: its mask is {family.mask}')
    elif frozenset(heads) not in classes:
      reasons.append(f'{name}: no class has the heads {", ".join(heads) or "none"} alone')
    else:
      theirs = _config(name, family, fields) | ids | dict(architectures=[classes[frozenset(heads)]])
      if classifying & set(heads):
        labels = [f'LABEL_{index}' for index in range(fields['classes'])]
        theirs |= dict(
          id2label={str(index): label for index, label in enumerate(labels)},
          label2id={label: index for index, label in enumerate(labels)},
        )
      differs = _difference(theirs, fields, defaults, heads)
      if not differs:
        return family, theirs
      reasons.append(f'{name}: {differs}')
  raise WeightsError(
    f'no class of transformers computes this network (mask={mask}, heads: '
    f'{", ".join(heads) or "none"}), so it is not exported:\n'
    + '\n'.join(f'  {reason}' for reason in reasons)
  )


def _config(name: str, family: Family, fields: dict[str, Any]) -> dict[str, Any]:
  theirs: dict[str, Any] = dict(model_type=name, dtype='float32')
  for ours, (key, default) in family.read.items():
    value = fields[ours]
    if ours == 'activation':
      value = next(known for known, mine in families.ACTIVATIONS.items() if mine == value)
    elif isinstance(default, float):
      value = float(value)
    theirs[key] = value or None if default is None else value
  dropout = dict(gpt2='embd_pdrop').get(name)  # the one that our single rate also stands for
  return theirs | ({dropout: fields['dropout']} if dropout else {})


def _difference(
  theirs: dict[str, Any], fields: dict[str, Any], defaults: dict[str, Any], heads: tuple[str, ...]
) -> str | None:
  """Why what they would read is not this network, or None."""
  try:
    _, read = families.read(theirs, 'its config.json')
  except WeightsError as error:
    return str(error)
  back, mine = _resolved(defaults | read), _resolved(fields)
  wrong = [key for key in _ARITHMETIC if back[key] != mine[key] and not _idle(key, mine, heads)]
  return '; '.join(f'{key} would be {back[key]!r}, and is {mine[key]!r}' for key in wrong) or None


def _idle(key: str, fields: dict[str, Any], heads: tuple[str, ...]) -> bool:
  """Whether a field says nothing about this network."""
  return dict(
    rotary_base=fields['positions'] != 'rotary',
    position_offset=fields['positions'] not in ('learned', 'sinusoidal'),
    classifier_activation='sequence' not in heads,
  ).get(key, False)


def _resolved(fields: dict[str, Any]) -> dict[str, Any]:
  """Zeros that stand for "as the paper" made numbers."""
  return fields | dict(
    kv_heads=fields['kv_heads'] or fields['heads'],
    head_width=fields['head_width'] or fields['width'] // fields['heads'],
    embedding_width=fields['embedding_width'] or fields['width'],
  )
