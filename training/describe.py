"""Tables for the console: a run before it starts, and its result after it ends."""

import math

from etils import epath
import jax

from configs import base
from configs.schema import check
from data import report
from interop import describe
from runtime import workdir
from runtime.console import duration
from training import certificate, stacked
from training.experiment import Experiment
from training.frozen import fills_ahead, trained_heads
from training.plan import Plan

# Seconds of expected time from which a smaller config is suggested: a day, a choice.
_PATIENCE_S = 86_400


def start_rows(
  experiment: Experiment,
  plan: Plan,
  directory: epath.PathLike,
  parameters: int,
  mesh: dict[str, int],
  step: int,
):
  """Returns the rows of the table that a run prints at its start, {label: text}.

  Args:
    parameters: how many the network has.
    mesh: {axis: devices}.
    step: from which the run starts; above 0 for a resumed one.
  """
  config, model = experiment.config, experiment.model
  T = ' then '.join(str(T) for _, T in experiment.phases)
  flops = ' then '.join(f'{plan.flops_a_token[T]:.3g}' for _, T in experiment.phases)
  steps = config.steps - step
  seconds = plan.seconds(experiment.phases, step, config.steps)
  cell = str(experiment.main).replace('+', ', ', 1).replace('+', ' + ')
  corpus, sequences = config.data.corpus, 'sequences'
  if experiment.labelled:
    corpus, layout, sequences = config.data.task, 'several examples a row', 'examples'
    T = experiment.prepared.T
  elif experiment.of_texts:
    corpus, layout, sequences = config.data.groups, 'a group of texts a row', 'groups'
    T = f'up to {experiment.prepared.T}'
  else:
    layout = report.KINDS[experiment.prepared.kind]
  rows = {
    'model': f'{model.layers} layers, width {model.width}, {model.heads} heads; mask {cell}',
    **({'schedule': config.schedule} if config.schedule else {}),
    'parameters': f'{parameters:,}',
    'data': f'{corpus}, {layout} of {T} tokens',
    'devices': _devices(mesh),
    'global batch': f'{config.batch_size:,} {sequences} = {plan.accumulate} '
    f'{"micro-batch" if plan.accumulate == 1 else "micro-batches"} x '
    f'{config.batch_size // plan.accumulate:,}',
    **_seeds(config),
    **({'teacher': experiment.teacher.source} if experiment.teacher else {}),
    'attention': f'{plan.attention}, in {model.dtype}',
    'work': f'{steps:,} steps, {flops} FLOPs a token',
    'expected time': f'about {duration(seconds)} ({duration(seconds / max(1, steps))} a step), '
    'before it is measured; without compilation, mask check and validation',
    'exports to': stock_class(experiment),
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


def _seeds(config) -> dict[str, str]:
  """Which seeds train together, where there are several."""
  seeds = stacked.numbers(config)
  if len(seeds) == 1:
    return {}
  return dict(seeds=f'{seeds[0]} to {seeds[-1]}, as one program; each has such batches of its own')


def stock_class(experiment: Experiment) -> str:
  """Returns the class of transformers that the result exports to, or why there is none."""
  config = experiment.config
  return describe.stock_class(
    vars(experiment.model),
    base.get_config().model.to_dict(),
    config.mask,
    trained_heads(config),
    ahead=fills_ahead(config),
    pooling='' if config.finetune.pooling == 'auto' else config.finetune.pooling,
    choices='choose' in config.objectives,
  )


def result_rows(result: dict, directory: epath.PathLike, config) -> dict[str, str]:
  """Returns the rows of the table that a run prints at its end, {label: text}.

  Args:
    result: as `result.write_result` returns it.
  """
  rows = (
    _scores(result)
    if 'test' in result or 'majority' in result
    else {
      name: f'{value:.4f}' if isinstance(value, float) else value[:16]
      for name, value in result['validation'].items()
    }
  )
  if 'unigram_entropy' in result:
    rows['unigram entropy'] = (
      f'{result["unigram_entropy"]:.4f} nats a token, what frequencies alone would give'
    )
  if 'bits_per_byte' in result['validation']:
    rows['text'] = f'{result["text"]}: what bits per byte count'
  rows |= {
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


def _scores(result: dict) -> dict[str, str]:
  """The scores of a labelled task, a row a split, that of the task first."""
  metric, rows = result['metric'], {}
  seeds = result['seeds'] if 'seeds' in result else dict(list=[])  # an older run has none
  several = len(seeds['list']) > 1
  for split, majority in result['majority'].items():
    found = result[split]
    others = [f'{name} {value:.4f}' for name, value in found.items() if name != metric]
    if metric in found:
      others.insert(0, f'majority baseline {majority[metric]:.4f}')
      if several:
        rows[f'{split} {metric}'] = _spread(seeds[split][metric])
      named = f'{split}, seed {seeds["best"]}' if several else f'{split} {metric}'
      rows[named] = f'{found[metric]:.4f}  {", ".join(others)}'
  if several:
    failed = ', '.join(map(str, seeds['failed'])) or 'none'
    rows['failed seeds'] = f'{failed}  ({seeds["failed_means"]})'
    rows['weights'] = f'those of seed {seeds["best"]}, the best on the validation split'
  return rows


def _spread(of_seeds: dict) -> str:
  """The scores of several seeds in words."""
  low, high = of_seeds['min'], of_seeds['max']
  return (
    f'{of_seeds["mean"]:.4f} ± {of_seeds["std"]:.4f}  mean and standard deviation of '
    f'{len(of_seeds["values"])} seeds, {low:.4f} to {high:.4f}'
  )


def _devices(mesh: dict[str, int]) -> str:
  """Describes the devices, the axes they are split over, and the processes."""
  count, processes = math.prod(mesh.values()), jax.process_count()
  text = f'{count} x {jax.devices()[0].device_kind}'
  if count > 1:
    axes = ', '.join(f'{axis} {size}' for axis, size in mesh.items() if size > 1)
    text += f' ({axes})'
  if processes > 1:
    text += f' in {processes} processes'
  return text
