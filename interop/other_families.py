"""Tables of families that differ from others in a few values: RoBERTa's, ELECTRA, GPT, EuroBERT."""

import dataclasses

from interop import names
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
    read=GPT
    | dict(
      vocab_size=('vocab_size', 40478),
      max_length=('n_positions', 512),
      activation=('afn', 'gelu'),
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
    aliases=GPT_NAMES,
    heads=dict(clm=None),
  ),
  'eurobert': Family(
    mask='bidirectional',
    table=names.EUROBERT,
    prefix='model.',
    read=LLAMA
    | dict(
      vocab_size=('vocab_size', 128256),
      layers=('num_hidden_layers', 12),
      width=('hidden_size', 768),
      heads=('num_attention_heads', 12),
      feed_forward=('intermediate_size', 3072),
      max_length=('max_position_embeddings', 8192),
      norm_epsilon=('rms_norm_eps', 1e-5),
    ),
    fixed=LLAMA_TRUNK | dict(plain_mlm=True),
    # of a classifier of texts, which is not read: its dense layer has a bias, the others have none
    must=NO_BIAS
    | dict(
      classifier_pooling=('late', 'bos', 'mean'),
      clf_pooling=('late', 'bos', 'mean'),
    ),
    heads=dict(mlm=None),
  ),
}
