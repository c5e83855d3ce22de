"""From logits to the next token: pure functions, the rules in the order of transformers."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
  """How the next token is chosen; the values given here change nothing.

  Attributes:
    temperature: divides the logits; 0 takes the likeliest token.
    top_k: only the k likeliest; 0 = all.
    top_p: only the likeliest that together have this probability (Holtzman et al. 2020).
    min_p: only those with at least this share of the likeliest one's probability (Nguyen et al.
      2024).
    repetition_penalty: logits of tokens that the row has are divided by it, negative ones
      multiplied (Keskar et al. 2019, CTRL).
  """

  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0
  min_p: float = 0.0
  repetition_penalty: float = 1.0


def filtered(logits_BxV: jax.Array, seen_BxV: jax.Array, sampling: Sampling) -> jax.Array:
  """Logits after every rule: -inf for what may not be drawn; at least one token may be."""
  if sampling.repetition_penalty != 1:
    penalty = sampling.repetition_penalty
    punished_BxV = jnp.where(logits_BxV > 0, logits_BxV / penalty, logits_BxV * penalty)
    logits_BxV = jnp.where(seen_BxV, punished_BxV, logits_BxV)
  if sampling.temperature:
    logits_BxV = logits_BxV / sampling.temperature
  V = logits_BxV.shape[1]
  if 0 < sampling.top_k < V:
    least_Bx1 = jax.lax.top_k(logits_BxV, sampling.top_k)[0][:, -1:]
    logits_BxV = jnp.where(logits_BxV < least_Bx1, -jnp.inf, logits_BxV)
  if sampling.top_p < 1:
    order_BxV = jnp.argsort(logits_BxV, axis=1, descending=True)
    p_BxV = jax.nn.softmax(jnp.take_along_axis(logits_BxV, order_BxV, axis=1), axis=1)
    # the likeliest has none before it, so it always stays
    before_BxV = jnp.cumsum(p_BxV, axis=1) - p_BxV
    out_BxV = jnp.take_along_axis(
      before_BxV >= sampling.top_p, jnp.argsort(order_BxV, axis=1), axis=1
    )
    logits_BxV = jnp.where(out_BxV, -jnp.inf, logits_BxV)
  if sampling.min_p:
    p_BxV = jax.nn.softmax(logits_BxV, axis=1)
    logits_BxV = jnp.where(
      p_BxV < sampling.min_p * p_BxV.max(axis=1, keepdims=True), -jnp.inf, logits_BxV
    )
  return logits_BxV


def choose(logits_BxV: jax.Array, seen_BxV: jax.Array, key_B: jax.Array, sampling: Sampling):
  """(token_B, logprob_B): drawn with each row's own key; nats under the model, before any rule."""
  model_BxV = jax.nn.log_softmax(logits_BxV, axis=1)
  allowed_BxV = filtered(logits_BxV, seen_BxV, sampling)
  if sampling.temperature:
    token_B = jax.vmap(jax.random.categorical)(key_B, allowed_BxV)
  else:
    token_B = allowed_BxV.argmax(axis=1)
  return token_B, jnp.take_along_axis(model_BxV, token_B[:, None], axis=1)[:, 0]
