"""The Hugging Face config.json of one of our networks: the inverse of `families.read`.

Each config.json is read back with `families.read` and compared before it is used.
"""

from typing import Any

from inference.labels import Labels
from interop import alternating, families, sentence_export
from interop.families import FAMILIES, Family
from interop.huggingface import CHOICES, CLASSIFIERS
from interop.labels import write_labels
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
  'window',
  'global_every',
  'window_rotary_base',
  'segment_types',
  'norm',
  'norm_position',
  'norm_epsilon',
  'embedding_norm',
  'final_norm',
  'skip_first_norm',
  'qk_norm',
  'activation',
  'gated',
  'bias',
  'norm_bias',
  'shared_layers',
  'tie_embeddings',
  'classifier_activation',
  'plain_heads',
  'normed_heads',
  'shared_head',
  'plain_mlm',
)
_OF_LAYERS = ('window', 'global_every', 'rotary_base', 'window_rotary_base')
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
  albert=_named('Albert', _ENCODERS | {frozenset({'mlm', 'nsp'}): '%sForPreTraining'}),
  gpt2=_named('GPT2', _TUNED | {frozenset({'clm'}): '%sLMHeadModel', frozenset(): '%sModel'}),
  modernbert=_named('ModernBert', _WITHOUT_POOLER),
  llama=_named('Llama', _TUNED | {frozenset({'clm'}): '%sForCausalLM', frozenset(): '%sModel'}),
)
CLASSES['modernbert-decoder'] = _named(
  'ModernBertDecoder',
  {
    frozenset({'clm'}): '%sForCausalLM',
    frozenset(): '%sModel',
    frozenset({'sequence'}): '%sForSequenceClassification',
  },
)
CLASSES |= {
  'xlm-roberta': _named('XLMRoberta', _ENCODERS),
  'camembert': _named('Camembert', _ENCODERS),
  'electra': _named('Electra', _WITHOUT_POOLER | {frozenset({'replaced'}): '%sForPreTraining'}),
  'openai-gpt': _named(
    'OpenAIGPT',
    {
      frozenset({'clm'}): '%sLMHeadModel',
      frozenset(): '%sModel',
      frozenset({'sequence'}): '%sForSequenceClassification',
    },
  ),
  'eurobert': _named(
    'EuroBert',
    {
      frozenset({'mlm'}): '%sForMaskedLM',
      frozenset(): '%sModel',
      frozenset({'tokens'}): '%sForTokenClassification',
    },
  ),
}
# Heads over the vector of a text, which sentence-transformers computes around a class.
OF_VECTORS = ('vector', 'pair')


def describe(
  fields: dict[str, Any],
  defaults: dict[str, Any],
  mask: str,
  heads: tuple[str, ...],
  ids: dict[str, int],
  labels: Labels | None = None,
  pooling: str = '',
  choices: bool = False,
) -> tuple[Family, dict[str, Any]]:
  """Returns (family, config.json) of the transformers class that computes the same as this network.

  Args:
    fields: of the ModelConfig; a 0 that means "the paper's default" may be resolved or not.
    defaults: value of every field that `families.read` does not set.
    heads: names of models.heads.HEADS.
    ids: ids of special tokens under their names, as in pad_token_id.
    labels: names of the outputs of a head for labels, where they are known.
    pooling: which state such a head reads of a text; '' = that of the class.
    choices: it scores the answers to a question.

  Raises:
    WeightsError: no class does; the message has the reason for each family.
  """
  reasons = []
  for name, family in FAMILIES.items():
    classes = CLASSES[name]
    if mask != family.mask:
      reasons.append(f'{name}: its mask is {family.mask}')
    elif choices and family.choices is None:
      reasons.append(f'{name}: it has no class that chooses among answers')
    elif frozenset(heads) not in classes:
      reasons.append(f'{name}: no class has the heads {", ".join(heads) or "none"} alone')
    else:
      architecture = classes[frozenset(heads)]
      if choices:
        family = family.of_choices()
        architecture = architecture.replace('ForSequenceClassification', CHOICES)
      theirs = _config(name, family, fields) | ids | dict(architectures=[architecture])
      if 'sequence' in heads and pooling in family.poolings:
        theirs |= dict(classifier_pooling=family.poolings[pooling])
      if {*CLASSIFIERS.values()} & {*heads} and not choices:
        theirs |= write_labels(labels, fields['classes'])
      difference = _difference(theirs, fields, defaults, heads) or _pooled(family, heads, pooling)
      if not difference:
        return family, theirs
      reasons.append(f'{name}: {difference}')
  raise WeightsError(
    f'no class of transformers computes this network (mask={mask}, heads: '
    f'{", ".join(heads) or "none"}), so it is not exported:\n'
    + '\n'.join(f'  {reason}' for reason in reasons)
    + ('' if choices and mask == 'causal' else _advice(mask, heads))
  )


