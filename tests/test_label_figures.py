"""The pictures of a fine-tuned run: what they show, and that nothing of it is cut off."""

import struct

from etils import epath
import matplotlib.axes
import numpy as np
import pytest

from data.tasks.files import Example
from data.tasks.labelled import Task
from evaluation.examples import Said
from training import label_figure, learning_curve

TAGS = ('O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC')


def of_texts(name: str) -> tuple[Task, Said]:
  gold = [0, 0, 0, 1, 1, 2]
  task = Task(name, 'text', ('no', 'yes', 'maybe'), dict(test=[Example(('a',), g) for g in gold]))
  return task, Said(0.0, {}, [0, 0, 1, 1, 1, 0], [], None)


def width(path) -> int:
  return struct.unpack('>I', path.read_bytes()[16:20])[0]


def spied(monkeypatch, name: str) -> list:
  """What is given to a method of matplotlib's Axes."""
  seen, method = [], getattr(matplotlib.axes.Axes, name)

  def spy(self, *args, **more):
    seen.append((args, more))
    return method(self, *args, **more)

  monkeypatch.setattr(matplotlib.axes.Axes, name, spy)
  return seen


def test_a_matrix_counts_each_class_and_a_long_name_is_not_cut_off(tmp_path, monkeypatch):
  texts = spied(monkeypatch, 'text')
  short, long = epath.Path(tmp_path / 'short'), epath.Path(tmp_path / 'long')
  for folder, name in ((short, 'sst2'), (long, 'reviews_of_customers' * 6)):
    folder.mkdir()
    assert label_figure.draw(folder, of_texts(name)[0], 'test', of_texts(name)[1])
  counts = {(args[1], args[0]): args[2] for args, _ in texts[:9]}
  assert [[counts[gold, guess] for guess in range(3)] for gold in range(3)] == [
    ['2', '1', '0'],
    ['0', '2', '0'],
    ['1', '0', '0'],
  ]
  assert width(long / 'labels.png') > 2 * width(short / 'labels.png')


def test_a_table_of_entities_writes_what_does_not_fit_into_a_bar_beside_it(tmp_path, monkeypatch):
  texts = spied(monkeypatch, 'text')
  gold = [(1, 2, 0, 3)] * 10
  said = [(1, 2, 0, 0)] * 9 + [(0, 0, 0, 3)]
  task = Task('ner', 'words', TAGS, dict(test=[Example(tuple('abcd'), each) for each in gold]))
  assert label_figure.draw(epath.Path(tmp_path), task, 'test', Said(0.0, {}, said, [], None))
  shown = {args[1]: (args[0], args[2], more['color']) for args, more in texts}
  assert shown[0][1].startswith('0.667') and shown[2][1].startswith('0.947')
  assert shown[1] == (pytest.approx(2 / 11 + 0.01), '0.182   P 1.000   R 0.100', '#222222')
  assert shown[2][0] == 0.01 and shown[2][2] == 'white'


def test_a_learning_curve_has_each_seed_thin_and_the_mean_thick(tmp_path, monkeypatch):
  lines = spied(monkeypatch, 'plot')
  rows = [dict(step=0), dict(step=4, tokens=9)]
  for step in (0, 5):
    own = {f'seed_{seed}/val/f1': seed / 10 + step / 100 for seed in (2, 3)}
    rows.append({'step': step, 'val/f1': np.mean([*own.values()])} | own)
  curve = learning_curve.of(rows, 'f1', range(2, 4))
  assert curve['steps'] == [0, 5] and curve['mean'] == pytest.approx([0.25, 0.3])
  assert curve['seeds'] == {'2': pytest.approx([0.2, 0.25]), '3': pytest.approx([0.3, 0.35])}
  learning_curve.draw(tmp_path, curve, title='classify', majority=0.1)
  assert (tmp_path / 'learning_curve.png').exists()
  *seeds, mean = lines
  assert [args[1] for args, _ in seeds] == [*curve['seeds'].values()]
  assert mean[0][1] == curve['mean']
  assert all(2 * more['linewidth'] < mean[1]['linewidth'] for _, more in seeds)
  alone = learning_curve.of(rows, 'f1', range(1))
  assert alone['seeds'] == {'0': alone['mean']}
