"""The parts of a config, and of its rows, as the frozen values that network and objectives take."""

import jax.numpy as jnp
import numpy as np

from configs.schema import grid, names
from configs.schema.vectors import dimensions, directions
from data.tasks.prepared import PreparedTask
from data.tokens.tokenizer import Tokenizer
from models.config import ModelConfig
from objectives.corrupt import Masking
from objectives.mix import heads_of
from objectives.term import Labels, VectorLoss, Vocabulary


def model_config(config) -> ModelConfig:
  """The network's part of a config, frozen."""
  return ModelConfig(**config.model.to_dict())


def masking_of(config) -> Masking:
  """MLM's part of a config, frozen."""
  return Masking(**config.mlm.to_dict())


def validation_masking(config) -> Masking:
  """How validation masks, whatever training does: frozen token-level 80/10/10."""
  return Masking(
    rate=config.validation.rate,
    final_rate=0.0,
    fixed_maskings=0,
    masked=0.8,
    random=0.1,
    unit='token',
    span_mean=1.0,
    span_max=1,
    smoothing=0.0,
    random_from_specials=True,
  )


def vocabulary_of(tokenizer: Tokenizer, count_V: np.ndarray | None = None) -> Vocabulary:
  """What the objectives need to know of a tokenizer, and of how often its tokens are there."""
  return Vocabulary(
    special_V=jnp.asarray(tokenizer.special_V),
    word_start_V=jnp.asarray(tokenizer.words.start_V),
    mask_id=-1 if tokenizer.mask is None else tokenizer.mask,
    unknown_id=-1 if tokenizer.unknown is None else tokenizer.unknown,
    word_end_V=None if tokenizer.words.end_V is None else jnp.asarray(tokenizer.words.end_V),
    count_V=None if count_V is None else jnp.asarray(count_V, jnp.float32),
  )


def labels_of(config, prepared: PreparedTask | None) -> Labels:
  """What the objectives need to know of a labelled task; without its rows, as for planning."""
  finetune = config.finetune
  weight_C = None
  if finetune.class_weights == 'balanced' and prepared is not None:
    count_C = np.array([*prepared.task.counts('train').values()], np.float32)
    weight_C = jnp.asarray(count_C.sum() / (len(count_C) * np.maximum(count_C, 1)), jnp.float32)
  return Labels(
    kind='class' if prepared is None else prepared.task.labels,
    pooling=finetune.pooling,
    smoothing=finetune.label_smoothing,
    class_weight_C=weight_C,
  )


def vector_loss(config) -> VectorLoss:
  """How objectives on sentence vectors score: `config.vectors`, frozen."""
  vectors = config.vectors
  return VectorLoss(
    scale=vectors.scale,
    directions=directions(vectors.directions),
    partition=vectors.partition,
    distance=vectors.distance,
    margin=vectors.margin,
    dimensions=dimensions(vectors.dimensions),
  )


def trained_heads(config) -> tuple[str, ...]:
  """The heads of the network: those that some cell trains or that the run is for.

  Not those that only a teacher is compared with: they have no parameters of their own.
  """
  cells = (*grid.trained(config), grid.main_cell(config))
  every = {name for cell in cells for name in cell.names}
  return heads_of(every - {*names.taught(every)})


def taught_heads(config) -> tuple[str, ...]:
  """The heads of the network in training: `trained_heads`, and what a teacher is compared with."""
  every = {name for cell in grid.trained(config) for name in cell.names}
  return (*trained_heads(config), *sorted({*heads_of(every)} - {*trained_heads(config)}))


def fills_ahead(config) -> bool:
  """Whether some cell trains with mntp: a blank is then filled from the position before."""
  return any('mntp' in cell.names for cell in (*grid.trained(config), grid.main_cell(config)))
