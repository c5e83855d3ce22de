"""Tables of the families whose layers differ: ModernBERT and its decoder."""

from interop import names
from interop.family import Family

_GELU = ('gelu', 'gelu_python')
_MODERNBERT = dict(
  prefix='model.',
  alternating=True,
  read=dict(
    vocab_size=('vocab_size', 50368),
    layers=('num_hidden_layers', 22),
    width=('hidden_size', 768),
    heads=('num_attention_heads', 12),
    feed_forward=('intermediate_size', 1152),
    max_length=('max_position_embeddings', 8192),
    activation=('hidden_activation', 'gelu'),
    norm_epsilon=('norm_eps', 1e-5),
    attention_dropout=('attention_dropout', 0.0),
    init_scale=('initializer_range', 0.02),
    tie_embeddings=('tie_word_embeddings', True),
    window=('window', 64),
    global_every=('global_every', 3),
    rotary_base=('rope_theta', 160_000.0),
    window_rotary_base=('window_rope_theta', 10_000.0),
  ),
  must=dict(
    hidden_activation=_GELU,  # the head of MLM has the activation of the layers here
    classifier_activation=_GELU,
    attention_bias=(False,),
    mlp_bias=(False,),
    norm_bias=(False,),
    classifier_bias=(False,),
    decoder_bias=(True,),
  ),
)
_MODERNBERT_FIXED = dict(
  positions='rotary',
  segment_types=0,
  norm='layer',
  norm_position='pre',
  embedding_norm=True,
  final_norm=True,
  skip_first_norm=True,
  gated=True,
  bias=False,
  norm_bias='no',
  dropout=0.0,
  classifier_activation='gelu',
  normed_heads=True,
  plain_heads=False,
)

FAMILIES: dict[str, Family] = {
  'modernbert': Family(
    mask='bidirectional',
    table=names.MODERNBERT,
    heads=dict(mlm='decoder.bias'),
    poolings=dict(first='cls', mean='mean'),
    choices={},
    fixed=_MODERNBERT_FIXED,
    **_MODERNBERT,
  ),
  'modernbert-decoder': Family(
    mask='causal',
    table=names.MODERNBERT_DECODER,
    heads=dict(clm=None),
    # its classifier of texts has no bias (classifier_bias)
    fixed=_MODERNBERT_FIXED | dict(shared_head=True, plain_heads=True),
    **_MODERNBERT,
  ),
}
