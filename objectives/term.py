"""A loss before averaging, what every objective knows, and the cross-entropy of whole logits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from objectives.corrupt import Masking


class Term(NamedTuple):
  """A loss before averaging: nothing is divided until the whole batch has been summed.

  Attributes:
    total: summed over what counts; nats for losses, a count for accuracies.
    weight: how much counted.
  """

  total: jax.Array
  weight: jax.Array


class Vocabulary(NamedTuple):
  """What objectives know of a tokenizer.

  Attributes:
    special_V: ids that are never masked.
    word_start_V: ids that begin a word.
    mask_id: the [MASK] token; -1 where the tokenizer has none.
    unknown_id: the token of text that no other token stands for; -1 where there is none.
    word_end_V: ids after which a word begins; None where the tokenizer marks no ends.
    count_V: of each token in the training documents; None where nothing asks for it.
  """

  special_V: jax.Array
  word_start_V: jax.Array
  mask_id: int
  unknown_id: int = -1
  word_end_V: jax.Array | None = None
  count_V: jax.Array | None = None

  @classmethod
  def any_of(cls, size: int) -> 'Vocabulary':
    """A vocabulary of ordinary words, for steps that are planned or timed on random tokens."""
    return cls(jnp.zeros(size, bool), jnp.ones(size, bool), 0, count_V=jnp.ones(size, int))


class VectorLoss(NamedTuple):
  """How objectives on sentence vectors score: `config.vectors`.

  Attributes:
    scale: of cosines in contrast, cosent and angle; 1 / temperature.
    directions, partition: of contrast.
    distance, margin: of triplet.
    dimensions: (first dimensions that are scored alone, their weight), for Matryoshka; () = all.
  """

  scale: float = 20.0
  directions: tuple[str, ...] = ('query_to_doc',)
  partition: str = 'joint'
  distance: str = 'euclidean'
  margin: float = 5.0
  dimensions: tuple[tuple[int, float], ...] = ()


class Labels(NamedTuple):
  """What objectives know of a labelled task.

  Attributes:
    kind: class | several | number: what a label is, as in `data.tasks.labelled.Task`.
    pooling: first | last | mean: which states a classifier of texts reads.
    smoothing: share of the probability that is asked of all classes alike.
    class_weight_C: how much each class counts; None: all the same.
  """

  kind: str = 'class'
  pooling: str = 'first'
  smoothing: float = 0.0
  class_weight_C: jax.Array | None = None


class Setup(NamedTuple):
  """What an objective knows besides the batch.

  Attributes:
    vocabulary, masking: of the tokenizer, and how MLM masks; None where nothing is masked.
    chunk: predictions whose V-wide logits exist at once, on a device.
    prefix: rows have a prefix that is read from both sides.
    rate: share of a row that MLM masks now; `Objective.prepare` sets it.
    vectors: how sentence vectors are scored.
    labels: of the labelled task; None where rows have no labels.
    temperature: that softens the probabilities of student and teacher.
  """

  vocabulary: Vocabulary | None
  masking: Masking | None
  chunk: int
  prefix: bool = False
  rate: float | jax.Array = 0.0
  vectors: VectorLoss = VectorLoss()
  labels: Labels | None = None
  temperature: float = 1.0


def cross_entropy(logits_BxPxC, target_BxP, weight_BxP) -> dict[str, Term]:
  """Loss (nats) and accuracy of whole logits over C classes.

  `objectives.projection.projected_cross_entropy` gives the same without V-wide logits.
  """
  nats_BxP, hit_BxP, _ = score_logits(logits_BxPxC, target_BxP)
  return loss_and_accuracy((nats_BxP * weight_BxP).sum(), (hit_BxP * weight_BxP).sum(), weight_BxP)


def loss_and_accuracy(nats, hits, weight_BxP) -> dict[str, Term]:
  """The two terms that every classification has, from its sums."""
  weight = weight_BxP.sum()
  return dict(loss=Term(nats, weight), accuracy=Term(hits, weight))


def score_logits(logits_BxCxV, target_BxC):
  """(nats_BxC, hit_BxC, normaliser_BxCx1) of each target; a tie for the first place is a hit."""
  logits_BxCxV = logits_BxCxV.astype(jnp.float32)
  normaliser_BxCx1 = jax.nn.logsumexp(logits_BxCxV, axis=-1, keepdims=True)
  chosen_BxC = jnp.take_along_axis(logits_BxCxV, target_BxC[:, :, None], axis=-1)[:, :, 0]
  hit_BxC = chosen_BxC >= logits_BxCxV.max(axis=-1)
  return normaliser_BxCx1[:, :, 0] - chosen_BxC, hit_BxC, normaliser_BxCx1
