"""From a config to everything a step needs: data, network,
objective. The one place where they meet.
"""

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

from etils import epath
import jax.numpy as jnp

from configs.schema import grid
from configs.schema.check import ConfigError
from configs.schema.grid import Cell
from data import pipeline
from data.rows import documents
from data.tokens.tokenizer import Tokenizer
from models.config import ModelConfig
from models.network import Network, attention_in_use, example_batch, make_network
from objectives.corrupt import Masking
from objectives.mix import Objective, heads_of, make_objective
from objectives.projection import Setup
from runtime.errors import StateError
from training import checkpoint
from training.budget import phases_of
from training.optimizer import make_optimizer
from training.state import scored_params
from training.step import Work, make_state


class Made(NamedTuple):
  """A cell of the grid, made real; held_out is its objective
  with the masking that validation always uses.
  """

  apply: Callable
  objective: Objective
  held_out: Objective


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A config, made real.

  Attributes:
    network: with every head that some cell trains; its mask is that of the cell the run is for.
    cells: every cell that trains or is scored.
    main: the cell that the run is for.
    pairs: in which way sentence pairs are wrong, if an objective asks about sentences.
    phases: (first step, T) of each stretch of steps with one sequence length.
  """

  config: Any
  prepared: pipeline.Prepared
  model: ModelConfig
  network: Network
  cells: dict[Cell, Made]
  main: Cell
  masking: Masking
  pairs: str | None
  phases: tuple[tuple[int, int], ...]

  @property
  def objective(self) -> Objective:
    return self.cells[self.main].objective

  @property
  def held_out(self) -> Objective:
    return self.cells[self.main].held_out

  def attention(self) -> str:
    """The implementation of attention that reads full rows on the mesh in context."""
    config = self.config
    return attention_in_use(
      self.model, mask=config.mask, packed=not self.pairs, T=config.data.sequence_length
    )

  def length_at(self, step: int) -> int:
    """T of a step."""
    return [T for first, T in self.phases if first <= step][-1]

  def works(self, stage: grid.Stage) -> tuple[Work, ...]:
    """What trains in a stage."""
    return tuple(
      Work(part, self.cells[part.cell].apply, self.cells[part.cell].objective)
      for part in stage.parts
    )

  def batches(self, T: int, **place):
    """Training batches of T tokens by step; `place` says which process reads."""
    config = self.config
    return pipeline.batches(
      self.prepared,
      split='train',
      sequence_length=T,
      pairs=self.pairs,
      batch_size=config.batch_size,
      seed=config.seed,
      **place,
    )

  def validation(self, batch_size: int, **place):
    """The whole validation set, in order."""
    config = self.config
    return pipeline.batches(
      self.prepared,
      split='validation',
      sequence_length=config.data.sequence_length,
      pairs=self.pairs,
      batch_size=batch_size,
      seed=config.validation.seed,
      **place,
    )


def prepare_data(
  config, progress=pipeline.silent, tokenise=documents.tokenise
) -> pipeline.Prepared:
  """The rows that a config trains on; `tokenise` as in `pipeline.prepare`."""
  asked = {name for cell in grid.wanted(config) for name in cell.names}
  return pipeline.prepare(
    config.data,
    vocab_size=config.model.vocab_size,
    progress=progress,
    tokenise=tokenise,
    pairs='random' if 'nsp' in asked else 'swapped' if 'sop' in asked else None,
    sequence_lengths=tuple({T for _, T in phases_of(config)} | {config.data.sequence_length}),
  )


def assemble(config, progress=pipeline.silent) -> Experiment:
  """Prepares the data (the slow part, once) and builds network and objectives around its tokenizer.

  Args:
    config: checked by `configs.schema.check`.
    progress: called with (stage, done, total or None).
  """
  main, wanted = grid.main_cell(config), grid.wanted(config)
  asked = {name for cell in wanted for name in cell.names}
  prepared = prepare_data(config, progress)
  pairs = prepared.pairs
  model = ModelConfig(**config.model.to_dict())
  masking = Masking(**config.mlm.to_dict())
  frozen = Masking(
    rate=config.validation.rate,
    final_rate=0.0,
    fixed_maskings=0,
    masked=0.8,
    random=0.1,
    unit='token',
    span_mean=1.0,
    span_max=1,
    random_from_specials=True,
  )
  if prepared.tokenizer.mask is None and {'mlm', 'mntp'} & asked:
    raise ConfigError(
      f'config.data.tokenizer={config.data.tokenizer!r} has no mask token, which '
      f'{" and ".join(sorted(asked))} needs to hide tokens: use another, or train one (wordpiece '
      'or bpe).'
    )
  heads = trained_heads(config)

  def make(cell: Cell) -> Made:
    objective, held_out = (
      make_objective(
        dict(cell.weights),
        setup_of(prepared.tokenizer, hiding, config.loss_chunk, prefix=cell.mask == 'prefix'),
      )
      for hiding in (masking, frozen)
    )
    return Made(
      make_network(model, mask=cell.mask, packed=not pairs, heads=heads).apply, objective, held_out
    )

  network = make_network(model, mask=config.mask, packed=not pairs, heads=heads)
  return Experiment(
    config,
    prepared,
    model,
    network,
    {cell: make(cell) for cell in wanted},
    main,
    masking,
    pairs,
    phases_of(config),
  )


def trained_heads(config) -> tuple[str, ...]:
  """The heads of the network: those that some cell trains or that the run is for."""
  cells = (*grid.trained(config), grid.main_cell(config))
  return heads_of({name for cell in cells for name in cell.names})


def make_run_state(config, network: Network, mesh):
  """(abstract state, function that makes it, transformation, schedule) of a config's run."""
  tx, schedule = make_optimizer(config.optimizer, config.steps)
  T, P = (
    config.data.sequence_length,
    Masking(**config.mlm.to_dict()).predictions(config.data.sequence_length),
  )
  abstract, make = make_state(
    network,
    tx,
    seed=config.seed,
    mesh=mesh,
    average=bool(config.optimizer.average),
    batch=example_batch(1, T, P),
  )
  return abstract, make, tx, schedule


def load_params(config, network: Network, directory: epath.PathLike, mesh, *, step: int | None):
  """(parameters, step) of a checkpoint: the averaged ones where the run kept an average.

  Raises:
    StateError: there is no such checkpoint, or it is damaged.
  """
  abstract, *_ = make_run_state(config, network, mesh)
  folder = epath.Path(directory) / 'checkpoints'
  steps = checkpoint.available(folder)
  if not steps or step is not None and step not in steps:
    wanted = 'checkpoint' if step is None else f'checkpoint of step {step}'
    raise StateError(f'{folder} has no {wanted}; there are {steps or "none"}.')
  step = steps[-1] if step is None else step
  if problem := checkpoint.damage(checkpoint.folder_of(folder, step)):
    raise StateError(
      f'checkpoint of step {step} is damaged: {problem}. Try --step with one of {steps}.'
    )
  state, _ = checkpoint.restore(folder, step, abstract)
  return scored_params(state), step


def setup_of(tokenizer: Tokenizer, masking: Masking, chunk: int, *, prefix: bool) -> Setup:
  """What the objectives need to know of a tokenizer."""
  return Setup(
    jnp.asarray(tokenizer.special_V),
    jnp.asarray(tokenizer.word_start_V),
    -1 if tokenizer.mask is None else tokenizer.mask,
    masking,
    chunk,
    prefix=prefix,
  )
