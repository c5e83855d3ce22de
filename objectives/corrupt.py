"""Which tokens of a row MLM masks, and what is shown instead: a keyed, pure function of the row."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class Masking:
  """How MLM masks: what `config.mlm` says; meanings and defaults are in configs/base.py."""

  rate: float
  final_rate: float
  fixed_maskings: int
  masked: float
  random: float
  unit: str
  span_mean: float
  span_max: int
  smoothing: float
  random_from_specials: bool

  def predictions(self, T: int) -> int:
    """P: the most positions of a row of T tokens that are ever predicted."""
    return max(1, -int(-max(self.rate, self.final_rate) * T // 1))

  def rate_at(self, progress):
    """Share of a row that is masked when `progress` of the steps, 0 to 1, are done."""
    return self.rate + (self.final_rate - self.rate) * progress if self.final_rate else self.rate


def corrupt(
  key_B, token_BxT, segment_BxT, vocabulary, masking: Masking, rate
) -> dict[str, jax.Array]:
  """Masks `rate` of each row: (corrupted) token BxT, and mlm_position, mlm_target, mlm_weight BxP.

  A row of n tokens, special ones counted, has round(rate * n) predictions and at least one, as in
  BERT's create_pretraining_data.py; special tokens and padding are never among them. Whole words
  are taken as long as they fit in that number; the last span is cut to fit, the last n-gram to
  whole words. Each row has its own key, so that a row's masks do not depend on what it is batched
  with.

  Args:
    vocabulary: an `objectives.term.Vocabulary`.
    rate: share of a row, which may change with the steps.
  """

  def one_row(key, token_T, segment_T):
    return _corrupt_row(key, token_T, segment_T, vocabulary, masking, rate)

  return jax.vmap(one_row)(key_B, token_BxT, segment_BxT)


def _corrupt_row(key, token_T, segment_T, vocabulary, masking: Masking, rate):
  """Four steps: units of tokens, a random order of them, those that are chosen, what they show."""
  P = masking.predictions(token_T.shape[0])
  unit_key, order_key, fate_key, random_key = jax.random.split(key, 4)
  maskable_T = (segment_T > 0) & ~vocabulary.special_V[token_T]
  unit_T, atom_T = _units(unit_key, token_T, maskable_T, vocabulary, masking)
  share_T = _share(token_T, vocabulary, masking)
  order_T = _order(order_key, unit_T, maskable_T, share_T)
  count = jnp.clip(jnp.round(rate * (segment_T > 0).sum()), 1, P)
  weight_P = _chosen(order_T, atom_T, maskable_T, count)[:P]
  position_P = jnp.where(weight_P, order_T[:P], 0)
  target_P = token_T[position_P]
  shown_P = _shown(fate_key, random_key, target_P, vocabulary, masking)
  T = token_T.shape[0]
  return dict(
    token=token_T.at[jnp.where(weight_P, position_P, T)].set(shown_P, mode='drop'),
    mlm_position=position_P,
    mlm_target=target_P,
    mlm_weight=weight_P.astype(jnp.float32),
  )


def _units(key, token_T, maskable_T, vocabulary, masking: Masking):
  """(unit_T, atom_T): numbers of what is masked together, and of what may not be cut in two.

  A unit is a token, a word, a span or an n-gram, of adjacent tokens; an atom is a token or, of
  words and n-grams, a word.
  """
  token_number_T = jnp.arange(token_T.shape[0])
  if masking.unit == 'token':
    return token_number_T, token_number_T
  # A word never reaches across a special token.
  run_starts_T = ~jnp.roll(maskable_T, 1).at[0].set(False)
  starts_T = vocabulary.word_start_V[token_T] | run_starts_T
  if vocabulary.word_end_V is not None:
    starts_T |= jnp.roll(vocabulary.word_end_V[token_T], 1)  # the first token starts a run
  word_T = jnp.cumsum(starts_T) - 1
  if masking.unit == 'word':
    return word_T, word_T
  if masking.unit == 'span':
    return jnp.cumsum(_span_starts(key, starts_T, run_starts_T, masking)) - 1, token_number_T
  return jnp.cumsum(_ngram_starts(key, starts_T, run_starts_T, masking)) - 1, word_T


def _span_starts(key, starts_T, run_starts_T, masking: Masking):
  """Which words begin a span: lengths are geometric, and cut at `span_max`."""
  word_T = jnp.cumsum(starts_T)
  ends_T = jax.random.bernoulli(key, 1 / masking.span_mean, word_T.shape) | run_starts_T
  first_word_T = jax.lax.cummax(jnp.where(starts_T & ends_T, word_T, 0))
  return starts_T & ((word_T - first_word_T) % masking.span_max == 0)


def _ngram_starts(key, starts_T, run_starts_T, masking: Masking):
  """Which words begin an n-gram: of n words, n up to `span_max`, with probability ~ 1/n (ALBERT).

  The lengths drawn for a row apply from the beginning of each of its runs.
  """
  word_T = jnp.cumsum(starts_T)
  first_word_T = jax.lax.cummax(jnp.where(run_starts_T, word_T, 0))
  length_N = 1 + jnp.arange(min(masking.span_max, len(word_T)))
  drawn_T = 1 + jax.random.categorical(key, -jnp.log(length_N), shape=word_T.shape)
  begins_T = jnp.zeros(word_T.shape, bool).at[0].set(True)  # by number of the word in its run
  begins_T = begins_T.at[jnp.cumsum(drawn_T)].set(True, mode='drop')
  return starts_T & begins_T[word_T - first_word_T]


def _share(token_T, vocabulary, masking: Masking):
  """In proportion to what tokens are drawn; None: all alike."""
  if not masking.smoothing:
    return None
  count_T = vocabulary.count_V[token_T].astype(jnp.float32)
  return jnp.maximum(count_T, 1) ** -masking.smoothing


def _order(key, unit_T, maskable_T, share_T):
  """Positions with the units in random order, the tokens of a unit side by side; then the rest.

  With shares, units are tokens, drawn one by one without replacement in proportion to them: the
  order of exponential waiting times with these rates.
  """
  score_T = jax.random.uniform(key, unit_T.shape)[unit_T]
  if share_T is not None:
    score_T = -jnp.log1p(-score_T) / share_T  # of [0, 1), so finite
  last = 2.0 if share_T is None else jnp.inf
  return jnp.argsort(jnp.where(maskable_T, score_T, last), stable=True)


def _chosen(order_T, atom_T, maskable_T, count):
  """Which positions of `order_T` are predicted, at most `count`.

  An atom is chosen if its end fits, and the first one always is.
  """
  T = order_T.shape[0]
  rank_T = jnp.arange(T)
  size_T = jax.ops.segment_sum(maskable_T.astype(jnp.int32), atom_T, T)[atom_T]
  ordered_atom_T = atom_T[order_T]
  starts_T = ordered_atom_T != jnp.roll(ordered_atom_T, 1)
  first_rank_T = jax.lax.cummax(jnp.where(starts_T, rank_T, 0))
  fits_T = (first_rank_T + size_T[order_T] <= count) | (first_rank_T == 0)
  return fits_T & maskable_T[order_T]


def _shown(fate_key, random_key, target_P, vocabulary, masking: Masking):
  """What stands at the predicted positions: [MASK], a random token, or the token itself."""
  fate_P = jax.random.uniform(fate_key, target_P.shape)
  random_P = _random_tokens(random_key, target_P.shape[0], vocabulary, masking)
  masked_P, random_from_P = fate_P < masking.masked, fate_P < masking.masked + masking.random
  return jnp.where(masked_P, vocabulary.mask_id, jnp.where(random_from_P, random_P, target_P))


def _random_tokens(key, P, vocabulary, masking: Masking):
  V = vocabulary.special_V.shape[0]
  if masking.random_from_specials:
    return jax.random.randint(key, (P,), 0, V)
  # The k-th token that is not special, without a data-dependent shape: sort the others to the
  # front.
  ordinary_V = jnp.argsort(vocabulary.special_V, stable=True)
  return ordinary_V[jax.random.randint(key, (P,), 0, V - vocabulary.special_V.sum())]
