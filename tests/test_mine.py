"""Hard negatives: no positives, the hardest first, and what is left out is counted."""

import numpy as np
import pytest
from test_embed import clustered

from inference.mining import Rules, mine


def found(rules: Rules, seed: int = 0):
  corpus_NxD, anchor_AxD = clustered(30, 4, seed), clustered(6, 4, seed + 1)
  positives = [[index, index + 10] for index in range(6)]
  unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
  return mine(anchor_AxD, corpus_NxD, positives, rules), unit(anchor_AxD) @ unit(corpus_NxD).T


def test_the_hardest_that_is_no_positive_comes_first():
  mined, cosine_AxN = found(Rules(num_negatives=4, range_min=1))
  for anchor, chosen in mined.negatives.items():
    others = [int(row) for row in np.argsort(-cosine_AxN[anchor]) if row % 10 != anchor or row > 19]
    assert chosen == others[1:5]
  assert len(mined.negatives) == 6 and mined.dropped['too_few'] == 0


@pytest.mark.parametrize('margin', [0.05, 0.5])
def test_a_margin_is_kept_to_the_weakest_positive_and_counted(margin):
  mined, cosine_AxN = found(Rules(num_negatives=1, relative_margin=margin, absolute_margin=0.1))
  for anchor, chosen in mined.negatives.items():
    least = cosine_AxN[anchor, [anchor, anchor + 10]].min()
    assert (
      cosine_AxN[anchor, chosen] <= min(least - 0.1, least - margin * abs(least)) + 1e-6
    ).all()
  assert mined.dropped['absolute_margin'] > 0
  assert len(mined.negatives) + mined.dropped['too_few'] == 6


def test_a_seed_draws_the_same_negatives_again():
  draws = [found(Rules(range_max=12, sampling='random', seed=seed))[0] for seed in (1, 1, 2)]
  assert draws[0] == draws[1] != draws[2]
