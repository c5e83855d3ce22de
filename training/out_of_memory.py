"""Advice when a device runs out of memory: what takes it, and which flags would help."""

import contextlib

from etils import epath
import jax

from models.attention import KERNELS
from parallel import sharding
from runtime.errors import DeviceError
from training import cost, plan
from training.experiment import Experiment, make_run_state


@contextlib.contextmanager
def explained(experiment: Experiment, directory: epath.Path, mesh):
  """Turns jax's out-of-memory error within the block into a DeviceError that gives advice."""
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    raise DeviceError(_advice(experiment, directory, mesh, str(error).splitlines()[0])) from error


def _advice(experiment: Experiment, directory: epath.Path, mesh, error: str) -> str:
  """Returns the message: the error, an estimate per device, and up to three flags that help."""
  config = experiment.config
  state, *_ = make_run_state(config, experiment.network, mesh)
  params, optimizer = map(sharding.bytes_a_device, (state.params, state.opt_state))
  path = epath.Path(directory) / 'plan.json'
  accumulate = plan.read_accumulate(path) if path.exists() else max(1, config.accumulate)
  rows = config.batch_size // accumulate // (mesh.shape['data'] * mesh.shape['fsdp'])
  seeds = config.finetune.seeds
  activations = seeds * cost.activation_bytes(
    experiment.model,
    rows,
    config.data.sequence_length,
    config.loss_chunk,
    fused=experiment.attention() in KERNELS,
  )
  smallest_divisor = next((n for n in range(2, rows) if rows % n == 0), rows)
  # (whether it can help here, flags, what they do), the cheapest first
  helps = [
    (
      seeds > 1,
      f'--config.finetune.seeds={seeds // 2}',
      'fewer seeds at once, in a new workdir; the others in another run, by config.seed',
    ),
    (
      rows > 1,
      f'--config.accumulate={accumulate * smallest_divisor}',
      'smaller micro-batches, the same gradient',
    ),
    (
      config.model.remat == 'none',
      '--config.model.remat=full --config.model.scan=True',
      'computes activations again instead of keeping them',
    ),
    (
      mesh.devices.size > 1 and mesh.shape['fsdp'] == 1,
      '--config.mesh.fsdp=-1 --config.mesh.data=1',
      'splits parameters and optimiser over the devices',
    ),
    (
      config.model.dtype == 'float32',
      '--config.model.dtype=bfloat16',
      'half the activations, in a new workdir',
    ),
    (
      config.loss_chunk > 256,
      f'--config.loss_chunk={config.loss_chunk // 4}',
      'fewer logits at once',
    ),
    (
      True,
      f'--config.batch_size={max(1, config.batch_size // 2)}',
      'another run, in a new workdir',
    ),
    (
      True,
      f'--config.data.sequence_length={config.data.sequence_length // 2}',
      'another run, in a new workdir',
    ),
  ]
  lines = [f'  {flags}  ({why})' for holds, flags, why in helps if holds][:3]
  changes = 'accumulate,model.remat,model.scan,mesh,loss_chunk'
  free = f'; those of a run that exists need --allow_change={changes}'
  return (
    f'the memory of a device does not suffice: {error}\nEstimated for a device, of '
    f'{_size(cost.device_memory())}: parameters {_size(params)}, their gradient {_size(params)}, '
    f'optimiser {_size(optimizer)}, activations of {rows * seeds} rows {_size(activations)}. '
    f'What would help{free}:\n' + '\n'.join(lines)
  )


def _size(count: float) -> str:
  return f'{count / 2**30:.2f} GiB'
