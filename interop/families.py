"""How a Hugging Face config.json becomes a ModelConfig: one table per model family.

Every key of a config.json is read, or must have the one value that this network implements, or is
known to change no result (interop/keys.py). Any other key is refused by name: ignoring a key that
matters would give wrong outputs without an error.
"""

from typing import Any

from interop import alternating, keys, modern_families, names, other_families
from interop.family import (
  ABSOLUTE,
  BERT,
  ENCODER,
  GELU_HEAD,
  GPT,
  GPT_NAMES,
  LLAMA,
  LLAMA_TRUNK,
  NO_BIAS,
  Family,
)
from runtime.errors import WeightsError

_LARGEST = 1 << 24  # upper limit of any size in a config.json, against nonsense; a choice


FAMILIES: dict[str, Family] = dict(
  bert=Family(
    mask='bidirectional',
    read=BERT,
    fixed=ENCODER,
    must=ABSOLUTE,
    table=names.BERT,
    choices={},
    prefix='bert.',
    heads=dict(
      mlm='cls.predictions.bias', nsp='cls.seq_relationship.weight', pool='pooler.dense.weight'
    ),
  ),
  roberta=Family(
    mask='bidirectional',
    fixed=ENCODER | dict(position_offset=2),
    table=names.ROBERTA,
    choices=names.ROBERTA_CHOICES,
    prefix='roberta.',
    read=BERT | dict(vocab_size=('vocab_size', 50265), norm_epsilon=('layer_norm_eps', 1e-12)),
    must=ABSOLUTE | GELU_HEAD | dict(pad_token_id=(1,)),  # positions begin after it
    heads=dict(mlm='lm_head.bias', pool='pooler.dense.weight'),
  ),
  jina_embeddings_v3=Family(
    mask='bidirectional',
    fixed=ENCODER | dict(positions='rotary'),
    table=names.ROTARY_ROBERTA,
    prefix='roberta.',
    read=BERT
    | dict(
      vocab_size=('vocab_size', 250002),
      layers=('num_hidden_layers', 24),
      width=('hidden_size', 1024),
      heads=('num_attention_heads', 16),
      feed_forward=('intermediate_size', 4096),
      max_length=('max_position_embeddings', 8194),
      segment_types=('type_vocab_size', 1),
      norm_epsilon=('layer_norm_eps', 1e-5),
      rotary_base=('rope_theta', 2e4),
    ),
    must=GELU_HEAD,
    heads=dict(mlm='lm_head.bias', pool='pooler.dense.weight'),
    left_out=('nsp',),
  ),
  distilbert=Family(
    mask='bidirectional',
    fixed=ENCODER | dict(segment_types=0, norm_epsilon=1e-12, classifier_activation='relu'),
    table=names.DISTILBERT,
    choices={},
    prefix='distilbert.',
    must=dict(is_decoder=(False,)),
    aliases=dict(hidden_size='dim', num_attention_heads='n_heads', num_hidden_layers='n_layers'),
    read=dict(
      vocab_size=('vocab_size', 30522),
      layers=('n_layers', 6),
      width=('dim', 768),
      heads=('n_heads', 12),
      feed_forward=('hidden_dim', 3072),
      max_length=('max_position_embeddings', 512),
      activation=('activation', 'gelu'),
      dropout=('dropout', 0.1),
      attention_dropout=('attention_dropout', 0.1),
      init_scale=('initializer_range', 0.02),
      tie_embeddings=('tie_word_embeddings', True),
    ),
    heads=dict(mlm='vocab_projector.bias'),
  ),
  albert=Family(
    mask='bidirectional',
    fixed=ENCODER | dict(shared_layers=True),
    table=names.ALBERT,
    choices={},
    prefix='albert.',
    read=BERT
    | dict(
      vocab_size=('vocab_size', 30000),
      embedding_width=('embedding_size', 128),
      width=('hidden_size', 4096),
      heads=('num_attention_heads', 64),
      feed_forward=('intermediate_size', 16384),
      activation=('hidden_act', 'gelu_new'),
      dropout=('hidden_dropout_prob', 0.0),
      attention_dropout=('attention_probs_dropout_prob', 0.0),
    ),
    must=ABSOLUTE | dict(num_hidden_groups=(1,), inner_group_num=(1,)),
    heads=dict(
      mlm='predictions.bias', nsp='sop_classifier.classifier.weight', pool='pooler.weight'
    ),
  ),
  gpt2=Family(
    mask='causal',
    table=names.GPT2,
    prefix='transformer.',
    conv=True,
    read=GPT
    | dict(
      vocab_size=('vocab_size', 50257),
      feed_forward=('n_inner', None),
      max_length=('n_positions', 1024),
      activation=('activation_function', 'gelu_new'),
    ),
    fixed=dict(
      positions='learned',
      segment_types=0,
      norm='layer',
      norm_position='pre',
      embedding_norm=False,
      final_norm=True,
      plain_heads=True,
    ),
    must=dict(
      scale_attn_weights=(True,),
      scale_attn_by_inverse_layer_idx=(False,),
      reorder_and_upcast_attn=(False,),
      is_decoder=(False, True),
    ),
    aliases=GPT_NAMES,
    heads=dict(clm=None),
  ),
  llama=Family(
    mask='causal',
    table=names.LLAMA,
    prefix='model.',
    prefixes=dict(span='transformer.'),
    read=LLAMA
    | dict(
      vocab_size=('vocab_size', 32000),
      layers=('num_hidden_layers', 32),
      width=('hidden_size', 4096),
      heads=('num_attention_heads', 32),
      feed_forward=('intermediate_size', 11008),
      max_length=('max_position_embeddings', 2048),
      norm_epsilon=('rms_norm_eps', 1e-6),
    ),
    fixed=LLAMA_TRUNK,
    must=NO_BIAS | dict(is_decoder=(False, True)),
    heads=dict(clm=None),
  ),
)

