"""What a run leaves when it ends: its result, or the batch and the gradient that broke it."""

import io
import json
from typing import NoReturn

from etils import epath
import numpy as np

from configs.schema import check
from runtime import distributed
from runtime.errors import NumericalError
from training import certificate, curves, metrics
from training.certificate import RunDigest
from training.experiment import Experiment


def write_result(
  directory: epath.Path, experiment: Experiment, row: dict, trail: RunDigest, seconds: float
) -> dict:
  """Writes the certificate, curves.png and result.json; returns what the last of them says.

  Args:
    row: of the last step, with its validation.
    seconds: since the run or its resumption began.
  """
  config, report = experiment.config, experiment.prepared.report
  validation = {name[4:]: value for name, value in row.items() if name.startswith('val/')}
  said = certificate.write(directory, config, trail, validation, report['validation']['sha256'])
  result = dict(
    step=row['step'],
    tokens=trail.tokens,
    certificate=said,
    validation=validation,
    unigram_entropy=report['unigram_entropy'],
    validation_sha256=report['validation']['sha256'],
    config_hash=check.config_hash(check.resolve(config)),
    validation_rows=experiment.validation(1).rows,
    seconds=seconds,
  )
  curves.draw(
    directory, metrics.read(directory), title=config.name, unigram_entropy=report['unigram_entropy']
  )
  (directory / 'result.json').write_text(json.dumps(result, indent=1))
  return result


def explain_nan(
  directory: epath.Path, step: int, batch: dict, measured: dict, *, saved: int | None
) -> NoReturn:
  """Leaves the batch of a step whose numbers are not finite, and says where the gradient broke.

  Args:
    measured: metrics of the step, block_gradient_norm among them.
    saved: step of the last checkpoint.

  Raises:
    NumericalError: always.
  """
  path = directory / f'nan_step_{step:08d}{distributed.suffix()}.npz'
  held = io.BytesIO()
  np.savez(held, **batch)
  path.write_bytes(held.getvalue())
  blocks = {
    name: np.asarray(norm).round(4).tolist()
    for name, norm in measured['block_gradient_norm'].items()
  }
  raise NumericalError(
    f'step {step:,}: loss {measured["train/loss"]}, gradient norm {measured["gradient_norm"]}; '
    'nothing was updated.\n'
    f'  gradient norm by part: {blocks}\n  rows of the batch: {batch["id"].tolist()[:8]}... all '
    f'in {path}\n'
    f'  last good checkpoint: step {saved}. Lower optimizer.learning_rate, or raise warmup_steps.'
  )
