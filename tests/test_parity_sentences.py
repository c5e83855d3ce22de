"""What sentence-transformers does with vectors and pairs, we do too."""

import numpy as np
import pytest
from test_embed import clustered

from inference.precision import PRECISIONS, RANGED, convert, restore

needs = "needs the extra parity: pip install -e '.[parity]'"
pytest.importorskip('sentence_transformers', reason=needs)
from sentence_transformers.util import quantization  # noqa: E402


@pytest.mark.parametrize('precision', [name for name in PRECISIONS if name != 'float16'])
def test_vectors_in_few_bits_are_theirs(precision):
  for seed, (rows, D) in enumerate([(2, 3), (40, 8), (101, 17), (200, 32)]):
    vector_NxD = clustered(rows, D, seed)
    vector_NxD[:, 0] = 0  # a dimension without a range, and no sign
    range_2xD = np.stack([vector_NxD.min(axis=0), vector_NxD.max(axis=0)])
    wanted = quantization.quantize_embeddings(vector_NxD, precision)
    stored = convert(vector_NxD, precision, range_2xD)
    np.testing.assert_array_equal(stored, wanted)
    assert stored.dtype == wanted.dtype
    if precision in RANGED:
      back_NxD = quantization._dequantize_embeddings(wanted, precision, range_2xD)
      np.testing.assert_allclose(restore(stored, precision, D, range_2xD), back_NxD, atol=1e-6)
