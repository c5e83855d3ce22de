"""Validation: every row of the validation set exactly once, with frozen and hashed masks."""

from collections.abc import Callable, Iterable, Sequence
import hashlib
import math
from typing import NamedTuple

import jax
import numpy as np

from objectives.mix import Objective
from runtime import finite

TEXT = ('bytes', 'words', 'lost_bytes')


class Part(NamedTuple):
  """The validation set, or what of it is of one corpus.

  Attributes:
    batches: rows with `id` -1 only fill up the last batch.
    text: {'bytes', 'words', 'lost_bytes'} of the validation text, for units that do not depend on
      the tokenizer; `lost_bytes` are those that no token but the unknown one stands for.
  """

  batches: Iterable[dict[str, np.ndarray]]
  text: dict[str, int]


class Scored(NamedTuple):
  """What was summed up over some rows.

  Attributes:
    sums: (total, weight) of every batch, by objective and kind of score.
    hashes: of what was drawn, by name.
  """

  sums: dict[tuple[str, str], list[tuple[float, float]]]
  hashes: dict


def make_evaluator(
  apply: Callable,
  objective: Objective,
  *,
  seed: int,
  shard: Callable,
  to_host: Callable = jax.device_get,
) -> Callable:
  """Returns a function (params, parts) -> results, compiled once.

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

  def scored(params, batches: Iterable[dict[str, np.ndarray]]) -> Scored:
    sums, hashes = {}, {name: hashlib.sha256() for name in objective.draws}
    for batch in batches:
      scores, id_B, drawn = to_host(score(params, shard(batch)))
      for name, kinds in scores.items():
        for kind, term in kinds.items():
          sums.setdefault((name, kind), []).append((float(term.total), float(term.weight)))
      # Rows that fill up the last batch are not hashed, so the hash does not depend on batch size.
      for name, x_Bx in drawn.items():
        hashes[name].update(np.ascontiguousarray(x_Bx[id_B >= 0]).tobytes())
    return Scored(sums, hashes)

  def evaluate(params, parts: dict[str, Part]) -> dict[str, float | str]:
    """Returns results by name: OBJECTIVE_loss (nats per prediction), _accuracy, _perplexity, ...

    Args:
      parts: of the validation set, by their names. Where there are several, results of the whole
        come first, and then those of each, as NAME/OBJECTIVE_loss.
    """
    of_parts = {name: scored(params, part.batches) for name, part in parts.items()}
    texts = [part.text for part in parts.values()]
    results = _results(objective, *_together(of_parts.values(), texts))
    if len(parts) > 1:
      for (name, one), text in zip(of_parts.items(), texts):
        own = _results(objective, one, text)
        results |= {f'{name}/{key}': own[key] for key in own if key != 'mask_sha256'}
    return results

  return evaluate


def _together(scored: Iterable[Scored], texts: list[dict]) -> tuple[Scored, dict]:
  """What was summed up over several parts, and what is counted in their texts, as of one."""
  if len(texts) == 1:
    return next(iter(scored)), texts[0]
  sums, hashes = {}, {}
  for one in scored:
    for key, pairs in one.sums.items():
      sums.setdefault(key, []).extend(pairs)
    for name, digest in one.hashes.items():
      hashes.setdefault(name, []).append(digest)
  text = {name: sum(each[name] for each in texts) for name in TEXT}
  joined = {}
  for name, digests in hashes.items():
    digest = digests[0]
    for other in digests[1:]:
      digest.update(other.digest())
    joined[name] = digest
  return Scored(sums, joined), text


def _results(objective: Objective, scored: Scored, text: dict[str, int]) -> dict[str, float | str]:
  """Returns means over the whole set, and the units that follow from them."""
  sums = scored.sums
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
  return results | _mask_sha256(scored.hashes)


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
    unit = units.get(name.rpartition('/')[2])  # of a part it is the same
    words[name] = f'{number}  {unit}' if unit else number
  return words
