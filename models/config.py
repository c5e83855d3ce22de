"""The shape of the network: a frozen value, built once from `config.model`."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
  """What `config.model` says, field by field; meanings and defaults are in configs/base.py.

  Fields in which 0 means "as the paper's default" are read through the properties below.
  """

  vocab_size: int
  layers: int
  width: int
  heads: int
  kv_heads: int
  head_width: int
  feed_forward: int
  embedding_width: int
  max_length: int
  positions: str
  position_offset: int
  rotary_base: float
  segment_types: int
  norm: str
  norm_position: str
  norm_epsilon: float
  embedding_norm: bool
  final_norm: bool
  qk_norm: bool
  activation: str
  gated: bool
  bias: bool
  shared_layers: bool
  tie_embeddings: bool
  shared_head: bool
  classes: int
  classifier_activation: str
  init_scale: float
  init_truncated: bool
  init_depth_scaled: bool
  init_residual_zero: bool
  dropout: float
  attention_dropout: float
  attention: str
  dtype: str
  scan: bool
  last_layer: str
  remat: str

  @property
  def G(self) -> int:
    return self.kv_heads or self.heads

  @property
  def K(self) -> int:
    return self.head_width or self.width // self.heads

  @property
  def selective(self) -> bool:
    """Whether the last layer computes nothing but what heads read."""
    return self.last_layer == 'read' and not self.scan

  @property
  def E(self) -> int:
    return self.embedding_width or self.width
