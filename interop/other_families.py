"""Tables of families that differ from others in a few values: RoBERTa's, ELECTRA, GPT, EuroBERT."""

import dataclasses

from interop import names
from interop.family import ABSOLUTE, BERT, ENCODER, GELU_HEAD, Family


def of_roberta(roberta: Family) -> dict[str, Family]:
  """The families whose classes are RoBERTa's under another name."""
  same = dataclasses.replace(roberta, read=roberta.read | dict(vocab_size=('vocab_size', 30522)))
  return {'xlm-roberta': same, 'camembert': same}


FAMILIES: dict[str, Family] = {
  'electra': Family(
    mask='bidirectional',
    read=BERT
    | dict(
      embedding_width=('embedding_size', 128),
      width=('hidden_size', 256),
      heads=('num_attention_heads', 4),
      feed_forward=('intermediate_size', 1024),
    ),
    fixed=ENCODER | dict(classifier_activation='gelu'),
    must=ABSOLUTE | GELU_HEAD,
    table=names.ELECTRA,
    prefix='electra.',
    heads=dict(
      mlm='generator_lm_head.bias', replaced='discriminator_predictions.dense_prediction.weight'
    ),
    always_projects=False,
  ),
  'openai-gpt': Family(
    mask='causal',
    table=names.GPT,
    prefix='transformer.',
    conv=True,
    activations=dict(gelu='gelu_tanh', relu='relu', silu='silu', swish='silu'),
    read=dict(
      vocab_size=('vocab_size', 40478),
      layers=('n_layer', 12),
      width=('n_embd', 768),
      heads=('n_head', 12),
      max_length=('n_positions', 512),
      activation=('afn', 'gelu'),
      norm_epsilon=('layer_norm_epsilon', 1e-5),
      dropout=('resid_pdrop', 0.1),
      attention_dropout=('attn_pdrop', 0.1),
      init_scale=('initializer_range', 0.02),
      tie_embeddings=('tie_word_embeddings', True),
    ),
    fixed=dict(
      feed_forward=0,  # four times the width
      positions='learned',
      segment_types=0,
      norm='layer',
      norm_position='post',
      embedding_norm=False,
      final_norm=False,
      plain_heads=True,
    ),
    must={},
    aliases=dict(
      hidden_size='n_embd',
      max_position_embeddings='n_positions',
      num_attention_heads='n_head',
      num_hidden_layers='n_layer',
    ),
    heads=dict(clm=None),
  ),
  'eurobert': Family(
    mask='bidirectional',
    table=names.EUROBERT,
    prefix='model.',
    read=dict(
      vocab_size=('vocab_size', 128256),
      layers=('num_hidden_layers', 12),
      width=('hidden_size', 768),
      heads=('num_attention_heads', 12),
      kv_heads=('num_key_value_heads', None),
      head_width=('head_dim', None),
      feed_forward=('intermediate_size', 3072),
      max_length=('max_position_embeddings', 8192),
      activation=('hidden_act', 'silu'),
      norm_epsilon=('rms_norm_eps', 1e-5),
      rotary_base=('rope_theta', 1e4),
      attention_dropout=('attention_dropout', 0.0),
      init_scale=('initializer_range', 0.02),
      tie_embeddings=('tie_word_embeddings', False),
    ),
    fixed=dict(
      positions='rotary',
      segment_types=0,
      norm='rms',
      norm_position='pre',
      embedding_norm=False,
      final_norm=True,
      gated=True,
      bias=False,
      dropout=0.0,
      plain_heads=True,
      plain_mlm=True,
    ),
    # of a classifier of texts, which is not read: its dense layer has a bias, the others have none
    must=dict(
      attention_bias=(False,),
      mlp_bias=(False,),
      classifier_pooling=('late', 'bos', 'mean'),
      clf_pooling=('late', 'bos', 'mean'),
    ),
    heads=dict(mlm=None),
  ),
}