FAMILIES |= modern_families.FAMILIES | other_families.of_roberta(FAMILIES['roberta'])
FAMILIES |= other_families.FAMILIES


def read(theirs: dict[str, Any], where: str) -> tuple[Family, dict[str, Any]]:
  """Returns (family, fields of a ModelConfig) of a config.json.

  Args:
    theirs: the parsed config.json.
    where: its path, for messages.

  Raises:
    WeightsError: the model, a key or a value is not one that this network implements.
  """
  kind = theirs.get('model_type')
  if not isinstance(kind, str) or kind not in FAMILIES:
    raise WeightsError(
      f'{where} is of model_type {kind!r}; these can be read: {", ".join(FAMILIES)}.'
    )
  family = FAMILIES[kind]
  theirs = keys.rename(theirs, family.aliases, where)
  if family.alternating:
    theirs = alternating.read(theirs, family.mask == 'causal', where)
  elif family.fixed['positions'] == 'rotary':
    _, base = family.read['rotary_base']
    theirs = keys.rotary(theirs, base, where)
  read = {'transformers_weights', *(key for key, _ in family.read.values())}
  must = family.must
  if family.poolings:
    must = must | dict(classifier_pooling=tuple(family.poolings.values()))
  keys.check(theirs, must, read, where)
  fields = dict(family.fixed)
  for ours, (key, default) in family.read.items():
    fields[ours] = _value(ours, key, theirs.get(key, default), default, where, family)
  fields['feed_forward'] = fields['feed_forward'] or 4 * fields['width']
  if not family.always_projects and fields['embedding_width'] == fields['width']:
    fields['embedding_width'] = 0
  return family, fields


def _value(ours: str, key: str, value: Any, default: Any, where: str, family: Family) -> Any:
  """Returns a value of a config.json as our field has it; checks type and range: it is untrusted.

  Raises:
    WeightsError: the value is of another type or out of range.
  """
  if ours == 'activation':
    known = family.activations
    if value not in list(known):  # a list: what cannot be hashed is refused, too
      raise WeightsError(f'{where} has {key}={value!r}; these are known: {", ".join(known)}.')
    return known[value]
  if ours in ('window', 'window_rotary_base', 'global_every') and value == 0:
    return value  # no window; interop.alternating has seen to it
  if value is None and default is None:
    return 0  # in a ModelConfig: the paper's default
  kind = int if default is None else type(default)
  allowed = (float, int) if kind is float else kind
  if not isinstance(value, allowed) or isinstance(value, bool) != (kind is bool):
    raise WeightsError(f'{where} has {key}={value!r}, which is no {kind.__name__}.')
  too_large = kind is int and not 0 < value <= _LARGEST
  if too_large or kind is float and not 0 <= value <= 1e9:
    raise WeightsError(f'{where} has {key}={value!r}, which is out of range.')
  return value
