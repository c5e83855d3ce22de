"""Validation: every row of the validation set exactly once, with frozen and hashed masks."""

from collections.abc import Callable, Iterable, Sequence
import hashlib
import math

import jax
import numpy as np

from objectives.mix import Objective
from runtime import finite


def make_evaluator(
  apply: Callable,
  objective: Objective,
  *,
  seed: int,
  shard: Callable,
  to_host: Callable = jax.device_get,
) -> Callable:
  """Returns a function (params, batches, text) -> results, compiled once.

  Args:
    apply: (params, batch) -> outputs of the network.
    objective: with the masking of validation, which is the same whatever training does.
    seed: of the masks. Row i draws from (seed, i), so they do not depend on batch size or devices.
    shard: puts a batch of numpy arrays on the devices.
    to_host: returns whole arrays, also those that other processes hold parts of.
  """

  @jax.jit
  def score(params, batch):
    batch = objective.prepare(jax.random.key(seed), batch, batch['id'])
    scores = objective.scores(apply(params, batch), batch)
    return scores, batch['id'], {name: batch[name] for name in objective.draws}

  def evaluate(
    params, batches: Iterable[dict[str, np.ndarray]], text: dict[str, int]
  ) -> dict[str, float | str]:
    """Returns results by name: OBJECTIVE_loss (nats per prediction), _accuracy, _perplexity, ...

    Args:
      batches: of the validation set; rows with `id` -1 only fill up the last batch.
      text: {'bytes', 'words', 'lost_bytes'} of the validation text, for units that do not depend
        on the tokenizer; `lost_bytes` are those that no token but the unknown one stands for.
    """
    sums: dict[tuple[str, str], list[tuple[float, float]]] = {}
    hashes = {name: hashlib.sha256() for name in objective.draws}
    for batch in batches:
      scores, id_B, drawn = to_host(score(params, shard(batch)))
      for name, kinds in scores.items():
        for kind, term in kinds.items():
          sums.setdefault((name, kind), []).append((float(term.total), float(term.weight)))
      # Rows that fill up the last batch are not hashed, so the hash does not depend on batch size.
      for name, x_Bx in drawn.items():
        hashes[name].update(np.ascontiguousarray(x_Bx[id_B >= 0]).tobytes())
    return _results(objective, sums, text) | _mask_sha256(hashes)

  return evaluate


def _results(objective: Objective, sums, text: dict[str, int]) -> dict[str, float]:
  """Returns means over the whole set, and the units that follow from them."""
  results = {'loss': 0.0}
  for (name, kind), pairs in sorted(sums.items()):
    total, weight = (math.fsum(column) for column in zip(*pairs))
    if kind == 'text':
      total += lost_nats(text['lost_bytes'])
      results[f'{name}_word_perplexity'] = perplexity(total / text['words'])
      results['bits_per_byte'] = total / math.log(2) / text['bytes']
      continue
    mean = total / max(weight, 1.0)
    finite.check(mean, f'{name}_{kind} of the validation set')
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


def lost_nats(lost_bytes: int) -> float:
  """What text that a model cannot say costs: each byte is drawn from all 256.

  Whoever reads an unknown token knows no more of what it stood for.
  """
  return lost_bytes * math.log(256)


def described_text(normalised: Sequence[str], lost_bytes: int) -> str:
  """Says what bits per byte are of: the text as the tokenizer has it, and what it cannot say.

  Args:
    normalised: as `Tokenizer.normalised`.
  """
  text = ' and '.join(normalised) or 'as written'
  if lost_bytes:
    text += f'; {lost_bytes:,} bytes of it have no token and cost 8 bits each'
  return text


def perplexity(nats: float) -> float:
  """Returns exp(nats); infinity where that overflows a float."""
  return math.exp(nats) if nats < 700 else math.inf


def rows(results: dict[str, float | str], units: dict[str, str]) -> dict[str, str]:
  """Returns results as rows for the console.

  Args:
    units: of the objectives' own results, as in `Objective.units`.
  """
  units = units | dict(
    loss='weighted sum of the objectives',
    bits_per_byte='special tokens not counted',
    text='what bits per byte and words count',
    unigram_entropy='nats a token, what frequencies alone would give',
    mask_sha256='of the frozen masks',
    validation_sha256='of the validation rows',
  )
  words = {}
  for name, value in results.items():
    number = f'{value:.4f}' if isinstance(value, float) else value
    if name.endswith('sha256'):
      number = value[:16]
    words[name] = f'{number}  {units[name]}' if name in units else number
  return words
