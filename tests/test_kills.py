"""Kills at random times, of which the end shows nothing."""

import kills
import pytest


@pytest.mark.slow
@pytest.mark.parametrize('cell', kills.CELLS)
def test_a_run_killed_25_times_at_random_ends_bit_identical(cell, tmp_path):
  assert kills.chain(cell, tmp_path, kills=25, seed=1).total() == 25
