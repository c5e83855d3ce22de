"""What there is to say about a trained model: every number with what it was measured on."""

from collections.abc import Callable, Iterable

import numpy as np

from evaluation.validation import make_evaluator
from objectives.mix import Objective


def run(
  apply: Callable,
  params,
  held_out: Objective,
  batches: Iterable[dict[str, np.ndarray]],
  *,
  seed: int,
  place: Callable,
  report: dict,
) -> dict[str, float | str]:
  """Every number the objectives of a model define on its
  validation set, and the hashes of what was asked.

  Args:
    held_out: the objective with validation's masking.
    batches: the whole validation set, every row once.
    seed: of the frozen masks.
    report: the data report, with bytes, words and hash of the validation text.
  """
  evaluate = make_evaluator(apply, held_out, seed=seed, place=place)
  scores = evaluate(params, batches, report['validation'])
  return scores | dict(
    unigram_entropy=report['unigram_entropy'], validation_sha256=report['validation']['sha256']
  )


def rows(results: dict[str, float | str]) -> dict[str, str]:
  """Results as words, with their units."""
  meaning = dict(
    mlm_loss='nats a masked token',
    mlm_accuracy='of masked tokens',
    mlm_perplexity='a masked token, both sides seen',
    nsp_loss='nats a pair',
    nsp_accuracy='of pairs; half are wrong',
    clm_loss='nats a token',
    clm_accuracy='of next tokens',
    clm_perplexity='a token, left side seen',
    clm_word_perplexity='a word',
    bits_per_byte='of text, special tokens not counted',
    loss='weighted sum of the objectives',
    unigram_entropy='nats a token, what frequencies alone would give',
    mask_sha256='of the frozen masks',
    validation_sha256='of the validation rows',
  )
  alike = dict(mntp='mlm', sop='nsp')  # asked in the same units
  words = {}
  for name, value in results.items():
    objective, _, kind = name.partition('_')
    known = meaning[name if name in meaning else f'{alike[objective]}_{kind}']
    words[name] = (f'{value:.4f}' if isinstance(value, float) else value[:16]) + f'  {known}'
  return words