def _pooled(family: Family, heads: tuple[str, ...], pooling: str) -> str | None:
  """Returns how a class reads a text otherwise, or None."""
  theirs = 'last' if family.mask == 'causal' else 'first'
  if 'sequence' not in heads or pooling in ('', theirs, *family.poolings):
    return None
  return f'finetune.pooling would be {theirs!r}, and is {pooling!r}'


def _advice(mask: str, heads: tuple[str, ...]) -> str:
  """Returns with what knobs a head for labels is trained that some class computes."""
  if not {*heads} & {*CLASSIFIERS.values()}:
    return ''
  causal = '--config.finetune.pooling=last --config.model.plain_heads=True'
  knobs = causal if mask == 'causal' else '--config.finetune.pooling=first'
  return f'\n  Train the head with {knobs}: then the other differences decide.'


def labelled_alone(heads: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Returns (heads of a class, heads that it has no place for): one for labels stands alone."""
  own = tuned(heads)
  return (own, tuple(head for head in heads if head not in own)) if own else (heads, ())


def tuned(heads: tuple[str, ...]) -> tuple[str, ...]:
  """Those of the heads that are for labels."""
  return tuple(head for head in heads if head in CLASSIFIERS.values())


def stock_class(
  fields: dict[str, Any],
  defaults: dict[str, Any],
  mask: str,
  heads: tuple[str, ...],
  ahead: bool,
  pooling: str = '',
  choices: bool = False,
) -> str:
  """Returns, for people, which class of transformers a network exports to, or why there is none.

  Args:
    fields, defaults, mask, heads, pooling, choices: as `describe` takes them.
    ahead: it was trained with mntp, which no class fills blanks with.
  """
  if ahead:
    return 'nothing; no class fills a blank from the position before, as mntp does'
  vectors = set(heads) & set(OF_VECTORS)
  if vectors and (problem := sentence_export.problem(fields, mask)):
    return f'nothing; {problem}'
  heads, aside = labelled_alone(heads)
  computed = () if vectors else heads
  try:
    read = dict(pooling=pooling, choices=choices)
    family, theirs = describe(fields, defaults, mask, computed, {}, **read)
  except WeightsError as error:
    differs = [line.strip() for line in str(error).splitlines() if ' would be ' in line]
    nearest = min(differs, key=lambda line: line.count(' would be '), default='no class is near')
    return f'nothing; {nearest}'
  name = theirs['architectures'][0]
  if vectors:
    return f'sentence-transformers over {name}'
  lost = [*aside, *(head for head in heads if head in family.left_out)]
  return ', without '.join([name, *lost])


def _config(name: str, family: Family, fields: dict[str, Any]) -> dict[str, Any]:
  """Returns config.json as the family would write these fields."""
  theirs: dict[str, Any] = dict(model_type=name, dtype='float32')
  for ours, (key, default) in family.read.items():
    value = fields[ours]
    if ours == 'activation':
      value = next((known for known, mine in family.activations.items() if mine == value), value)
    elif family.alternating and ours in _OF_LAYERS:
      continue
    elif isinstance(default, float):
      value = float(value)
    if ours == 'embedding_width' and not family.always_projects:
      value = value or fields['width']
    theirs[key] = value or None if default is None else value
  if family.alternating:
    theirs |= alternating.write(fields, family.mask == 'causal')
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
    shared_layers=fields['shared_layers'],  # an export repeats them where a class has L
    rotary_base=fields['positions'] != 'rotary',
    position_offset=fields['positions'] not in ('learned', 'sinusoidal'),
    classifier_activation='sequence' not in heads or fields['plain_heads'],
    normed_heads=not {*CLASSIFIERS.values()} & {*heads},
    shared_head='clm' not in heads,
    plain_mlm='mlm' not in heads,
    plain_heads='sequence' not in heads and (fields['bias'] or not {'tokens', 'span'} & {*heads}),
  ).get(key, False)


def _resolved(fields: dict[str, Any]) -> dict[str, Any]:
  """Returns the fields with each value that means another one, or nothing here, replaced."""
  layers, every = fields['layers'], min(fields['global_every'], fields['layers'])
  windowed = bool(fields['window']) and not (every == 1 or layers == 1 and every)
  base = fields['window_rotary_base'] or fields['rotary_base']
  biased = fields['bias'] if fields['norm_bias'] == 'same' else fields['norm_bias'] == 'yes'
  return fields | dict(
    kv_heads=fields['kv_heads'] or fields['heads'],
    head_width=fields['head_width'] or fields['width'] // fields['heads'],
    window=fields['window'] if windowed else 0,
    global_every=every if windowed else 1,
    window_rotary_base=base if windowed and fields['positions'] == 'rotary' else 0.0,
    norm_bias=biased if fields['norm'] == 'layer' else 'same',
  )
