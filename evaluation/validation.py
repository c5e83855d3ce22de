"""How well a model predicts the validation set: every row exactly once, masks frozen and hashed."""

from collections.abc import Callable, Iterable
import hashlib
import math

import jax
import numpy as np

from objectives.mix import Objective


def make_evaluator(
  apply: Callable,
  objective: Objective,
  *,
  seed: int,
  shard: Callable,
  to_host: Callable = jax.device_get,
) -> Callable:
  """A function (params, batches, text) -> results, compiled once.

  Args:
    objective: with the masking that validation always uses, whatever training does.
    seed: of the masks; row i draws from (seed, i), so they do not depend on batch size or devices.
    shard: puts a batch of numpy arrays on the devices.
    to_host: brings arrays back, whole, also where other processes hold parts of them.
  """

  @jax.jit
  def score(params, batch):
    batch = objective.prepare(jax.random.key(seed), batch, batch['id'])
    scores = objective.scores(apply(params, batch), batch)
    return scores, batch['id'], {name: batch[name] for name in objective.draws}

  def evaluate(
    params, batches: Iterable[dict[str, np.ndarray]], text: dict[str, int]
  ) -> dict[str, float | str]:
    """Results by name: <objective>_loss (nats a prediction), _accuracy, _perplexity, and more.

    Args:
      text: bytes and words of the validation text, for units that do not depend on the tokenizer.
    """
    sums: dict[tuple[str, str], list[tuple[float, float]]] = {}
    hashes = {name: hashlib.sha256() for name in objective.draws}
    for batch in batches:
      scores, id_B, drawn = to_host(score(params, shard(batch)))
      for name, kinds in scores.items():
        for kind, term in kinds.items():
          sums.setdefault((name, kind), []).append((float(term.total), float(term.weight)))
      # Rows that only fill up the last batch are not hashed: the hash must not depend on the batch
      # size.
      for name, x_Bx in drawn.items():
        hashes[name].update(np.ascontiguousarray(x_Bx[id_B >= 0]).tobytes())
    return _results(objective, sums, text) | _mask_sha256(hashes)

  return evaluate


def _results(objective: Objective, sums, text: dict[str, int]) -> dict[str, float]:
  """Means over the whole set, and the units that follow from them."""
  results = {'loss': 0.0}
  for (name, kind), pairs in sorted(sums.items()):
    total, weight = (math.fsum(column) for column in zip(*pairs))
    if kind == 'text':
      results[f'{name}_word_perplexity'] = perplexity(total / text['words'])
      results['bits_per_byte'] = total / math.log(2) / text['bytes']
      continue
    mean = total / max(weight, 1.0)
    results[f'{name}_{kind}'] = mean
    if kind == 'loss':
      results['loss'] += objective.weights[name] * mean
      if name in objective.token_names:
        results[f'{name}_perplexity'] = perplexity(mean)
  return results


def _mask_sha256(hashes: dict) -> dict[str, str]:
  if not hashes:
    return {}
  digests = ''.join(hashes[name].hexdigest() for name in sorted(hashes))
  return dict(mask_sha256=hashlib.sha256(digests.encode()).hexdigest())


def perplexity(nats: float) -> float:
  """exp(nats), infinite where a float cannot say it."""
  return math.exp(nats) if nats < 700 else math.inf


def rows(results: dict[str, float | str], units: dict[str, str]) -> dict[str, str]:
  """Results as words.

  Args:
    units: of the objectives' own results, as `Objective.units` has them.
  """
  units = units | dict(
    loss='weighted sum of the objectives',
    bits_per_byte='of text, special tokens not counted',
    unigram_entropy='nats a token, what frequencies alone would give',
    mask_sha256='of the frozen masks',
    validation_sha256='of the validation rows',
  )
  words = {}
  for name, value in results.items():
    number = f'{value:.4f}' if isinstance(value, float) else value[:16]
    words[name] = f'{number}  {units[name]}' if name in units else number
  return words
