"""Any batch of a past run, drawn again from what the run
recorded: its config, its data and its seed.
"""

from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np

from configs.schema import grid
from configs.schema.check import ConfigError
from data.tokens.tokenizer import Tokenizer
from objectives import clm
from runtime import workdir
from training import metrics
from training.experiment import Experiment, assemble
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
  experiment = assemble(config, progress)
  prepared = experiment.prepared
  workdir.check_fingerprint(
    directory, dict(data=prepared.fingerprint, tokenizer=prepared.tokenizer.sha256)
  )
  batch = experiment.batches(experiment.length_at(step))[step]
  stage = grid.stage_at(grid.stages(config), step)
  rows, masks = [], 0
  for work in experiment.works(stage):
    # Compiled, as in the run: a rate that falls is a number of 32 bits there.
    seen = jax.jit(
      lambda batch, step, work=work: prepare(
        work,
        batch,
        seed=config.seed,
        step=step,
        steps=config.steps,
        fixed_maskings=config.mlm.fixed_maskings,
      )
    )(batch, jnp.int32(step))
    masks += int(mask_hash(seen))
    rows += _rows(experiment, work.part, {name: np.asarray(x) for name, x in seen.items()}, batch)
  logged = [row for row in metrics.read(directory) if row['step'] == step and 'batch_hash' in row]
  return dict(
    step=step,
    batch_hash=f'{metrics.batch_hash(batch):016x}',
    mask_hash=f'{masks % 2**32:08x}',
    logged={name: logged[0][name] for name in ('batch_hash', 'mask_hash')} if logged else None,
    rows=sorted(rows, key=lambda row: row['row']),
  )


def _rows(
  experiment: Experiment, part: grid.Part, seen: dict[str, np.ndarray], batch
) -> list[dict[str, Any]]:
  place_B = [
    row
    for row in range(len(batch['id']))
    if part.first <= row % part.period < part.first + part.share
  ]
  rows = []
  for index, place in enumerate(place_B):
    row = {name: x[index] for name, x in seen.items()}
    rows.append(
      dict(
        row=place,
        id=int(row['id']),
        cell=str(part.cell),
        **_words(experiment.prepared.tokenizer, part.cell, row, batch['token'][place]),
      )
    )
  return rows


def _words(
  tokenizer: Tokenizer, cell: grid.Cell, row: dict[str, np.ndarray], original_T
) -> dict[str, Any]:
  """The row as text, tokens that were replaced as
  shown[hidden], documents apart; and what is asked for.
  """
  segment_T, written, before = row['segment'], [], 0
  for position in np.flatnonzero(segment_T > 0):
    if segment_T[position] != before and before:
      written.append('|')
    before = segment_T[position]
    shown, hidden = (
      tokenizer.readable(row['token'][position]),
      tokenizer.readable(original_T[position]),
    )
    word = shown if shown == hidden else f'{shown}[{hidden}]'
    written.append(f'_{word}_' if 'prefix' in row and row['prefix'][position] else word)
  targets = {}
  if 'mlm_position' in row:
    ahead = int('mntp' in cell.names)
    for position, target, weight in zip(row['mlm_position'], row['mlm_target'], row['mlm_weight']):
      if weight:
        targets[int(position) + ahead] = tokenizer.readable(target)
  if 'clm' in cell.names:
    target_1xT, weight_1xT = clm.targets({name: x[None] for name, x in row.items()})
    targets = {
      int(at) + 1: tokenizer.readable(target_1xT[0, at]) for at in np.flatnonzero(weight_1xT[0])
    }
  label = dict(label=int(row['label'])) if 'label' in row else {}
  return dict(text=' '.join(written), targets=dict(sorted(targets.items())), **label)
