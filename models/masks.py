"""Which keys a query may see: one description, one definition of "visible"."""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from models.gather import gather_positions


def _static(default):
  return dataclasses.field(default=default, metadata=dict(static=True))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Mask:
  """Which keys a query may see: every rule that is set must agree.

  Two packed documents under a causal mask, and padding, as `dense` draws them (rows are queries):

    segment 1 1 2 2 0      1 . . . .
                           1 1 . . .
                           . . 1 . .
                           . . 1 1 .
                           . . . . 1

  Segment 0 is padding. Padding sees padding, so no row of self-attention is ever empty and every
  implementation stays finite; what it computes there is nobody's business.

  Masks are built, not combined: a union of two masks cannot say which rule it keeps.

  Attributes:
    causal: a query sees its own position and earlier ones.
    window: (left, right), how far a query sees each way, itself not counted (as in jax.nn).
    packed: segments separate documents; otherwise they only mark padding.
    q_segment_BxT, kv_segment_BxS: seen only where equal.
    q_position_BxT, kv_position_BxS: row indices unless given (cached decoding).
    prefix_BxS: keys seen even from their past (prefix-LM, batches that mix objectives); may be Bx1.
    drawn_BxTxS: the answer, if `draw` has computed it already.
  """

  causal: bool = _static(False)
  window: tuple[int, int] | None = _static(None)
  packed: bool = _static(False)
  q_segment_BxT: jax.Array | None = None
  kv_segment_BxS: jax.Array | None = None
  q_position_BxT: jax.Array | None = None
  kv_position_BxS: jax.Array | None = None
  prefix_BxS: jax.Array | None = None
  drawn_BxTxS: jax.Array | None = None

  def __post_init__(self):
    if (self.q_segment_BxT is None) != (self.kv_segment_BxS is None):
      raise ValueError('A mask needs q_segment_BxT and kv_segment_BxS together, or neither.')
    if self.prefix_BxS is not None and not self.causal:
      raise ValueError('prefix_BxS lifts the causal rule, and this mask has none: set causal=True.')

  @property
  def rowwise(self) -> bool:
    """Whether every array is absent, so that the static rules say everything about any row."""
    return all(
      getattr(self, field.name) is None
      for field in dataclasses.fields(self)
      if not field.metadata.get('static')
    )

  @property
  def by_index(self) -> bool:
    """Whether causality and window count row indices and no prefix
    lifts them: what a kernel knows before it runs.
    """
    return self.q_position_BxT is None and self.kv_position_BxS is None and self.prefix_BxS is None

  def dense(self, T: int, S: int) -> jax.Array | None:
    """The definition of "visible": bool BxTxS (B may be 1), or None when everything is."""
    if self.drawn_BxTxS is not None:
      return self.drawn_BxTxS
    query_BxTx1 = _positions(self.q_position_BxT, T)[:, :, None]
    key_Bx1xS = _positions(self.kv_position_BxS, S)[:, None, :]
    rules = []
    if self.q_segment_BxT is not None:
      q_BxT, kv_BxS = self.q_segment_BxT, self.kv_segment_BxS
      if not self.packed:
        q_BxT, kv_BxS = q_BxT > 0, kv_BxS > 0
      rules.append(q_BxT[:, :, None] == kv_BxS[:, None, :])
    if self.causal:
      visible_BxTxS = key_Bx1xS <= query_BxTx1
      if self.prefix_BxS is not None:
        visible_BxTxS = visible_BxTxS | self.prefix_BxS[:, None, :].astype(bool)
      rules.append(visible_BxTxS)
    if self.window is not None:
      left, right = self.window
      rules.append((key_Bx1xS >= query_BxTx1 - left) & (key_Bx1xS <= query_BxTx1 + right))
    if not rules:
      return None
    dense_BxTxS = rules[0]
    for rule_BxTxS in rules[1:]:
      dense_BxTxS = dense_BxTxS & rule_BxTxS
    return jnp.broadcast_to(dense_BxTxS, (dense_BxTxS.shape[0], T, S))

  def draw(self, T: int, S: int) -> 'Mask':
    """The same mask with `dense` computed, so that a scan over layers does it once."""
    return dataclasses.replace(self, drawn_BxTxS=self.dense(T, S))

  def take_queries(self, index_BxT: jax.Array) -> 'Mask':
    """The mask of T queries of each row alone, those at index_BxT."""

    def taken(x_Bx):
      return None if x_Bx is None else gather_positions(x_Bx, index_BxT)

    position_BxT = index_BxT if self.q_position_BxT is None else taken(self.q_position_BxT)
    return dataclasses.replace(
      self,
      q_segment_BxT=taken(self.q_segment_BxT),
      q_position_BxT=position_BxT,
      drawn_BxTxS=taken(self.drawn_BxTxS),
    )


def _positions(position_BxT: jax.Array | None, length: int) -> jax.Array:
  return jnp.arange(length)[None, :] if position_BxT is None else position_BxT


class Kind(NamedTuple):
  """A value of the config's `mask`.

  Attributes:
    rule: (query, key, key is in the prefix) -> whether the query sees the key, for one pair of
      positions of a document. It is written by hand and builds nothing: the proof before a run
      (evaluation/mask_check.py) holds the network to it.
    causal, window: of the Mask that is built.
    prefix: a share of each document is seen even from its past.
  """

  rule: Callable[[int, int, bool], bool]
  causal: bool = False
  window: tuple[int, int] | None = None
  prefix: bool = False


KINDS = dict(
  bidirectional=Kind(lambda query, key, prefix: True),
  causal=Kind(lambda query, key, prefix: key <= query, causal=True),
  prefix=Kind(lambda query, key, prefix: key <= query or prefix, causal=True, prefix=True),
)


def self_attention_mask(
  name: str, segment_BxT: jax.Array, *, packed: bool, prefix_BxS: jax.Array | None = None
) -> Mask:
  """The mask of a training row: `name` is the config's `mask`, segments are the batch's.

  Args:
    prefix_BxS: for a kind with a prefix, the tokens in it; without it the whole row is prefix.

  Raises:
    ValueError: there is no such kind.
  """
  if name not in KINDS:
    raise ValueError(f'mask={name!r}: choose one of {", ".join(KINDS)}.')
  kind = KINDS[name]
  whole_row = kind.prefix and prefix_BxS is None
  return Mask(
    causal=kind.causal and not whole_row,
    window=kind.window,
    packed=packed,
    q_segment_BxT=segment_BxT,
    kv_segment_BxS=segment_BxT,
    prefix_BxS=prefix_BxS if kind.prefix else None,
  )
