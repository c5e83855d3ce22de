"""One grid of masks, on which every implementation of attention is compared with `reference`."""

import jax
import jax.numpy as jnp
import numpy as np

from models.attention import attend
from models.masks import Mask

B, K = 2, 8
NAMES = (
  'everything',
  'padding',
  'causal',
  'causal_padding',
  'packed',
  'causal_packed',
  'window',
  'both_sides',
  'prefix',
  'cached',
)
# What a kernel can do natively; the others need the mask drawn.
BY_INDEX = NAMES[:-2]


def mask(name: str, T: int, B: int = B) -> Mask:
  """Rows of T tokens: the even ones end in padding, and
  documents of different lengths follow each other.
  """
  index_1xT = jnp.arange(T)[None]
  row_Bx1 = jnp.arange(B)[:, None]
  document_BxT = 1 + (index_1xT >= T // 3 + row_Bx1) + (index_1xT >= T // 2)
  segment_BxT = jnp.where((index_1xT >= T - T // 6) & (row_Bx1 % 2 == 0), 0, document_BxT)
  segments = dict(q_segment_BxT=segment_BxT, kv_segment_BxS=segment_BxT)
  return dict(
    everything=Mask(),
    padding=Mask(**segments),
    causal=Mask(causal=True),
    causal_padding=Mask(causal=True, **segments),
    packed=Mask(packed=True, **segments),
    causal_packed=Mask(causal=True, packed=True, **segments),
    window=Mask(causal=True, window=(T // 3, 0)),
    both_sides=Mask(window=(T // 6, T // 3)),
    prefix=Mask(causal=True, prefix_BxS=index_1xT < T // 2 - row_Bx1),
    cached=Mask(causal=True, q_position_BxT=jnp.minimum(index_1xT + 3 * row_Bx1, T - 1)),
  )[name]


def qkv(
  T: int, *, H: int = 4, G: int = 2, B: int = B, K: int = K, dtype='float32'
) -> list[jax.Array]:
  keys = jax.random.split(jax.random.key(0), 3)
  return [
    jax.random.normal(key, (B, T, heads, K), dtype)
    for key, heads in zip(keys, (H, G, G), strict=True)
  ]


def compare(implementation: str, mask: Mask, q, k, v, *, atol: float, bias=None, **options):
  """Output and gradients of q, k, v and bias are those of
  `reference` computed in float32, and finite.

  What padding computes is nobody's business, so only the rest is
  asked for; nothing flows back from padding.
  """
  real_BxTx1x1 = jnp.ones((1, 1, 1, 1))
  if mask.q_segment_BxT is not None:
    real_BxTx1x1 = (mask.q_segment_BxT > 0)[:, :, None, None]

  def loss(arrays, implementation):
    q, k, v, bias = arrays
    out = attend(q, k, v, mask, bias_1xHxTxS=bias, implementation=implementation, **options).astype(
      jnp.float32
    )
    seen = jnp.where(real_BxTx1x1, out, 0)
    return (seen * jnp.cos(jnp.arange(out.size).reshape(out.shape))).sum(), (out, seen)

  gradient = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)
  wide = jax.tree.map(lambda x: x.astype(jnp.float32), (q, k, v, bias))
  gradients, (out, seen) = gradient((q, k, v, bias), implementation)
  expected_gradients, (_, expected) = gradient(wide, 'reference')
  assert jnp.isfinite(out).all() and all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradients))
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x.astype(jnp.float32), y, atol=atol),
    (seen, gradients),
    (expected, expected_gradients),
  )
