"""The network's hyperparameters as a frozen value, built once from `config.model`."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
  """The fields of `config.model`; meanings and defaults are in configs/base.py.

  In some fields 0 means "the paper's default". Use the properties G, K and E for these.
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
  window: int
  global_every: int
  window_rotary_base: float
  segment_types: int
  norm: str
  norm_position: str
  norm_epsilon: float
  embedding_norm: bool
  final_norm: bool
  skip_first_norm: bool
  qk_norm: bool
  activation: str
  gated: bool
  bias: bool
  norm_bias: str
  shared_layers: bool
  tie_embeddings: bool
  shared_head: bool
  plain_mlm: bool
  classes: int
  classifier_activation: str
  plain_heads: bool
  normed_heads: bool
  pooling: str
  projection: int
  projection_activation: str
  unit_vectors: bool
  init_scale: float
  init_truncated: bool
  init_depth_scaled: bool
  init_residual_zero: bool
  dropout: float
  head_dropout: bool
  attention_dropout: float
  attention: str
  dtype: str
  scan: bool
  last_layer: str
  remat: str

  @property
  def G(self) -> int:
    """Number of key/value heads."""
    return self.kv_heads or self.heads

  @property
  def K(self) -> int:
    """Width of one head."""
    return self.head_width or self.width // self.heads

  @property
  def biased_norms(self) -> bool:
    """Whether norms of a kind that can have a bias have one."""
    return self.bias if self.norm_bias == 'same' else self.norm_bias == 'yes'

  @property
  def selective(self) -> bool:
    """Whether the last layer computes only the positions that heads use."""
    return self.last_layer == 'read' and not self.scan

  @property
  def E(self) -> int:
    """Width of the embedding table; below `width` if it is factorised (ALBERT)."""
    return self.embedding_width or self.width

  @property
  def projected(self) -> bool:
    """Whether embeddings are projected from E to D: ALBERT does so where E = D, too."""
    return self.embedding_width > 0
