"""An anchor finds its positive among all texts of the batch (Henderson et al. 2017; InfoNCE).

Every other text of the batch is a negative, hard negatives of the groups among them. A group whose
two texts are the same is SimCSE (Gao et al. 2021): dropout tells them apart.
"""

import jax
import jax.numpy as jnp

from objectives.term import Setup, Term
from objectives.vectors import matryoshka, present, unit, whole_rows

HEADS = ('vector',)
ROWS = 'text_groups'
LABELS = ''
PREDICTS = 'rows'
WHOLE_BATCH = True
UNITS = dict(loss='nats an anchor', accuracy='of anchors, of all texts of the batch')


def in_batch(
  vector_BxKxD, present_BxK, *, scale: float, directions: tuple[str, ...], partition: str
) -> dict[str, Term]:
  """Cross-entropy (nats) of the positive, and how often it is the nearest text.

  Args:
    scale: of the cosine; 1 / temperature.
    directions: which similarities stand beside that of anchor and positive: query_to_doc always;
      doc_to_query, query_to_query and doc_to_doc (GTE has all four).
    partition: joint, all in one softmax; or per_direction, the mean of one softmax each.
  """
  unit_BxKxD = unit(vector_BxKxD)
  similarity = _similarities(unit_BxKxD, present_BxK, directions)
  logits = {name: scale * x_BxM for name, x_BxM in similarity.items()}
  own_B = jnp.diagonal(logits['query_to_doc'])  # the positives are the first B texts
  if partition == 'joint':
    normaliser_B = jax.nn.logsumexp(jnp.concatenate([*logits.values()], axis=1), axis=1)
  else:
    each = [jax.nn.logsumexp(x_BxM, axis=1) for x_BxM in logits.values()]
    normaliser_B = sum(each) / len(each)
  weight_B = present_BxK[:, :2].prod(axis=1)
  nats_B = jnp.where(weight_B > 0, normaliser_B - own_B, 0)
  nearest_B = own_B >= logits['query_to_doc'].max(axis=1)
  return dict(
    loss=Term(nats_B.sum(), weight_B.sum()),
    accuracy=Term((nearest_B * weight_B).sum(), weight_B.sum()),
  )


def _similarities(unit_BxKxD, present_BxK, directions) -> dict[str, jax.Array]:
  """{direction: cosines BxM of each anchor, or of its positive}; -inf for what is no candidate."""
  B, K, D = unit_BxKxD.shape
  query_BxD, positive_BxD = unit_BxKxD[:, 0], unit_BxKxD[:, 1]
  doc_NxD = jnp.moveaxis(unit_BxKxD[:, 1:], 1, 0).reshape((K - 1) * B, D)
  there_1xN = jnp.moveaxis(present_BxK[:, 1:], 1, 0).reshape(1, -1) > 0
  query_there_1xB = present_BxK[:, :1].T > 0
  same_BxB = jnp.eye(B, dtype=bool)
  same_BxN = jnp.tile(same_BxB, (1, K - 1))
  found = dict(query_to_doc=jnp.where(there_1xN, query_BxD @ doc_NxD.T, -jnp.inf))
  if 'query_to_query' in directions:
    others_BxB = query_there_1xB & ~same_BxB
    found['query_to_query'] = jnp.where(others_BxB, query_BxD @ query_BxD.T, -jnp.inf)
  if 'doc_to_query' in directions:
    found['doc_to_query'] = jnp.where(query_there_1xB, positive_BxD @ query_BxD.T, -jnp.inf)
  if 'doc_to_doc' in directions:
    others_BxN = there_1xN & ~same_BxN
    found['doc_to_doc'] = jnp.where(others_BxN, positive_BxD @ doc_NxD.T, -jnp.inf)
  return found


def weight(batch) -> jax.Array:
  """How many rows have an anchor and a positive."""
  return whole_rows(batch).sum()


def terms(outputs, batch, setup: Setup) -> dict[str, Term]:
  """Loss (nats) and accuracy over the anchors."""
  loss = setup.vectors

  def of(vector_BxKxD):
    return in_batch(
      vector_BxKxD,
      present(batch),
      scale=loss.scale,
      directions=loss.directions,
      partition=loss.partition,
    )

  return matryoshka(outputs['vector'], loss, of)
