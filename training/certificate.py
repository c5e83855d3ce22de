"""What makes a run comparable: where it began, which rows it read,
what was hidden of them, and what it spent.
"""

import dataclasses
import hashlib
import json

from etils import epath

from training import budget


@dataclasses.dataclass(frozen=True)
class RunDigest:
  """What a run has read and spent so far; a checkpoint
  keeps it, so that a resumed run has the same.

  Attributes:
    tokens: read, padding not counted.
    predictions: made, answers about sentences not counted.
    rows: SHA-256, chained over the steps, of the batches.
    masks: the same of what was hidden or read from both sides.
  """

  tokens: int = 0
  predictions: int = 0
  rows: str = ''
  masks: str = ''

  def after(self, *, tokens: int, predictions: int, batch_hash: str, mask_hash: str) -> 'RunDigest':
    """With one step more."""
    return RunDigest(
      self.tokens + tokens,
      self.predictions + predictions,
      _chain(self.rows, batch_hash),
      _chain(self.masks, mask_hash),
    )


def write(
  directory: epath.Path, config, trail: RunDigest, validation: dict, validation_sha256: str
) -> dict:
  """Leaves certificate.json, and returns what it says.

  Args:
    config: with the settled steps.
    validation: results of the last validation.
  """
  fingerprint = json.loads((directory / 'data.json').read_text())
  planned = budget.spending(config)
  said = dict(
    data=fingerprint['data'],
    tokenizer=fingerprint['tokenizer'],
    validation_sha256=validation_sha256,
    validation_masks_sha256=validation['mask_sha256'] if 'mask_sha256' in validation else '',
    initial_sha256=json.loads((directory / 'initial.json').read_text())['sha256'],
    rows_sha256=trail.rows,
    masks_sha256=trail.masks,
    budget=config.budget,
    steps=config.steps,
    tokens=trail.tokens,
    flops=planned['flops'],
    predictions=trail.predictions,
    planned_predictions=planned['predictions'],
  )
  (directory / 'certificate.json').write_text(json.dumps(said, indent=1))
  return said


def rows(said: dict) -> dict[str, str]:
  """A certificate as words."""
  return {
    'began as': f'parameters {said["initial_sha256"][:16]} (embeddings and trunk)',
    'read': f'rows {said["rows_sha256"][:16]}, hidden of them {said["masks_sha256"][:16]}',
    'spent': f'{said["tokens"]:,} tokens, {said["flops"]:.4g} FLOPs, {said["predictions"]:,} '
    'predictions',
  }


def _chain(before: str, value: str) -> str:
  return hashlib.sha256(f'{before}{value}'.encode()).hexdigest()
