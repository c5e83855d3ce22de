"""The figure of the grid: what it draws is what the network sees."""

from matplotlib import image
import numpy as np

from tools import grid


def cells():
  return {(cell.mask, cell.column): cell for row in grid.grid() for cell in row}


def sees(mask, t, s, prefix, document):
  """The definition, once more, in words that a reader of the figure would use."""
  past = s <= t or mask == 'bidirectional' or (mask == 'prefix' and prefix[s])
  return past and document[t] == document[s]


def test_each_map_is_what_the_words_beside_it_say():
  for (mask, column), cell in cells().items():
    T = len(cell.tokens)
    prefix, document = [t < grid.PREFIX for t in range(T)], [1] * T
    if column == 'packed':
      prefix, document = grid.PACKED_PREFIX, grid.DOCUMENT
    expected = [[sees(mask, t, s, prefix, document) for s in range(T)] for t in range(T)]
    np.testing.assert_array_equal(cell.visible, expected, f'{mask} {column}')


def test_the_refused_cell_is_the_one_that_sees_every_answer():
  refused = {name for name, cell in cells().items() if cell.leaks and not cell.predicted}
  assert refused == {('bidirectional', 'clm')}


def test_no_scored_position_of_clm_sees_its_answer():
  for (_, column), cell in cells().items():
    if column == 'clm':
      assert not any(cell.visible[t, t + 1] for t in cell.predicted)
      assert all(cell.tokens[t + 1] == word for t, word in cell.predicted.items())


def test_mlm_hides_the_word_that_it_predicts():
  for (_, column), cell in cells().items():
    if column == 'mlm':
      assert all(cell.tokens[t] == '[MASK]' for t in cell.predicted)
      assert grid.SENTENCE[grid.HIDDEN] not in cell.tokens


def test_the_figure_is_drawn(tmp_path):
  grid.draw(tmp_path / 'grid.png')
  pixels = image.imread(tmp_path / 'grid.png')
  assert pixels.shape[1] >= 1600
  assert len(np.unique(pixels[::7, ::7].reshape(-1, pixels.shape[-1]), axis=0)) > 20
