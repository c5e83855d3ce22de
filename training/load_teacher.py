"""Loads the network that a run learns from, and refuses one that the run cannot learn from."""

import dataclasses
import hashlib
import json

from etils import epath
import jax

from configs.schema import grid, names
from configs.schema.check import ConfigError
from inference.model import Model
from models.config import ModelConfig
from models.heads import head_of
from models.network import Network, example_batch, make_network
from objectives.mix import heads_of
from parallel import sharding
from runtime import storage, workdir
from training import budget, cost, saver
from training.experiment import Experiment
from training.frozen import masking_of
from training.load import load
from training.teacher import Teacher
from training.warm_start import check_tokenizer

_KNOB = 'config.distill.teacher'
# How the run computes: the teacher does it in the same way.
_AS_THE_RUN = ('attention', 'dtype', 'scan', 'last_layer', 'remat')
# What a network computes with the same parameters, however it does it.
_NO_MATTER = {*_AS_THE_RUN, 'dropout', 'attention_dropout', 'init_scale', 'init_truncated'}


def with_teacher(experiment: Experiment, mesh, say) -> Experiment:
  """The experiment with its teacher, if an objective of it learns from one.

  Args:
    say: called with a line about the teacher.

  Raises:
    ConfigError: the run cannot learn from it: another vocabulary, width, mask or head.
    StateError, WeightsError: there is no model, or it has another tokenizer.
  """
  config = experiment.config
  cells = [cell for cell in experiment.cells if names.taught(cell.names)]
  if not cells:
    return experiment
  source = config.distill.teacher
  workdir.check_origin(source, _KNOB)
  folder = epath.Path(storage.resolve_path(source, _KNOB))
  check_tokenizer(folder, experiment, _KNOB)
  model = load(folder)
  for cell in cells:
    for problem in _problems(model, cell, experiment):
      raise ConfigError(f'{_KNOB}={source}: {problem}')
  shape = dataclasses.replace(
    model.config, **{name: getattr(experiment.model, name) for name in _AS_THE_RUN}
  )
  networks = {cell: _network(shape, model.mask, cell, experiment) for cell in cells}
  params = _on_devices(model, networks, experiment, mesh)
  sha256 = _digest(model, params)
  say(f'learns from {model.source} ({model.mask}, sha256 {sha256[:16]}), which is not trained')
  flops = _Flops(config, shape, cells)
  return dataclasses.replace(
    experiment,
    teacher=Teacher(
      of={cell: network.apply for cell, network in networks.items()},
      params=params,
      sha256=sha256,
      source=model.source,
      bytes_a_device=sharding.bytes_a_device(params),
      flops_a_token={T: flops.a_token(T) for _, T in experiment.phases},
      flops=flops.total(),
    ),
  )


def _heads(cell: grid.Cell) -> tuple[str, ...]:
  """Where a teacher is compared: heads of these objectives, or of the one beside them."""
  found = set(heads_of(names.taught(cell.names)))
  for name in names.taught(cell.names):
    facts = names.objectives()[name]
    found |= set() if facts.HEADS else {*heads_of({*facts.BESIDE} & {*cell.names})}
  return tuple(sorted(found))


def _network(shape: ModelConfig, mask: str, cell: grid.Cell, experiment: Experiment) -> Network:
  return make_network(shape, mask=mask, packed=not experiment.pairs, heads=_heads(cell))


def _problems(model: Model, cell: grid.Cell, experiment: Experiment):
  """Why a cell cannot learn from a model, as ends of messages."""
  own, theirs, T = experiment.model, model.config, experiment.config.data.sequence_length
  if theirs.vocab_size != own.vocab_size:
    yield (
      f'its vocabulary has {theirs.vocab_size:,} rows, and that of the student '
      f'{own.vocab_size:,}: give config.model.vocab_size={theirs.vocab_size}.'
    )
  if model.context < T:
    yield (
      f'it reads {model.context:,} tokens at most: --config.data.sequence_length={model.context}.'
    )
  known = {head_of(theirs, head).owner or head for head in model.heads}
  for head in _heads(cell):
    owner = head_of(theirs, head).owner or head
    if head != 'hidden' and owner not in known:
      yield (
        f'it has no head {owner}, at which {cell} is compared with it; it has '
        f'{", ".join(model.heads) or "none"}.'
      )
  if {'mlm', 'mlm_row'} & {*_heads(cell)} and bool(model.ahead) != ('mntp' in cell.names):
    yield (
      f'it was trained with {"mntp" if model.ahead else "mlm"}, whose output at a position is of '
      f'another token than that of {cell}.'
    )
  if 'hidden' in _heads(cell) and theirs.width != own.width:
    yield (
      f'its hidden states have width {theirs.width}, and those of the student {own.width}: '
      'distill_hidden compares states of one width. Leave it out, or give them the same.'
    )
  if 'clm' in cell.names and model.mask not in ('causal', cell.mask):
    yield (
      f'its mask is {model.mask!r}, which shows it the tokens that {cell} asks for: a teacher of '
      "clm has mask='causal'."
    )


def _on_devices(model: Model, networks: dict[grid.Cell, Network], experiment: Experiment, mesh):
  """The parameters that the networks use, split over the devices as those of the run are."""
  T = experiment.config.data.sequence_length
  params = {}
  for network in networks.values():
    boxed = jax.eval_shape(network.init, jax.random.key(0), example_batch(1, T, 1))
    for name, where in sharding.shardings(mesh, boxed).items():
      if name not in params:
        whole = sharding.to_host(model.params[name])
        params[name] = jax.tree.map(jax.device_put, whole, where)
  return params


def _digest(model: Model, params) -> str:
  """SHA-256 of what the teacher says, whatever devices hold it."""
  shape = {k: v for k, v in vars(model.config).items() if k not in _NO_MATTER}
  about = json.dumps([model.mask, shape], sort_keys=True)
  return hashlib.sha256(f'{about}{saver.digest(params)}'.encode()).hexdigest()


class _Flops:
  """What a teacher's forward passes cost; a third of what training it would."""

  def __init__(self, config, shape: ModelConfig, cells: list[grid.Cell]):
    self._config, self._shape, self._cells = config, shape, cells

  def a_token(self, T: int) -> float:
    """Of a position of rows of T tokens, mean over the steps."""
    return budget.mean_flops_per_token(self._config, T, self._of_cell)

  def total(self) -> float:
    """Of the whole run."""
    return budget.spending(self._config, self._of_cell)['flops']

  def _of_cell(self, config, cell: grid.Cell, T: int) -> float:
    if cell not in self._cells:
      return 0.0
    predictions = masking_of(config).predictions(T)
    return cost.flops_per_token(self._shape, _heads(cell), T, predictions) / 3
