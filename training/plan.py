"""What a run will be, before it starts, and what it was,
after it ended: as rows for the console.
"""

import dataclasses
import json
import math

from etils import epath
import jax

from configs.schema import check, grid
from models.attention import KERNELS
from runtime import distributed, workdir
from runtime.console import duration
from training import budget, certificate, cost
from training.experiment import Experiment

# A run that would outlast this is told so, with a smaller config to try.
_PATIENCE_S = 86_400
# Of the matmul peak, what a step reaches before anything was
# tuned; small matrices leave more to the rest.
_NARROW, _SHARE_NARROW, _SHARE_WIDE = 512, 0.33, 0.6


@dataclasses.dataclass(frozen=True)
class Plan:
  """How a run will go.

  Attributes:
    accumulate: micro-batches an update.
    attention: the implementation that reads the longest rows.
    flops_a_token: of each sequence length T of the run.
    step_seconds: of each T, predicted from a matmul measured
      now; the first honest ETA there can be.
  """

  accumulate: int
  attention: str
  flops_a_token: dict[int, float]
  step_seconds: dict[int, float]

  def seconds(self, phases: tuple[tuple[int, int], ...], first: int, steps: int) -> float:
    """Predicted time of the steps from `first` on; `phases` as in an Experiment."""
    ends = [start for start, _ in phases[1:]] + [steps]
    return sum(
      max(0, end - max(first, start)) * self.step_seconds[T]
      for (start, T), end in zip(phases, ends)
    )


def make_plan(experiment: Experiment, directory: epath.PathLike, parameters: int, mesh) -> Plan:
  """Chooses what the config leaves open, once a run: a resumed run
  keeps the choice, because it orders sums.
  """
  config, T = experiment.config, experiment.config.data.sequence_length
  attention = experiment.attention()
  flops = {T: budget.mean_flops_per_token(config, T) for _, T in experiment.phases}
  path = epath.Path(directory) / 'plan.json'
  platform, memory = jax.default_backend(), cost.device_memory()

  def accumulate() -> int:
    chosen = config.accumulate
    if not chosen:
      chosen = (
        json.loads(path.read_text())['accumulate']
        if path.exists()
        else cost.choose_accumulate(
          experiment.model,
          batch_size=config.batch_size,
          T=T,
          chunk=config.loss_chunk,
          devices=mesh.shape['data'] * mesh.shape['fsdp'],
          params=parameters // mesh.shape['fsdp'],
          average=bool(config.optimizer.average),
          flops_a_token=flops[T],
          platform=platform,
          memory=memory,
          fused=attention in KERNELS,
          period=grid.period(config),
        )
      )
    path.write_text(json.dumps(dict(accumulate=chosen)))
    return chosen

  # The CPU devices of a process share its cores.
  measured = expected_speed(experiment.model.width) * (
    1 if platform == 'cpu' else mesh.devices.size
  )
  # both decide what is compiled
  chosen, speed = distributed.from_first(lambda: (accumulate(), measured))
  return Plan(
    chosen, attention, flops, {T: config.batch_size * T * each / speed for T, each in flops.items()}
  )


def expected_speed(width: int) -> float:
  """FLOP/s that steps of a network of this width may reach on the
  default device, from a product measured now.
  """
  return cost.matmul_peak() * (_SHARE_NARROW if width < _NARROW else _SHARE_WIDE)


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
