"""Damaged input never ends in a traceback, whatever reads it."""

import warnings

import fuzz
import pytest

from data.errors import DataError
from interop import families
from runtime.errors import WeightsError


@pytest.mark.slow
@pytest.mark.parametrize('name', fuzz.READERS)
def test_damaged_input_is_read_or_refused_in_words(name, tmp_path):
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    found = fuzz.fuzz(name, max(5, round(250 * fuzz.READERS[name].share)), 1, tmp_path)
  assert not found.faults, fuzz.line(name, found)
  assert found.read + found.refused.total()


@pytest.mark.parametrize('id', ['Infinity', 'null', '[]', '{}', '"x"', '[' * 500 + ']' * 500])
def test_an_added_token_whose_id_is_no_number_is_refused(id, tmp_path):
  """Found by the above: each ended in a traceback."""
  reader = fuzz.READERS['tokenizers']
  reader.seed(tmp_path)
  (tmp_path / 'added_tokens.json').write_text(f'{{"[NEW]": {id}}}')
  with pytest.raises(DataError):
    reader.read(tmp_path)


@pytest.mark.parametrize('value', [[], {}, None, 0, True, 'swish2'])
def test_an_activation_that_is_no_name_is_refused(value):
  bert = dict(model_type='bert', hidden_act=value)
  with pytest.raises(WeightsError, match='hidden_act'):
    families.read(bert, 'config.json')
