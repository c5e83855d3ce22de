"""The parts of a block: linear maps, norms, the feed-forward network."""

from collections.abc import Callable
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from models.config import ModelConfig


def gelu(x):
  """x times the normal distribution function, through erf:
  jax.nn.gelu's erfc takes three passes on a CPU.
  """
  return 0.5 * x * (1 + jax.lax.erf(x * 0.5**0.5))


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = dict(
  gelu=gelu,
  gelu_tanh=lambda x: jax.nn.gelu(x, approximate=True),
  relu=jax.nn.relu,
  relu_squared=lambda x: jnp.square(jax.nn.relu(x)),
  silu=jax.nn.silu,
  tanh=jnp.tanh,
)


def kernel_init(config: ModelConfig, *, scale: float | None = None, residual: bool = False):
  """Initialiser of a kernel; `residual` marks a projection that is added to the residual stream."""
  if residual and config.init_residual_zero:
    return jax.nn.initializers.zeros
  scale = config.init_scale if scale is None else scale
  if residual and config.init_depth_scaled:
    scale /= (2 * config.layers) ** 0.5
  normal = (
    jax.nn.initializers.truncated_normal if config.init_truncated else jax.nn.initializers.normal
  )
  return normal(scale)


class Linear(nn.Module):
  """A linear map from the trailing axes `source` to the axes `target`, both named by their letters.

  Attributes:
    source, target: letters of the axes that are read and written, as in 'D' -> 'HK'.
    shape: sizes of those axes, in that order.
    residual: the result is added to the residual stream, which some initialisers ask for.
  """

  config: ModelConfig
  source: str
  target: str
  shape: tuple[int, ...]
  residual: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """BxT... with the axes `source` last, to BxT... with the axes `target` last."""
    read = len(self.source)
    if self.has_variable('params', 'transposed'):  # inference.decode.decode_layout made it
      out = _multiply_transposed(x, self.get_variable('params', 'transposed'), read)
    else:
      init = kernel_init(self.config, residual=self.residual)
      letters = tuple(self.source + self.target)
      kernel = self.param('kernel', nn.with_logical_partitioning(init, letters), self.shape)
      out = _multiply(x, kernel, read)
    if self.config.bias:
      zeros = nn.with_logical_partitioning(nn.initializers.zeros, tuple(self.target))
      bias = self.param('bias', zeros, self.shape[read:])
      out += bias.astype(x.dtype)[(None, None, ...)]
    return out


def _multiply(x: jax.Array, kernel: jax.Array, read: int) -> jax.Array:
  """x by a kernel whose first `read` axes are those of x, as one matrix each.

  With more axes a CPU would turn the activations around for the gradient of the kernel.
  """
  size = math.prod(kernel.shape[:read])
  out = x.reshape(-1, size) @ kernel.astype(x.dtype).reshape(size, -1)
  return out.reshape(*x.shape[:2], *kernel.shape[read:])


def _multiply_transposed(x: jax.Array, kernel: jax.Array, read: int) -> jax.Array:
  """x by a kernel whose last `read` axes are those of x: faster where x has a few columns only."""
  size = math.prod(kernel.shape[-read:])
  targets = kernel.shape[:-read]
  out = kernel.astype(x.dtype).reshape(-1, size) @ x.reshape(-1, size).T
  return out.T.reshape(*x.shape[:2], *targets)


def rms_normalise(x: jax.Array, epsilon: float) -> jax.Array:
  """`x` over the root of its mean square along the last axis, computed in float32."""
  x32 = x.astype(jnp.float32)
  mean_square = jnp.square(x32).mean(axis=-1, keepdims=True)
  return (x32 * jax.lax.rsqrt(mean_square + epsilon)).astype(x.dtype)


def standardise(x: jax.Array, epsilon: float) -> jax.Array:
  """`x` with mean 0 and deviation 1 along the last axis (Ba et al. 2016), computed in float32."""
  x32 = x.astype(jnp.float32)
  x32 -= x32.mean(axis=-1, keepdims=True)
  return rms_normalise(x32, epsilon).astype(x.dtype)


class NormKind(NamedTuple):
  """What a norm does to the last axis before it is scaled.

  Attributes:
    normalise: (float32 x, epsilon) -> x.
    bias: it also has a bias, where the config has biases in norms.
  """

  normalise: Callable[[jax.Array, float], jax.Array]
  bias: bool


NORMS = dict(layer=NormKind(standardise, bias=True), rms=NormKind(rms_normalise, bias=False))


class Norm(nn.Module):
  """A norm of `NORMS` over the last axis, with a trained scale, computed in float32.

  Attributes:
    axis: the letter of the last axis.
  """

  config: ModelConfig
  axis: str = 'D'

  @nn.compact
  def __call__(self, x_BxTxD: jax.Array) -> jax.Array:
    """Of the same shape and type."""
    kind, size = NORMS[self.config.norm], x_BxTxD.shape[-1]
    x32_BxTxD = kind.normalise(x_BxTxD.astype(jnp.float32), self.config.norm_epsilon)
    ones = nn.with_logical_partitioning(nn.initializers.ones, (self.axis,))
    x32_BxTxD *= self.param('scale', ones, (size,))[None, None, :]
    if kind.bias and self.config.biased_norms:
      zeros = nn.with_logical_partitioning(nn.initializers.zeros, (self.axis,))
      x32_BxTxD += self.param('bias', zeros, (size,))[None, None, :]
    return x32_BxTxD.astype(x_BxTxD.dtype)


class FeedForward(nn.Module):
  """Two linear maps with an activation between them; gated: activation(gate) * up."""

  config: ModelConfig

  @nn.compact
  def __call__(self, x_BxTxD: jax.Array) -> jax.Array:
    """Of the same shape and type."""
    config = self.config
    D, F = config.width, config.feed_forward
    activation = ACTIVATIONS[config.activation]
    up_BxTxF = Linear(config, 'D', 'F', (D, F), name='up')(x_BxTxD)
    if config.gated:
      up_BxTxF *= activation(Linear(config, 'D', 'F', (D, F), name='gate')(x_BxTxD))
    else:
      up_BxTxF = activation(up_BxTxF)
    return Linear(config, 'F', 'D', (F, D), residual=True, name='down')(up_BxTxF)
