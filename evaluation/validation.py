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
  place: Callable,
  fetch: Callable = jax.device_get,
) -> Callable:
  """A function (params, batches, text) -> results, compiled once.

  Args:
    objective: with the masking that validation always uses, whatever training does.
    seed: of the masks; row i draws from (seed, i), so they do not depend on batch size or devices.
    place: puts a batch of numpy arrays on the devices.
    fetch: brings arrays back, whole, also where other processes hold parts of them.
  """

  @jax.jit
  def score(params, batch):
    batch = objective.prepare(jax.random.key(seed), batch, batch['id'])
    scores = objective.scores(apply(params, batch), batch)
    return scores, {
      name: batch[name] for name in ('id', 'mlm_position', 'mlm_weight', 'prefix') if name in batch
    }

  def evaluate(
    params, batches: Iterable[dict[str, np.ndarray]], text: dict[str, int]
  ) -> dict[str, float | str]:
    """Results by name: <objective>_loss (nats a prediction),
    _accuracy, _perplexity, and more for clm.

    Args:
      text: bytes and words of the validation text, for units that do not depend on the tokenizer.
    """
    sums: dict[tuple[str, str], list[tuple[float, float]]] = {}
    hashes: dict[str, hashlib._Hash] = {}
    for batch in batches:
      scores, positions = fetch(score(params, place(batch)))
      is_row_B = positions.pop('id') >= 0
      for name, kinds in scores.items():
        for kind, term in kinds.items():
          sums.setdefault((name, kind), []).append((float(term.total), float(term.weight)))
      # Rows that only fill up the last batch are not hashed:
      # the hash must not depend on the batch size.
      for name, array in positions.items():
        hashes.setdefault(name, hashlib.sha256()).update(
          np.ascontiguousarray(array[is_row_B]).tobytes()
        )
    totals = {
      key: tuple(math.fsum(column) for column in zip(*pairs)) for key, pairs in sums.items()
    }
    results: dict[str, float | str] = {'loss': 0.0}
    for (name, kind), (total, weight) in sorted(totals.items()):
      if kind == 'text':
        results['clm_word_perplexity'] = perplexity(total / text['words'])
        results['bits_per_byte'] = total / math.log(2) / text['bytes']
        continue
      results[f'{name}_{kind}'] = total / max(weight, 1.0)
      if kind == 'loss':
        results['loss'] += objective.weights[name] * total / max(weight, 1.0)
        if name not in ('nsp', 'sop'):  # which have two answers, and no vocabulary
          results[f'{name}_perplexity'] = perplexity(total / max(weight, 1.0))
    if hashes:
      digests = ''.join(hashes[name].hexdigest() for name in sorted(hashes))
      results['mask_sha256'] = hashlib.sha256(digests.encode()).hexdigest()
    return results

  return evaluate


def perplexity(nats: float) -> float:
  """exp(nats), infinite where a float cannot say it."""
  return math.exp(nats) if nats < 700 else math.inf
