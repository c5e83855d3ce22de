"""Damaged input never ends in a traceback, whatever reads it."""

import warnings

import fuzz
import pytest


@pytest.mark.slow
@pytest.mark.parametrize('name', fuzz.READERS)
def test_damaged_input_is_read_or_refused_in_words(name, tmp_path):
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    found = fuzz.fuzz(name, max(5, round(250 * fuzz.READERS[name].share)), 1, tmp_path)
  assert not found.faults, fuzz.line(name, found)
  assert found.read + found.refused.total()
