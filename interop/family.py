"""What there is to know of one model_type of Hugging Face."""

import dataclasses
from typing import Any

ACTIVATIONS = dict(
  gelu='gelu',
  gelu_python='gelu',
  gelu_new='gelu_tanh',
  gelu_pytorch_tanh='gelu_tanh',
  gelu_fast='gelu_tanh',
  gelu_accurate='gelu_tanh',
  relu='relu',
  relu2='relu_squared',
  silu='silu',
  swish='silu',
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
  """One model_type of Hugging Face.

  Attributes:
    mask: the attention mask of the family, as in `config.mask`.
    read: our field -> (their key, their default).
    fixed: our field -> the value that it has in every model of the family.
    must: their key -> the values that this network implements; the key may also be absent. Beside
      `keys.MUST`, which all families share.
    heads: names of models.heads.HEADS that a model of the family may have, each with a tensor whose
      presence shows it (None: every model has the head).
    table: our parameter paths -> their names (interop/names.py).
    prefix: what the trunk's names begin with in a model with a head.
    prefixes: the same for a head whose class has another.
    aliases: other names of keys that transformers takes -> their key.
    left_out: heads without a place in the family's classes, which an export leaves out.
    conv: kernels are stored input x output (GPT-2's Conv1D), not output x input (torch's Linear).
    alternating: some layers have a window (interop/alternating.py).
    activations: their name -> ours.
    always_projects: embeddings as wide as the layers are projected, too (ALBERT).
    poolings: how its classifier of texts may read them, ours -> their `classifier_pooling`.
    choices: names in its class for multiple choice where they are not those of its classifier of
      texts, as in `table`; None: it has no such class.
  """

  mask: str
  read: dict[str, tuple[str, Any]]
  fixed: dict[str, Any]
  must: dict[str, tuple]
  heads: dict[str, str | None]
  table: dict[str, str]
  prefix: str
  prefixes: dict[str, str] = dataclasses.field(default_factory=dict)
  aliases: dict[str, str] = dataclasses.field(default_factory=dict)
  left_out: tuple[str, ...] = ()
  conv: bool = False
  alternating: bool = False
  activations: dict[str, str] = dataclasses.field(default_factory=lambda: ACTIVATIONS)
  always_projects: bool = True
  poolings: dict[str, str] = dataclasses.field(default_factory=dict)
  choices: dict[str, str] | None = None

  def of_choices(self) -> 'Family':
    """The family as its class for multiple choice has it, if there is one."""
    return dataclasses.replace(self, table=self.table | (self.choices or {}))


# What the relatives of BERT share.
BERT = dict(
  vocab_size=('vocab_size', 30522),
  layers=('num_hidden_layers', 12),
  width=('hidden_size', 768),
  heads=('num_attention_heads', 12),
  feed_forward=('intermediate_size', 3072),
  max_length=('max_position_embeddings', 512),
  segment_types=('type_vocab_size', 2),
  activation=('hidden_act', 'gelu'),
  norm_epsilon=('layer_norm_eps', 1e-12),
  dropout=('hidden_dropout_prob', 0.1),
  attention_dropout=('attention_probs_dropout_prob', 0.1),
  init_scale=('initializer_range', 0.02),
  tie_embeddings=('tie_word_embeddings', True),
)
ENCODER = dict(
  positions='learned',
  norm='layer',
  norm_position='post',
  embedding_norm=True,
  final_norm=False,
  classifier_activation='tanh',
  plain_heads=False,
)
# What the relatives of GPT-2 share.
GPT = dict(
  layers=('n_layer', 12),
  width=('n_embd', 768),
  heads=('n_head', 12),
  norm_epsilon=('layer_norm_epsilon', 1e-5),
  dropout=('resid_pdrop', 0.1),
  attention_dropout=('attn_pdrop', 0.1),
  init_scale=('initializer_range', 0.02),
  tie_embeddings=('tie_word_embeddings', True),
)
GPT_NAMES = dict(
  hidden_size='n_embd',
  max_position_embeddings='n_positions',
  num_attention_heads='n_head',
  num_hidden_layers='n_layer',
)
# What the relatives of Llama share; their sizes differ.
LLAMA = dict(
  kv_heads=('num_key_value_heads', None),
  head_width=('head_dim', None),
  activation=('hidden_act', 'silu'),
  rotary_base=('rope_theta', 1e4),
  attention_dropout=('attention_dropout', 0.0),
  init_scale=('initializer_range', 0.02),
  tie_embeddings=('tie_word_embeddings', False),
)
LLAMA_TRUNK = dict(
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
)
NO_BIAS = dict(attention_bias=(False,), mlp_bias=(False,))
ABSOLUTE = dict(
  position_embedding_type=('absolute',),
  is_decoder=(False,),
)
# The head of MLM has this activation, whatever the layers have.
GELU_HEAD = dict(hidden_act=('gelu', 'gelu_python'))
