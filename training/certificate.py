"""The certificate: what makes two runs comparable.

It holds the initial parameters, the rows that were read, the tokens that were masked (all as
hashes), and what the run spent.
"""

import dataclasses
import hashlib

from etils import epath

from runtime import json_file, records, storage
from runtime.errors import StateError
from training import budget


@dataclasses.dataclass(frozen=True)
class RunDigest:
  """What a run has read and spent so far. Checkpoints keep it, so a resumed run continues it.

  Attributes:
    tokens: tokens read, without padding.
    predictions: tokens predicted; sentence classifications do not count.
    rows: SHA-256 of the batches, chained over the steps.
    masks: SHA-256 of the masked positions and the prefixes, chained over the steps.
  """

  tokens: int = 0
  predictions: int = 0
  rows: str = ''
  masks: str = ''

  def after(self, *, tokens: int, predictions: int, batch_hash: str, mask_hash: str) -> 'RunDigest':
    """Returns the digest with one more step."""
    return RunDigest(
      self.tokens + tokens,
      self.predictions + predictions,
      _chain(self.rows, batch_hash),
      _chain(self.masks, mask_hash),
    )


def write(
  directory: epath.Path,
  config,
  trail: RunDigest,
  validation: dict,
  validation_sha256: str,
  steps: int,
  teacher_flops: float = 0.0,
) -> dict:
  """Writes certificate.json, and returns its content.

  Args:
    config: as `budget.settle` returns it.
    validation: results of the last validation.
    validation_sha256: hash of the validation rows.
    steps: that were taken.
    teacher_flops: of the forward passes of a teacher, which are not among those of the run.

  Raises:
    StateError: data.json or initial.json is damaged.
  """
  fingerprint = records.read_fingerprint(directory / 'data.json')
  planned = budget.spending(config)
  certificate = dict(
    data=fingerprint['data'],
    tokenizer=fingerprint['tokenizer'],
    validation_sha256=validation_sha256,
    validation_masks_sha256=validation['mask_sha256'] if 'mask_sha256' in validation else '',
    initial_sha256=read_initial(directory),
    rows_sha256=trail.rows,
    masks_sha256=trail.masks,
    budget=config.budget,
    steps=steps,
    tokens=trail.tokens,
    # of labelled texts the rows are not full, and what is in them is known
    flops=_flops(config, trail.tokens)
    if config.data.task or config.data.groups
    else planned['flops'],
    predictions=trail.predictions,
    planned_predictions=planned['predictions'] * config.finetune.seeds,
  )
  if 'teacher' in fingerprint:
    certificate |= dict(teacher_sha256=fingerprint['teacher'], teacher_flops=teacher_flops)
  storage.write_json(directory / 'certificate.json', certificate)
  return certificate


def write_initial(directory: epath.Path, sha256: str):
  """Writes initial.json: the hash of the parameters that a run begins with."""
  storage.write_json(directory / 'initial.json', dict(sha256=sha256))


def read_initial(directory: epath.Path) -> str:
  """The hash that `write_initial` wrote.

  Raises:
    StateError: the file is missing or damaged.
  """
  initial = json_file.read_object(
    directory / 'initial.json',
    dict(sha256=str),
    refuse=StateError,
    todo='Bring a copy back: it was written at step 0.',
  )
  return initial['sha256']


def _flops(config, tokens: int) -> float:
  """Of so many tokens without padding."""
  return tokens * budget.mean_flops_per_token(config, config.data.sequence_length)


def rows(certificate: dict) -> dict[str, str]:
  """Returns a certificate as rows for the console; hashes are cut to 16 digits."""
  initial = certificate['initial_sha256'][:16]
  batches, masks = certificate['rows_sha256'][:16], certificate['masks_sha256'][:16]
  tokens, predictions = certificate['tokens'], certificate['predictions']
  # what reads labels or groups of texts masks nothing and predicts no token
  masked = f', masked positions {masks}' if predictions else ''
  predicted = f', {predictions:,} predictions' if predictions else ''
  teacher = certificate.get('teacher_sha256')
  taught = f', and {certificate["teacher_flops"]:.4g} FLOPs of the teacher' if teacher else ''
  return {
    'initial parameters': f'sha256 {initial} (embeddings and trunk)',
    'training data': f'sha256 {batches}{masked}',
    **({'teacher': f'sha256 {teacher[:16]}'} if teacher else {}),
    'spent': f'{tokens:,} tokens, {certificate["flops"]:.4g} FLOPs{taught}{predicted}',
  }


def _chain(before: str, value: str) -> str:
  return hashlib.sha256(f'{before}{value}'.encode()).hexdigest()
