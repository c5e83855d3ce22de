"""Classifying texts: each has one of C classes, several of them, or a number (regression).

Devlin et al. 2019, 4.1. A row may hold several texts, each its own segment. Axes: S, texts of a
row; the text in slot s is segment s + 1.
"""

import jax
import jax.numpy as jnp

from objectives.term import Labels, Setup, Term, score_logits

HEADS = ('sequence',)
ROWS = 'labelled'
TASKS = ('text', 'pair')
PREDICTS = 'rows'
UNITS = dict(loss='nats a text; of numbers, the squared error', accuracy='of texts')


def classify(logits_BxSxC, label_BxS, weight_BxS, smoothing=0.0, class_weight_C=None):
  """Cross-entropy (nats) over the classes, and accuracy: {kind: Term}.

  As in torch's CrossEntropyLoss: with weights of classes a text counts as much as its class, and
  smoothing moves that share of the probability that is asked for to all classes alike.

  Args:
    weight_BxS: how much each text counts, the weight of its class included.
  """
  nats_BxS, hit_BxS, normaliser_BxSx1 = score_logits(logits_BxSxC, label_BxS)
  total = (nats_BxS * weight_BxS).sum()
  if smoothing:
    nats_BxSxC = normaliser_BxSx1 - logits_BxSxC
    if class_weight_C is not None:
      nats_BxSxC *= class_weight_C[None, None]
    there_BxS = (weight_BxS > 0).astype(nats_BxSxC.dtype)
    total = (1 - smoothing) * total + smoothing * (nats_BxSxC.mean(axis=-1) * there_BxS).sum()
  weight = weight_BxS.sum()
  return dict(loss=Term(total, weight), accuracy=Term((hit_BxS * weight_BxS).sum(), weight))


def several(logits_BxSxC, label_BxSxC, weight_BxS) -> dict[str, Term]:
  """Binary cross-entropy (nats), the mean over the classes; accuracy of all of them together."""
  nats_BxSxC = jax.nn.softplus(logits_BxSxC) - logits_BxSxC * label_BxSxC
  right_BxS = ((logits_BxSxC > 0) == (label_BxSxC > 0.5)).all(axis=-1)
  weight = weight_BxS.sum()
  return dict(
    loss=Term((nats_BxSxC.mean(axis=-1) * weight_BxS).sum(), weight),
    accuracy=Term((right_BxS * weight_BxS).sum(), weight),
  )


def regress(logits_BxSxC, label_BxS, weight_BxS) -> dict[str, Term]:
  """The squared error of the first output."""
  square_BxS = jnp.square(logits_BxSxC[:, :, 0] - label_BxS)
  return dict(loss=Term((square_BxS * weight_BxS).sum(), weight_BxS.sum()))


def prepare(key_B, batch, setup: Setup):
  """Adds which states the classifier reads, and how much each text counts."""
  labels = setup.labels
  known_BxS = _known(batch['label'], labels)
  weight_BxS = known_BxS.astype(jnp.float32)
  if labels.class_weight_C is not None:
    weight_BxS *= labels.class_weight_C[jnp.maximum(batch['label'], 0)]
  # a label that is not known counts nowhere, but must not be a NaN
  known = known_BxS[..., None] if labels.kind == 'several' else known_BxS
  label = jnp.where(known, batch['label'], 0)
  pooled = pool(batch['segment'], batch['example'].shape[1], labels.pooling)
  return batch | pooled | dict(label=label, label_weight=weight_BxS)


def pool(segment_BxT, S: int, pooling: str) -> dict[str, jax.Array]:
  """What says which states stand for the texts of a row: {'pool': BxSxT} or {'pool_at': BxS}.

  Args:
    pooling: mean over a text's tokens, special ones included; or its first or last token.
  """
  own_BxSxT = segment_BxT[:, None, :] == jnp.arange(1, S + 1)[None, :, None]
  if pooling == 'mean':
    count_BxSx1 = own_BxSxT.sum(axis=2, keepdims=True)
    return dict(pool=own_BxSxT / jnp.maximum(count_BxSx1, 1))
  first_BxS = own_BxSxT.argmax(axis=2).astype(jnp.int32)
  if pooling == 'first':
    return dict(pool_at=first_BxS)
  return dict(pool_at=jnp.maximum(first_BxS + own_BxSxT.sum(axis=2) - 1, 0).astype(jnp.int32))


def weight(batch) -> jax.Array:
  """How much the texts with a label count."""
  return batch['label_weight'].sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss and accuracy over the texts."""
  labels, logits_BxSxC = setup.labels, outputs['sequence']
  target, weight_BxS = batch['label'], batch['label_weight']
  if labels.kind == 'number':
    return regress(logits_BxSxC, target, weight_BxS)
  if labels.kind == 'several':
    return several(logits_BxSxC, target, weight_BxS)
  return classify(logits_BxSxC, target, weight_BxS, labels.smoothing, labels.class_weight_C)


def answers(outputs, batch, setup: Setup) -> dict[str, jax.Array]:
  """What it says of each text: {'probability': BxSxC} or, of numbers, {'value': BxS}."""
  logits_BxSxC = outputs['sequence']
  if setup.labels.kind == 'number':
    return dict(value=logits_BxSxC[:, :, 0])
  if setup.labels.kind == 'several':
    return dict(probability=jax.nn.sigmoid(logits_BxSxC))
  return dict(probability=jax.nn.softmax(logits_BxSxC, axis=-1))


def _known(label, labels: Labels) -> jax.Array:
  """BxS: which slots hold a text whose label is known."""
  if labels.kind == 'class':
    return label >= 0
  return ~jnp.isnan(label if labels.kind == 'number' else label[:, :, 0])
