"""Which tokens an MLM row hides, and behind what: a keyed, pure function of the row."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class Masking:
  """What `config.mlm` says; meanings and defaults are in configs/base.py."""

  rate: float
  final_rate: float
  fixed_maskings: int
  masked: float
  random: float
  unit: str
  span_mean: float
  span_max: int
  random_from_specials: bool

  def predictions(self, T: int) -> int:
    """P: the most positions of a row of T tokens that are ever predicted."""
    return max(1, -int(-max(self.rate, self.final_rate) * T // 1))

  def rate_at(self, progress):
    """Share of a row that is hidden when `progress` of the steps, 0 to 1, are done."""
    return self.rate + (self.final_rate - self.rate) * progress if self.final_rate else self.rate


def corrupt(key_B, token_BxT, segment_BxT, setup) -> dict[str, jax.Array]:
  """Hides `setup.rate` of each row: (corrupted) token BxT,
  and mlm_position, mlm_target, mlm_weight BxP.

  A row of n tokens, special ones counted, has round(rate * n) predictions and at least one, as in
  BERT's create_pretraining_data.py; special tokens and padding are never among them. Whole words
  are taken as long as they fit in that number, the last span is cut to fit. Each row has its own
  key, so that a row's masks do not depend on what it is batched with.

  Args:
    setup: `objectives.projection.Setup`, what is known of the vocabulary and the masking.
  """
  return jax.vmap(lambda *row: _corrupt_row(*row, setup))(key_B, token_BxT, segment_BxT)


def _corrupt_row(key, token_T, segment_T, setup):
  masking = setup.masking
  P = masking.predictions(token_T.shape[0])
  unit_key, order_key, fate_key, random_key = jax.random.split(key, 4)
  T = token_T.shape[0]
  maskable_T = (segment_T > 0) & ~setup.special_V[token_T]
  unit_T = _units(unit_key, token_T, maskable_T, setup)
  score_T = jnp.where(maskable_T, jax.random.uniform(order_key, (T,))[unit_T], 2.0)
  order_T = jnp.argsort(score_T, stable=True)

  # In this order a unit is contiguous: it is taken when its end fits, and the first one always is.
  # (A span may be cut; a word may not.)
  size_T = jax.ops.segment_sum(maskable_T.astype(jnp.int32), unit_T, T)[unit_T]
  rank_T = jnp.arange(T)
  ordered_unit_T = unit_T[order_T]
  starts_T = ordered_unit_T != jnp.roll(ordered_unit_T, 1)
  first_rank_T = jax.lax.cummax(jnp.where(starts_T, rank_T, 0))
  count = jnp.clip(jnp.round(setup.rate * (segment_T > 0).sum()), 1, P)
  fits_T = (first_rank_T + size_T[order_T] <= count) | (first_rank_T == 0)
  if masking.unit == 'span':
    fits_T = rank_T < count
  weight_P = (fits_T & maskable_T[order_T])[:P]
  position_P = jnp.where(weight_P, order_T[:P], 0)
  target_P = token_T[position_P]

  fate_P = jax.random.uniform(fate_key, (P,))
  shown_P = jnp.where(
    fate_P < masking.masked,
    setup.mask_id,
    jnp.where(
      fate_P < masking.masked + masking.random, _random_tokens(random_key, P, setup), target_P
    ),
  )
  return dict(
    token=token_T.at[jnp.where(weight_P, position_P, T)].set(shown_P, mode='drop'),
    mlm_position=position_P,
    mlm_target=target_P,
    mlm_weight=weight_P.astype(jnp.float32),
  )


def _units(key, token_T, maskable_T, setup):
  """Number of the unit each token belongs to; tokens of a unit are adjacent."""
  T, masking = token_T.shape[0], setup.masking
  if masking.unit == 'token':
    return jnp.arange(T)
  # a word never reaches across a special token
  run_starts_T = ~jnp.roll(maskable_T, 1).at[0].set(False)
  starts_T = setup.word_start_V[token_T] | run_starts_T
  if masking.unit == 'span':
    word_T = jnp.cumsum(starts_T)
    ends_T = jax.random.bernoulli(key, 1 / masking.span_mean, (T,)) | run_starts_T
    first_word_T = jax.lax.cummax(jnp.where(starts_T & ends_T, word_T, 0))
    starts_T = starts_T & ((word_T - first_word_T) % masking.span_max == 0)
  return jnp.cumsum(starts_T) - 1


def _random_tokens(key, P, setup):
  V = setup.special_V.shape[0]
  if setup.masking.random_from_specials:
    return jax.random.randint(key, (P,), 0, V)
  # The k-th token that is not special, without a
  # data-dependent shape: sort the others to the front.
  ordinary_V = jnp.argsort(setup.special_V, stable=True)
  return ordinary_V[jax.random.randint(key, (P,), 0, V - setup.special_V.sum())]
