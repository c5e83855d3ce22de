"""The losses of distillation and their gradients are torch's, on random arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.projection import Projection
from objectives import distill_hidden, soft_targets

torch = pytest.importorskip('torch', reason="needs the extra parity: pip install -e '.[parity]'")


@pytest.mark.parametrize('case', range(12))
def test_soft_targets_are_kl_div_loss_by_batch_mean_times_the_squared_temperature(case):
  """As distiller.py computes them: over the positions that count, both logits divided."""
  rng = np.random.default_rng(case)
  B, P, E, V = rng.integers(1, 5), rng.integers(1, 9), rng.integers(2, 12), rng.integers(2, 70)
  temperature, spread = float(rng.choice([0.5, 1.0, 2.0, 4.0])), rng.choice([0.1, 1.0, 5.0])
  arrays = [rng.normal(0, spread, shape).astype(np.float32) for shape in [(B, P, E), (V, E), (V,)]]
  teacher = [rng.normal(0, spread, shape).astype(np.float32) for shape in [(B, P, 3), (V, 3), (V,)]]
  weight_BxP = rng.integers(0, 2, (B, P)).astype(np.float32)
  weight_BxP[0, 0] = 1

  def ours(*student):
    loss = soft_targets.soft_target_terms(
      Projection(*student),
      Projection(*teacher),
      jnp.asarray(weight_BxP),
      temperature=temperature,
      chunk=int(rng.integers(1, 40)),
    )['loss']
    return loss.total / loss.weight

  value, gradient = jax.value_and_grad(ours, argnums=(0, 1, 2))(*map(jnp.asarray, arrays))
  hidden, table, bias = (torch.tensor(array, requires_grad=True) for array in arrays)
  counts = torch.tensor(weight_BxP, dtype=torch.bool)
  logits = (hidden @ table.T + bias)[counts]
  theirs_hidden, theirs_table, theirs_bias = map(torch.tensor, teacher)
  theirs = (theirs_hidden @ theirs_table.T + theirs_bias)[counts]
  loss = torch.nn.KLDivLoss(reduction='batchmean')(
    torch.nn.functional.log_softmax(logits / temperature, dim=-1),
    torch.nn.functional.softmax(theirs / temperature, dim=-1),
  )
  loss = loss * temperature**2
  loss.backward()
  np.testing.assert_allclose(value, loss.item(), rtol=2e-5, atol=1e-6)
  for own, other in zip(gradient, (hidden, table, bias)):
    np.testing.assert_allclose(own, other.grad.numpy(), rtol=1e-3, atol=1e-5 * spread)


@pytest.mark.parametrize('case', range(8))
def test_the_distance_of_hidden_states_is_cosine_embedding_loss(case):
  rng = np.random.default_rng(case)
  N, D = rng.integers(1, 30), rng.integers(1, 40)
  one, other = (rng.normal(0, 10.0 ** rng.integers(-3, 3), (N, D)) for _ in range(2))
  one, other = one.astype(np.float32), other.astype(np.float32)
  if case == 7:
    other[0] = 0  # a state without a direction
  value, gradient = jax.value_and_grad(
    lambda hidden: distill_hidden.distance(hidden, jnp.asarray(other)[None]).mean()
  )(jnp.asarray(one)[None])
  hidden = torch.tensor(one, requires_grad=True)
  loss = torch.nn.CosineEmbeddingLoss(reduction='mean')(
    hidden, torch.tensor(other), torch.ones(len(one))
  )
  loss.backward()
  np.testing.assert_allclose(value, loss.item(), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(
    gradient[0], hidden.grad.numpy(), rtol=1e-4, atol=1e-6 / np.abs(one).max()
  )
