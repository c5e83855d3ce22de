"""The curves of any run can be drawn, and show what was measured, where it was measured."""

import math

from matplotlib import pyplot
import pytest

from training import curves


def rows(names=('mlm', 'nsp'), steps: int = 40, every: int = 10) -> list[dict]:
  found = []
  for step in range(steps + 1):
    row = dict(step=step, tokens=100 * step)
    if step % every == 0 or step == steps:
      row |= {f'val/{name}_loss': 5.0 - step / 100 for name in names}
    if step < steps:
      row |= {f'train/{name}_loss': 5.1 - step / 100 for name in names}
      row |= dict(learning_rate=1e-3, gradient_norm=1.0)
    found.append(row)
  return found


def draw(folder, found, monkeypatch):
  """The axes by their label, as they were saved."""
  monkeypatch.setattr(pyplot, 'close', lambda figure: None)
  curves.draw(folder, found, title='a run', unigram_entropy=6.1)
  assert (folder / 'curves.png').read_bytes().startswith(b'\x89PNG')
  figure = pyplot.gcf()
  monkeypatch.undo()
  axes = {axes.get_ylabel().split('\n')[0]: axes for axes in figure.axes}
  pyplot.close(figure)
  return axes


def test_training_and_validation_are_drawn_over_tokens_beside_what_frequencies_give(
  tmp_path, monkeypatch
):
  panels = draw(tmp_path, rows(), monkeypatch)
  assert list(panels) == ['loss', 'nsp loss', 'learning', 'gradient']
  raw, smooth, points, level = panels['loss'].get_lines()
  assert list(raw.get_xdata()) == list(smooth.get_xdata()) == [100 * step for step in range(40)]
  assert list(points.get_xdata()) == [0, 1_000, 2_000, 3_000, 4_000]
  assert points.get_ydata()[-1] == pytest.approx(4.6)
  assert set(level.get_ydata()) == {6.1}
  assert set(panels['nsp loss'].get_lines()[-1].get_ydata()) == {math.log(2)}


def test_a_run_of_one_objective_has_no_panel_of_another(tmp_path, monkeypatch):
  assert list(draw(tmp_path, rows(['clm']), monkeypatch)) == ['loss', 'learning', 'gradient']
  assert list(draw(tmp_path, rows(['nsp']), monkeypatch)) == ['nsp loss', 'learning', 'gradient']


@pytest.mark.parametrize(
  'found',
  [
    [],
    [dict(step=0, tokens=0)],
    rows(steps=1),
    rows(steps=0),
    [
      row | {'train/mlm_loss': 'nan', 'val/mlm_loss': 'inf', 'gradient_norm': 'inf'}
      for row in rows()
    ],
  ],
)
def test_a_run_with_next_to_nothing_to_show_is_drawn_without_a_warning(
  found, tmp_path, monkeypatch
):
  draw(tmp_path, found, monkeypatch)


def test_smoothing_shifts_nothing_and_keeps_a_straight_line_straight():
  line = [float(i) for i in range(1_000)]
  assert curves._smooth(line)[100:-100] == line[100:-100]
  assert curves._smooth([]) == [] and curves._smooth([3.0]) == [3.0]


def test_counts_are_short():
  numbers = (0, 999, 2_500, 7e6, 3e9, 1e12)
  assert [curves._count(number) for number in numbers] == ['0', '999', '2.5k', '7M', '3B', '1T']
