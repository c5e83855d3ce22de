"""From a config to everything a step needs: network, objectives, data. The one way there is."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any, NamedTuple

from configs.schema import check, grid, names
from configs.schema.grid import Cell
from data import pipeline
from data.groups.prepared import PreparedGroups
from data.tasks import prepared as tasks
from data.tasks.prepared import PreparedTask
from models.config import ModelConfig
from models.masks import KINDS
from models.network import Network, attention_in_use, example_batch, make_network
from objectives.corrupt import Masking
from objectives.mix import Objective, make_objective, needs_mask_token
from objectives.term import Setup, Vocabulary
from training import spikes, stacked
from training.frozen import (
  labels_of,
  masking_of,
  model_config,
  taught_heads,
  validation_masking,
  vector_loss,
  vocabulary_of,
)
from training.gradient import CellStep
from training.optimizer import make_optimizer
from training.prepare import prepare_data
from training.step import make_state, make_train_step
from training.teacher import Teacher

# rows of a global batch -> those of them that belong to this process
RowsOf = Callable[[int], Sequence[int]]


class BuiltCell(NamedTuple):
  """A cell of the grid, ready to run.

  Attributes:
    apply: of its network.
    held_out: its objective with the masking that validation always uses, without a teacher.
  """

  apply: Callable
  objective: Objective
  held_out: Objective


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A config, ready to run.

  Attributes:
    network: with every head that some cell trains; its mask is that of the cell the run is for.
    cells: every cell that trains or is scored.
    main: the cell that the run is for.
    phases: (first step, T) of each stretch of steps with one sequence length.
    prepared: the rows, of a corpus, of a labelled task, or of groups of texts; None where there
      are none, as for planning.
    teacher: what its objectives learn from, if some do, once it is loaded.
  """

  config: Any
  model: ModelConfig
  network: Network
  cells: dict[Cell, BuiltCell]
  main: Cell
  phases: tuple[tuple[int, int], ...]
  prepared: pipeline.Prepared | PreparedTask | PreparedGroups | None = None
  teacher: Teacher | None = None

  @property
  def of_texts(self) -> bool:
    """Whether the rows are texts one by one, of a labelled task or in groups, and no corpus."""
    return isinstance(self.prepared, PreparedTask | PreparedGroups)

  @property
  def labelled(self) -> bool:
    """Whether the rows are those of a labelled task."""
    return isinstance(self.prepared, PreparedTask)

  @property
  def objective(self) -> Objective:
    return self.cells[self.main].objective

  @property
  def held_out(self) -> Objective:
    return self.cells[self.main].held_out

  @property
  def config_hash(self) -> str:
    """What says in a run's records which config they are of."""
    return check.config_hash(check.resolve(self.config))

  @property
  def pairs(self) -> str | None:
    """How sentence pairs are wrong, if rows are sentence pairs."""
    return grid.wrong_pairs(self.config)

  def describe_labels(self) -> dict:
    """What labels.json says: what the outputs of a head of the run mean."""
    config = self.config
    described = tasks.describe(
      self.prepared,
      config.data,
      pooling=config.finetune.pooling,
      objective=' '.join(grid.labelled(config)),
    )
    return described | (dict(seed=config.seed) if config.finetune.seeds > 1 else {})

  def attention(self) -> str:
    """The implementation of attention that reads full rows on the mesh in context."""
    config = self.config
    packed = not self.pairs
    return attention_in_use(
      self.model, mask=config.mask, packed=packed, T=config.data.sequence_length
    )

  def length_at(self, step: int) -> int:
    """T of a step."""
    return [T for first, T in self.phases if first <= step][-1]

  def cell_steps(self, stage: grid.Stage) -> tuple[CellStep, ...]:
    """What trains in a stage."""
    teach = self.teacher.of if self.teacher else {}
    return tuple(
      CellStep(
        share,
        self.cells[share.cell].apply,
        self.cells[share.cell].objective,
        teach.get(share.cell),
      )
      for share in stage.shares
    )

  def train_step(self, stage: grid.Stage, tx, schedule, *, accumulate: int, tick=None) -> Callable:
    """The pure step of a stage; `training.step.jit_step` compiles it.

    Raises:
      ConfigError: it learns from a teacher, and none is loaded.
    """
    config = self.config
    taught = [share.cell for share in stage.shares if names.taught(share.cell.names)]
    if taught and not self.teacher:
      raise check.ConfigError(
        f'{taught[0]} learns from a teacher, which train.py loads and this program does not: name '
        'other objectives here, as in --config.objectives=mlm --config.distill.teacher='
      )

    def step_of(seed) -> Callable:
      return make_train_step(
        self.cell_steps(stage),
        tx,
        schedule,
        seed=seed,
        steps=config.steps,
        fixed_maskings=config.mlm.fixed_maskings,
        accumulate=accumulate,
        average=config.optimizer.average,
        skip=spikes.rule_of(config.optimizer),
        tick=tick,
      )

    seeds = stacked.numbers(config)
    return step_of(config.seed) if len(seeds) == 1 else stacked.make_step(step_of, seeds)

  def batches(self, T: int, *, rows_of: RowsOf | None = None, multiple: int = 1):
    """Training batches of T tokens by step.

    Args:
      rows_of: rows of a global batch -> those that belong to this process; all by default.
      multiple: the rows of a batch of labelled texts are a multiple of it.
    """
    config = self.config
    if self.of_texts:
      several = dict(seeds=config.finetune.seeds) if self.labelled else {}
      return self.prepared.batches(
        'train',
        batch_size=config.batch_size,
        seed=config.seed,
        multiple=multiple,
        local_rows=rows_of,
        **several,
      )
    return pipeline.batches(
      self.prepared,
      split='train',
      sequence_length=T,
      pairs=self.pairs,
      batch_size=config.batch_size,
      seed=config.seed,
      local_rows=rows_of and rows_of(config.batch_size),
    )

  @property
  def validation_texts(self) -> dict[str, dict]:
    """What is known of the validation text of each part of a mix; '' where there is one corpus."""
    parts = {} if self.of_texts else self.prepared.parts
    whole = {'': self.prepared.report['validation']}
    return {name: part.report['validation'] for name, part in parts.items()} or whole

  def validation(
    self,
    batch_size: int,
    *,
    rows_of: RowsOf | None = None,
    multiple: int = 1,
    split: str = 'validation',
    part: str = '',
  ):
    """The whole validation set, or another split of a labelled task, in order.

    Args:
      part: of a mix, only this one of `validation_texts`.
    """
    config = self.config
    if self.of_texts:
      return self.prepared.batches(
        split, batch_size=batch_size, seed=0, multiple=multiple, local_rows=rows_of, shuffled=False
      )
    return pipeline.batches(
      self.prepared.parts[part] if part else self.prepared,
      split=split,
      sequence_length=config.data.sequence_length,
      pairs=self.pairs,
      batch_size=batch_size,
      seed=config.validation.seed,
      local_rows=rows_of and rows_of(batch_size),
    )


