"""How far a student's token probabilities are from a teacher's (Hinton et al. 2015, 2)."""

from functools import partial

import jax
import jax.numpy as jnp

from models.projection import Projection, project, with_bias
from objectives.projection import Scored, projected_sums
from objectives.term import Term


def divergence(logits_BxPxV, teacher_BxPxV, temperature: float) -> Scored:
  """KL(teacher || student) of the softened distributions, nats times the squared temperature.

  Both logits are divided by the temperature. The square keeps the gradient as large as that of a
  cross-entropy. A hit is a token on which both agree as the most likely one.
  """
  log_student_BxPxV = jax.nn.log_softmax(logits_BxPxV / temperature)
  log_teacher_BxPxV = jax.nn.log_softmax(teacher_BxPxV / temperature)
  teacher_share_BxPxV = jnp.exp(log_teacher_BxPxV)
  nats_BxP = (teacher_share_BxPxV * (log_teacher_BxPxV - log_student_BxPxV)).sum(axis=-1)
  chosen_BxPx1 = teacher_BxPxV.argmax(axis=-1, keepdims=True)
  own_BxP = jnp.take_along_axis(logits_BxPxV, chosen_BxPx1, axis=-1)[:, :, 0]
  return Scored(
    temperature**2 * nats_BxP,
    own_BxP >= logits_BxPxV.max(axis=-1),
    temperature * (jnp.exp(log_student_BxPxV) - teacher_share_BxPxV),
  )


def soft_target_terms(
  student: Projection, teacher: Projection, weight_BxP, *, temperature: float, chunk: int
) -> dict[str, Term]:
  """`divergence` and the share of agreement over the predictions; no gradient to the teacher.

  Args:
    chunk: predictions whose V-wide logits exist at once where there is no teacher; with one, half
      as many, which take the same memory.
  """
  hidden_BxPxE, *fixed = with_bias(teacher)
  total, hits = projected_sums(
    student,
    hidden_BxPxE,
    weight_BxP,
    fixed,
    score=partial(_score, temperature=temperature),
    chunk=max(1, chunk // 2),
  )
  weight = weight_BxP.sum()
  return dict(loss=Term(total, weight), agreement=Term(hits, weight))


def _score(logits_BxCxV, hidden_BxCxE, fixed, *, temperature: float) -> Scored:
  table_VxE, bias_V = fixed
  return divergence(logits_BxCxV, project(hidden_BxCxE, table_VxE, bias_V), temperature)
