"""Redraws any batch of a past run from what the run recorded: config, data and seed."""

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
from training import metrics, stacked
from training.experiment import Experiment, build_experiment
from training.gradient import mask_hash
from training.step import prepare


def draw(directory: epath.PathLike, step: int, progress) -> dict[str, Any]:
  """Redraws the batch of a step, and looks up the hashes that the run logged for it.

  Args:
    directory: workdir of the run.
    progress: as in `build_experiment`.

  Returns:
    'step', 'batch_hash' and 'mask_hash' (hexadecimal), 'logged': the two hashes that the run wrote,
    or None if it wrote none for this step, and 'rows', each {'row': number in the global batch,
    'id': row of the training split, 'cell', 'text', 'targets': {position: token}}.

  Raises:
    ConfigError: the run has no such step.
    StateError: the data are not those the run was trained on.
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
  rows, masks, seeds = [], 0, stacked.numbers(config)
  of_seeds = stacked.apart(batch, len(seeds))
  every = [
    (seed, {name: x_NxR[n] for name, x_NxR in of_seeds.items()}, cell_step)
    for n, seed in enumerate(seeds)
    for cell_step in experiment.cell_steps(stage)
  ]
  for seed, own, cell_step in every:

    def prepare_rows(batch, step, cell_step=cell_step, seed=seed):
      return prepare(
        cell_step,
        batch,
        seed=seed,
        step=step,
        steps=config.steps,
        fixed_maskings=config.mlm.fixed_maskings,
      )

    # Compiled, as in the run: there a falling masking rate is computed in float32.
    masked = jax.jit(prepare_rows)(own, jnp.int32(step))
    masks += int(mask_hash(masked, cell_step.objective.draws))
    masked = {name: np.asarray(x) for name, x in masked.items()}
    found = _rows(experiment, cell_step.share, masked, own)
    rows += [row | dict(row=row['row'] * len(seeds) + seed - config.seed) for row in found]
  logged = [row for row in metrics.read(directory) if row['step'] == step and 'batch_hash' in row]
  return dict(
    step=step,
    batch_hash=f'{_hash(batch):016x}',
    mask_hash=f'{masks % 2**32:08x}',
    logged={name: logged[0][name] for name in ('batch_hash', 'mask_hash')} if logged else None,
    rows=sorted(rows, key=lambda row: row['row']),
  )


def _hash(batch: dict[str, np.ndarray]) -> int:
  """The hash of a batch as a run logs it: rows without a text are left out."""
  there = np.flatnonzero(batch['id'] >= 0)
  return metrics.batch_hash({name: x_Bx[there] for name, x_Bx in batch.items()}, local_rows=there)


def _rows(
  experiment: Experiment, share: grid.BatchShare, prepared: dict[str, np.ndarray], batch
) -> list[dict[str, Any]]:
  """Returns the entries of one cell's rows.

  Args:
    prepared: the rows of the cell alone, after masking.
    batch: the global batch, before masking.
  """
  rows_of_cell = [
    row
    for row in range(len(batch['id']))
    if share.first <= row % share.period < share.first + share.share
  ]
  rows = []
  for index, global_row in enumerate(rows_of_cell):
    row = {name: x_Bx[index] for name, x_Bx in prepared.items()}
    original_T = batch['token'][global_row]
    text = _as_text(experiment.prepared.tokenizer, share.cell, row, original_T)
    rows.append(dict(row=global_row, id=int(row['id']), cell=str(share.cell), **text))
  return rows


def _as_text(
  tokenizer: Tokenizer, cell: grid.Cell, row: dict[str, np.ndarray], original_T
) -> dict[str, Any]:
  """Returns 'text', 'targets' {position: token} and, if the row has one, 'label'.

  In the text, a replaced token is written shown[original], a token of a prefix _token_, and `|`
  separates documents.
  """
  segment_T, words, previous = row['segment'], [], 0
  for position in np.flatnonzero(segment_T > 0):
    if segment_T[position] != previous and previous:
      words.append('|')
    previous = segment_T[position]
    shown = tokenizer.readable(row['token'][position])
    original = tokenizer.readable(original_T[position])
    word = shown if shown == original else f'{shown}[{original}]'
    words.append(f'_{word}_' if 'prefix' in row and row['prefix'][position] else word)
  targets = {}
  for name in cell.names:
    targets_of = optional(name, 'targets')
    if not targets_of:
      continue
    arrays_1xP = targets_of({key: x[None] for key, x in row.items()})
    position_P, token_P, weight_P = (np.asarray(x_1xP)[0] for x_1xP in arrays_1xP)
    for position, token, weight in zip(position_P, token_P, weight_P):
      if weight:
        targets[int(position)] = tokenizer.readable(token)
  label = dict(label=row['label'].tolist()) if 'label' in row else {}
  return dict(text=' '.join(words), targets=dict(sorted(targets.items())), **label)
