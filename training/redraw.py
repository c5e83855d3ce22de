"""Any batch of a past run, drawn again from what the run recorded: config, data and seed."""

from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np

from configs.schema import grid
from configs.schema.check import ConfigError
from data.tokens.tokenizer import Tokenizer
from objectives.mix import optional
from runtime import workdir
from training import metrics
from training.experiment import Experiment, build_experiment
from training.step import mask_hash, prepare


def draw(directory: epath.PathLike, step: int, progress) -> dict[str, Any]:
  """{'step', 'batch_hash', 'mask_hash', 'logged', 'rows'} of
  the batch of a step; hashes in hexadecimal.

  'logged' has the two hashes that the run wrote, or is None where it wrote none for this step; each
  row is {'row': place in the global batch, 'id': row of the
  training split, 'cell', 'text', 'targets'}.

  Raises:
    ConfigError: the run has no such step.
    StateError: the data are not the ones it was trained on.
  """
  config = workdir.read_config(directory)
  if not 0 <= step < config.steps:
    raise ConfigError(f'--step={step}: this run has steps 0 to {config.steps - 1}.')
  experiment = build_experiment(config, progress)
  prepared = experiment.prepared
  workdir.check_fingerprint(
    directory, dict(data=prepared.fingerprint, tokenizer=prepared.tokenizer.sha256)
  )
  batch = experiment.batches(experiment.length_at(step))[step]
  stage = grid.stage_at(grid.stages(config), step)
  rows, masks = [], 0
  for cell_step in experiment.cell_steps(stage):
    # Compiled, as in the run: a rate that falls is a number of 32 bits there.
    seen = jax.jit(
      lambda batch, step, cell_step=cell_step: prepare(
        cell_step,
        batch,
        seed=config.seed,
        step=step,
        steps=config.steps,
        fixed_maskings=config.mlm.fixed_maskings,
      )
    )(batch, jnp.int32(step))
    masks += int(mask_hash(seen, cell_step.objective.draws))
    rows += _rows(
      experiment, cell_step.share, {name: np.asarray(x) for name, x in seen.items()}, batch
    )
  logged = [row for row in metrics.read(directory) if row['step'] == step and 'batch_hash' in row]
  return dict(
    step=step,
    batch_hash=f'{metrics.batch_hash(batch):016x}',
    mask_hash=f'{masks % 2**32:08x}',
    logged={name: logged[0][name] for name in ('batch_hash', 'mask_hash')} if logged else None,
    rows=sorted(rows, key=lambda row: row['row']),
  )


def _rows(
  experiment: Experiment, share: grid.BatchShare, seen: dict[str, np.ndarray], batch
) -> list[dict[str, Any]]:
  place_B = [
    row
    for row in range(len(batch['id']))
    if share.first <= row % share.period < share.first + share.share
  ]
  rows = []
  for index, place in enumerate(place_B):
    row = {name: x[index] for name, x in seen.items()}
    rows.append(
      dict(
        row=place,
        id=int(row['id']),
        cell=str(share.cell),
        **_as_text(experiment.prepared.tokenizer, share.cell, row, batch['token'][place]),
      )
    )
  return rows


def _as_text(
  tokenizer: Tokenizer, cell: grid.Cell, row: dict[str, np.ndarray], original_T
) -> dict[str, Any]:
  """The row as text, tokens that were replaced as
  shown[original], documents apart; and what is asked for.
  """
  segment_T, written, before = row['segment'], [], 0
  for position in np.flatnonzero(segment_T > 0):
    if segment_T[position] != before and before:
      written.append('|')
    before = segment_T[position]
    shown, original = (
      tokenizer.readable(row['token'][position]),
      tokenizer.readable(original_T[position]),
    )
    word = shown if shown == original else f'{shown}[{original}]'
    written.append(f'_{word}_' if 'prefix' in row and row['prefix'][position] else word)
  targets = {}
  for targets_of in filter(None, (optional(name, 'targets') for name in cell.names)):
    arrays = targets_of({name: x[None] for name, x in row.items()})
    for position, token, weight in zip(*(np.asarray(x_1xP)[0] for x_1xP in arrays)):
      if weight:
        targets[int(position)] = tokenizer.readable(token)
  label = dict(label=int(row['label'])) if 'label' in row else {}
  return dict(text=' '.join(written), targets=dict(sorted(targets.items())), **label)
