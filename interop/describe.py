"""The Hugging Face config.json of one of our networks: the inverse of `families.read`.

Each config.json is read back with `families.read` and compared before it is used.
"""

from typing import Any

from interop import families, sentence_export
from interop.families import FAMILIES, Family
from interop.huggingface import CLASSIFIERS
from runtime.errors import WeightsError

# Fields of a ModelConfig that change a forward pass without dropout. Only these must survive.
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
# Classes of transformers by the heads that they have; %s is the family's name.
_TUNED = {frozenset({head}): '%s' + suffix for suffix, head in CLASSIFIERS.items()}
_ENCODERS = {
  frozenset(): '%sModel',
  frozenset({'pool'}): '%sModel',
  frozenset({'mlm'}): '%sForMaskedLM',
} | _TUNED
_SENTENCE_PAIRS = {
  frozenset({'mlm', 'nsp'}): '%sForPreTraining',
  frozenset({'nsp'}): '%sForNextSentencePrediction',
}
_WITHOUT_POOLER = {heads: kind for heads, kind in _ENCODERS.items() if 'pool' not in heads}


def _named(name: str, classes: dict[frozenset[str], str]) -> dict[frozenset[str], str]:
  return {heads: kind % name for heads, kind in classes.items()}


CLASSES: dict[str, dict[frozenset[str], str]] = dict(
  bert=_named('Bert', _ENCODERS | _SENTENCE_PAIRS),
  roberta=_named('Roberta', _ENCODERS),
  jina_embeddings_v3=_named(
    'JinaEmbeddingsV3', _ENCODERS | {frozenset({'mlm', 'nsp'}): '%sForMaskedLM'}
  ),
  distilbert=_named('DistilBert', _WITHOUT_POOLER),
  albert=_named('Albert', _ENCODERS),
  gpt2={frozenset({'clm'}): 'GPT2LMHeadModel', frozenset(): 'GPT2Model'},
  llama={frozenset({'clm'}): 'LlamaForCausalLM', frozenset(): 'LlamaModel'},
)
# Heads over the vector of a text, which sentence-transformers computes around a class.
OF_VECTORS = ('vector', 'pair')


def describe(
  fields: dict[str, Any],
  defaults: dict[str, Any],
  mask: str,
  heads: tuple[str, ...],
  ids: dict[str, int],
) -> tuple[Family, dict[str, Any]]:
  """Returns (family, config.json) of the transformers class that computes the same as this network.

  Args:
    fields: of the ModelConfig; a 0 that means "the paper's default" may be resolved or not.
    defaults: value of every field that `families.read` does not set.
    heads: names of models.heads.HEADS.
    ids: ids of special tokens under their names, as in pad_token_id.

  Raises:
    WeightsError: no class does; the message has the reason for each family.
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
      difference = _difference(theirs, fields, defaults, heads)
      if not difference:
        return family, theirs
      reasons.append(f'{name}: {difference}')
  raise WeightsError(
    f'no class of transformers computes this network (mask={mask}, heads: '
    f'{", ".join(heads) or "none"}), so it is not exported:\n'
    + '\n'.join(f'  {reason}' for reason in reasons)
  )


def stock_class(
  fields: dict[str, Any], defaults: dict[str, Any], mask: str, heads: tuple[str, ...], ahead: bool
) -> str:
  """Returns, for people, which class of transformers a network exports to, or why there is none.

  Args:
    fields, defaults, mask, heads: as `describe` takes them.
    ahead: it was trained with mntp, which no class fills blanks with.
  """
  if ahead:
    return 'nothing; no class fills a blank from the position before, as mntp does'
  vectors = set(heads) & set(OF_VECTORS)
  if vectors and (problem := sentence_export.problem(fields, mask)):
    return f'nothing; {problem}'
  try:
    family, theirs = describe(fields, defaults, mask, () if vectors else heads, {})
  except WeightsError as error:
    differs = [line.strip() for line in str(error).splitlines() if ' would be ' in line]
    nearest = min(differs, key=lambda line: line.count(' would be '), default='no class is near')
    return f'nothing; {nearest}'
  name = theirs['architectures'][0]
  if vectors:
    return f'sentence-transformers over {name}'
  return ', without '.join([name, *(head for head in heads if head in family.left_out)])


def _config(name: str, family: Family, fields: dict[str, Any]) -> dict[str, Any]:
  """Returns config.json as the family would write these fields."""
  theirs: dict[str, Any] = dict(model_type=name, dtype='float32')
  for ours, (key, default) in family.read.items():
    value = fields[ours]
    if ours == 'activation':
      value = next(known for known, mine in families.ACTIVATIONS.items() if mine == value)
    elif isinstance(default, float):
      value = float(value)
    theirs[key] = value or None if default is None else value
  # GPT-2 has a second rate, of the embeddings; ours is one rate for both.
  dropout = dict(gpt2='embd_pdrop').get(name)
  return theirs | ({dropout: fields['dropout']} if dropout else {})


def _difference(
  theirs: dict[str, Any], fields: dict[str, Any], defaults: dict[str, Any], heads: tuple[str, ...]
) -> str | None:
  """Returns how the network that this config.json describes differs from ours, or None."""
  try:
    _, read = families.read(theirs, 'its config.json')
  except WeightsError as error:
    return str(error)
  back, ours = _resolved(defaults | read), _resolved(fields)
  wrong = [key for key in _ARITHMETIC if back[key] != ours[key] and not _unused(key, ours, heads)]
  return '; '.join(f'{key} would be {back[key]!r}, and is {ours[key]!r}' for key in wrong) or None


def _unused(key: str, fields: dict[str, Any], heads: tuple[str, ...]) -> bool:
  """Whether a field has no effect on this network."""
  return dict(
    rotary_base=fields['positions'] != 'rotary',
    position_offset=fields['positions'] not in ('learned', 'sinusoidal'),
    classifier_activation='sequence' not in heads,
  ).get(key, False)


def _resolved(fields: dict[str, Any]) -> dict[str, Any]:
  """Returns the fields with each 0 that means "the paper's default" replaced by its value."""
  return fields | dict(
    kv_heads=fields['kv_heads'] or fields['heads'],
    head_width=fields['head_width'] or fields['width'] // fields['heads'],
  )
