"""A cross-encoder ranks pairs of a query and a line by what it says of them."""

import numpy as np
import pytest
from test_convert import random_weights

from inference.labels import Labels
from inference.predict import Predictor
from inference.rank import Ranker
from runtime.errors import WeightsError


def encoder(kind: str, labels: str, classes: int):
  model = random_weights('bert-sequence')
  head = model.params['sequence']['classifier']
  model.params['sequence']['classifier'] = {name: x[..., :classes] for name, x in head.items()}
  names = tuple(f'class {index}' for index in range(classes))
  model = model._replace(labels=Labels(kind, labels, names, 'first', 0, True))
  return model._replace(config=model.config.__class__(**vars(model.config) | dict(classes=classes)))


LINES = ['the old boat', 'he paid cash', 'fish into the river', 'the bank of a river']


@pytest.mark.parametrize(
  'asked',
  [('', 'number', 1), ('ranked', 'number', 1), ('pair', 'number', 1), ('pair', 'class', 2)],
  ids=str,
)
def test_lines_are_ordered_by_what_the_model_says(asked):
  model = encoder(*asked)
  said = Predictor(model).texts([('a river', line) for line in LINES])
  raw = [one.probability[1] if asked[1] == 'class' else one.label for one in said]
  wanted = 1 / (1 + np.exp(-np.array(raw))) if asked[0] in ('', 'ranked') else np.array(raw)
  ranked = Ranker(model)('a river', LINES)
  assert [one.index for one in ranked] == np.argsort(-wanted, kind='stable').tolist()
  np.testing.assert_allclose([one.score for one in ranked], np.sort(wanted)[::-1], rtol=1e-6)


@pytest.mark.parametrize('asked', [('pair', 'class', 3), ('text', 'number', 1), ('', 'several', 2)])
def test_a_model_of_other_labels_is_refused(asked):
  with pytest.raises(WeightsError, match='to rank'):
    Ranker(encoder(*asked))
