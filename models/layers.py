"""The parts of a block: linear maps, norms, the feed-forward network, dropout."""

from collections.abc import Callable
import math

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
  """

  config: ModelConfig
  source: str
  target: str
  shape: tuple[int, ...]
  residual: bool = False

  @nn.compact
  def __call__(self, x):
    axes = self.source + self.target
    if self.has_variable('params', 'transposed'):  # for writing, see inference.decode.decode_layout
      read = self.source.lower()  # a map from D to D has two axes, not the diagonal of one
      kernel = self.get_variable('params', 'transposed')
      out = jnp.einsum(f'{self.target}{read},BT{read}->{self.target}BT', kernel.astype(x.dtype), x)
      out = jnp.moveaxis(out, (-2, -1), (0, 1))
    else:
      kernel = self.param(
        'kernel',
        nn.with_logical_partitioning(kernel_init(self.config, residual=self.residual), tuple(axes)),
        self.shape,
      )
      # As one matrix each: with more axes a CPU would turn the
      # activations around for the gradient of the kernel.
      size = math.prod(self.shape[: len(self.source)])
      out = x.reshape(-1, size) @ kernel.astype(x.dtype).reshape(size, -1)
      out = out.reshape(*x.shape[:2], *self.shape[len(self.source) :])
    if self.config.bias:
      bias = self.param(
        'bias',
        nn.with_logical_partitioning(nn.initializers.zeros, tuple(self.target)),
        self.shape[len(self.source) :],
      )
      out += bias.astype(x.dtype)[(None, None, ...)]
    return out


def rms_normalise(x, epsilon: float):
  """`x` over the root of its mean square along the last axis, computed in float32."""
  x32 = x.astype(jnp.float32)
  return (x32 * jax.lax.rsqrt(jnp.square(x32).mean(axis=-1, keepdims=True) + epsilon)).astype(
    x.dtype
  )


class Norm(nn.Module):
  """LayerNorm or RMSNorm over the last axis, computed in float32."""

  config: ModelConfig
  axis: str = 'D'

  @nn.compact
  def __call__(self, x_BxTxD):
    epsilon, size = self.config.norm_epsilon, x_BxTxD.shape[-1]
    x32_BxTxD = x_BxTxD.astype(jnp.float32)
    if self.config.norm == 'layer':
      x32_BxTxD -= x32_BxTxD.mean(axis=-1, keepdims=True)
    x32_BxTxD = rms_normalise(x32_BxTxD, epsilon)
    scale_D = self.param(
      'scale', nn.with_logical_partitioning(nn.initializers.ones, (self.axis,)), (size,)
    )
    x32_BxTxD *= scale_D[None, None, :]
    if self.config.norm == 'layer' and self.config.bias:
      bias_D = self.param(
        'bias', nn.with_logical_partitioning(nn.initializers.zeros, (self.axis,)), (size,)
      )
      x32_BxTxD += bias_D[None, None, :]
    return x32_BxTxD.astype(x_BxTxD.dtype)


class FeedForward(nn.Module):
  """Two linear maps with an activation between them; gated: activation(gate) * up."""

  config: ModelConfig

  @nn.compact
  def __call__(self, x_BxTxD):
    config = self.config
    D, F = config.width, config.feed_forward
    activation = ACTIVATIONS[config.activation]
    up_BxTxF = Linear(config, 'D', 'F', (D, F), name='up')(x_BxTxD)
    if config.gated:
      up_BxTxF *= activation(Linear(config, 'D', 'F', (D, F), name='gate')(x_BxTxD))
    else:
      up_BxTxF = activation(up_BxTxF)
    return Linear(config, 'F', 'D', (F, D), residual=True, name='down')(up_BxTxF)