def build(
  config,
  vocabulary: Vocabulary,
  prepared: pipeline.Prepared | PreparedTask | PreparedGroups | None = None,
) -> Experiment:
  """Network and objectives of a config, around a vocabulary.

  Args:
    config: checked by `configs.schema.check`.
    prepared: the rows that it trains on, where there are any.
  """
  model = model_config(config)
  packed, heads = not grid.paired(config), taught_heads(config)
  labels = labels_of(config, prepared) if config.data.task else None

  def objective_of(cell: Cell, weights: dict[str, float], masking: Masking) -> Objective:
    # of a labelled text all is prefix: no part of it is drawn
    prefix = KINDS[cell.mask].prefix and not (config.data.task or config.data.groups)
    return make_objective(
      weights,
      Setup(
        vocabulary,
        masking,
        config.loss_chunk,
        prefix=prefix,
        labels=labels,
        vectors=vector_loss(config),
        temperature=config.distill.temperature,
      ),
    )

  def built(cell: Cell) -> BuiltCell:
    network = make_network(model, mask=cell.mask, packed=packed, heads=heads)
    held_out = objective_of(cell, _scored(cell), validation_masking(config))
    trained = objective_of(cell, dict(cell.weights), masking_of(config))
    return BuiltCell(network.apply, trained, held_out)

  return Experiment(
    config=config,
    model=model,
    network=make_network(model, mask=config.mask, packed=packed, heads=heads),
    cells={cell: built(cell) for cell in grid.wanted(config)},
    main=grid.main_cell(config),
    phases=grid.phases(config),
    prepared=prepared,
  )


def _scored(cell: Cell) -> dict[str, float]:
  """The weights of what validation scores: no teacher is asked there."""
  weights = {
    name: dict(cell.weights)[name] for name in cell.names if name not in names.taught(cell.names)
  }
  # what is measured and not learned is all that there is to score
  return weights if any(weights.values()) else dict.fromkeys(weights, 1.0)


def build_experiment(config, progress=pipeline.silent) -> Experiment:
  """Prepares the data (the slow part, once) and builds the experiment around its tokenizer.

  Args:
    config: checked by `configs.schema.check`.
    progress: called with (stage, done, total or None).

  Raises:
    ConfigError: the tokenizer lacks what an objective needs.
    DataError: the corpus cannot be used as asked.
  """
  prepared = prepare_data(config, progress)
  masking = needs_mask_token({name for cell in grid.wanted(config) for name in cell.names})
  if masking and prepared.tokenizer.mask is None:
    raise check.ConfigError(
      f'config.data.tokenizer={config.data.tokenizer!r} has no mask token, which '
      f'{" and ".join(masking)} needs to mask tokens: use another, or train one (wordpiece or bpe).'
    )
  count_V = prepared.count_tokens() if config.mlm.smoothing else None
  return build(config, vocabulary_of(prepared.tokenizer, count_V), prepared)


def make_run_state(config, network: Network, mesh):
  """(abstract state, function that makes it, transformation, schedule) of a config's run."""
  tx, schedule = make_optimizer(config.optimizer, config.steps)
  T = config.data.sequence_length
  abstract, make = make_state(
    network,
    tx,
    seeds=stacked.numbers(config),
    mesh=mesh,
    average=bool(config.optimizer.average),
    skip=spikes.rule_of(config.optimizer),
    batch=example_batch(1, T, masking_of(config).predictions(T)),
  )
  return abstract, make, tx, schedule
