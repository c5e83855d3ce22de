"""What a run writes when it ends: its result, or the batch on which it became non-finite."""

from collections.abc import Sequence
import io
from typing import NoReturn

from etils import epath
import numpy as np

from evaluation.validation import described_text
from runtime import distributed, storage
from runtime.errors import NumericalError
from training import certificate, curves, learning_curve, metrics, stacked
from training.certificate import RunDigest
from training.experiment import Experiment


def write_result(
  directory: epath.Path,
  experiment: Experiment,
  row: dict,
  trail: RunDigest,
  seconds: float,
  more: dict,
) -> dict:
  """Writes certificate.json, curves.png and result.json; returns the content of result.json.

  Args:
    row: the metrics of the last step, with its validation.
    trail: what the whole run has read and spent.
    seconds: since the run, or its resumption, started.
    more: of a labelled task, as `training.examine.Examine` returns it.
  """
  config, report = experiment.config, experiment.prepared.report
  validation = {name[4:]: value for name, value in row.items() if name.startswith('val/')}
  validation_sha256 = report['validation']['sha256']
  result = dict(
    step=row['step'],
    **{name: row[name] for name in ('stopped_early',) if name in row},
    tokens=trail.tokens,
    certificate=certificate.write(
      directory,
      config,
      trail,
      validation,
      validation_sha256,
      row['step'],
      experiment.teacher.flops if experiment.teacher else 0.0,
    ),
    validation=validation,
    **_of_text(experiment),
    validation_sha256=validation_sha256,
    config_hash=experiment.config_hash,
    validation_rows=experiment.validation(1).rows,
    seconds=seconds,
  )
  rows = metrics.read(directory)
  if 'metric' in more:
    more |= dict(learning_curve=_learning_curve(directory, rows, config, more))
  result |= more
  curves.draw(
    directory,
    rows,
    title=config.name,
    unigram_entropy=report.get('unigram_entropy'),
    **_score_drawn(more),
  )
  storage.write_json(directory / 'result.json', result)
  return result


def _learning_curve(directory: epath.Path, rows: list[dict], config, more: dict) -> dict:
  """The learning curve of a labelled task; leaves its picture, too."""
  metric = more['metric']
  curve = learning_curve.of(rows, metric, stacked.numbers(config))
  majority = more['majority']['validation'].get(metric)
  learning_curve.draw(directory, curve, title=config.name, majority=majority)
  return curve


def _score_drawn(more: dict) -> dict:
  """The score of a labelled task that curves.png shows, and that of the majority baseline."""
  metric = more.get('metric', '')
  return dict(metric=metric, majority=more['majority']['validation'].get(metric)) if metric else {}


def _of_text(experiment: Experiment) -> dict:
  """What is known of the text of a corpus; nothing of texts one by one."""
  report = experiment.prepared.report
  if experiment.of_texts:
    return {}
  return dict(
    text=described_text(report['normalised'], report['validation']['lost_bytes']),
    unigram_entropy=report['unigram_entropy'],
  )


def explain_nan(
  directory: epath.Path,
  step: int,
  batch: dict,
  measured: dict,
  *,
  saved: int | None,
  seeds: Sequence[int] = (),
) -> NoReturn:
  """Writes the batch of a non-finite step to nan_step_STEP.npz, and reports the gradient norms.

  Args:
    measured: metrics of the step, block_gradient_norm among them.
    saved: step of the last checkpoint; None if there is none.
    seeds: of several that train together, those that are not finite.

  Raises:
    NumericalError: always.
  """
  path = directory / f'nan_step_{step:08d}{distributed.suffix()}.npz'
  buffer = io.BytesIO()
  np.savez(buffer, **batch)
  storage.write(path, buffer.getvalue())
  blocks = {
    name: np.asarray(norm).round(4).tolist()
    for name, norm in measured['block_gradient_norm'].items()
  }
  which = f' of seed {", ".join(map(str, seeds))}' if seeds else ''
  raise NumericalError(
    f'step {step:,}{which}: loss {measured["train/loss"]}, gradient norm '
    f'{measured["gradient_norm"]}; '
    'nothing was updated.\n'
    f'  gradient norm by part: {blocks}\n  rows of the batch: {batch["id"].tolist()[:8]}... all '
    f'in {path}\n'
    f'  last good checkpoint: step {saved}. Lower optimizer.learning_rate, or raise warmup_steps.'
  )
