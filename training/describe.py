"""What a run is, before it starts, and what it was, after it ended: as rows for the console."""

import math

from etils import epath
import jax

from configs.schema import check
from runtime import workdir
from runtime.console import duration
from training import certificate
from training.experiment import Experiment
from training.plan import Plan

# A run that would outlast this is told so, with a smaller config to try.
_PATIENCE_S = 86_400


def start_rows(
  experiment: Experiment,
  plan: Plan,
  directory: epath.PathLike,
  parameters: int,
  mesh: dict[str, int],
  step: int,
):
  """The table a run begins with."""
  config, model, devices = experiment.config, experiment.model, math.prod(mesh.values())
  T = ' then '.join(str(T) for _, T in experiment.phases)
  left = config.steps - step
  flops = ' then '.join(f'{plan.flops_a_token[T]:.3g}' for _, T in experiment.phases)
  seconds = plan.seconds(experiment.phases, step, config.steps)
  cell = str(experiment.main).replace('+', ', ', 1).replace('+', ' + ')
  rows = {
    'model': f'{model.layers} layers, width {model.width}, {model.heads} heads; mask {cell}',
    **({'schedule': config.schedule} if config.schedule else {}),
    'parameters': f'{parameters:,}',
    'data': f'{config.data.corpus}, {"sentence pairs" if experiment.pairs else "packed rows"} of '
    f'{T} tokens',
    'devices': f'{devices} x {jax.devices()[0].device_kind}'
    + (
      f' ({", ".join(f"{axis} {size}" for axis, size in mesh.items() if size > 1)})'
      if devices > 1
      else ''
    )
    + (f' in {jax.process_count()} processes' if jax.process_count() > 1 else ''),
    'global batch': f'{config.batch_size:,} sequences = {plan.accumulate} micro-batches x '
    f'{config.batch_size // plan.accumulate:,}',
    'attention': f'{plan.attention}, in {model.dtype}',
    'work': f'{left:,} steps, {flops} FLOPs a token',
    'expected time': f'about {duration(seconds)} ({duration(seconds / max(1, left))} a step), '
    'before it is measured',
    'workdir': str(directory),
  }
  if seconds > _PATIENCE_S:
    smaller = 'bert_tiny' if config.mask == 'bidirectional' else 'gpt_tiny'
    rows['advice'] = (
      f'this machine is too small for this config; --config=configs/{smaller}.py takes minutes'
    )
  if step:
    rows['resuming'] = f'at step {step:,} of {config.steps:,}'
  if config.data.corpus == 'wiki_leads' and config.steps >= 500_000:
    corpus = 'wikipedia' if 'mlm' in config.objectives else 'openwebtext'
    rows['corpus'] = (
      f"the default corpus is small: the paper's numbers need --config=configs/{config.name}.py:"
      f'corpus={corpus} (docs/data.md says how to prepare it)'
    )
  return rows


def result_rows(result: dict, directory: epath.PathLike, config) -> dict[str, str]:
  """The table a run ends with."""
  rows = {
    name: f'{value:.4f}' if isinstance(value, float) else value[:16]
    for name, value in result['validation'].items()
  }
  rows |= {
    'unigram entropy': f'{result["unigram_entropy"]:.4f} nats a token, what frequencies alone '
    'would give',
    'validation set': f'{result["validation_rows"]:,} rows, sha256 '
    f'{result["validation_sha256"][:16]}',
    'trained': f'{result["step"]:,} steps, {result["tokens"]:,} tokens',
    **certificate.rows(result['certificate']),
    'evaluate': f'python eval.py --workdir={directory}',
  }
  if config.budget == 'steps' and not workdir.fixed_length(check.resolve(config)):
    rows['go on'] = (
      f'the same command with more steps: --config.steps={2 * result["step"]} --allow_change=steps'
    )
  return rows
